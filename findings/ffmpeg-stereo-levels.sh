#!/usr/bin/env bash
# FFmpeg 5.1 (Debian 12): `-ac 2 -c:a aac` mixes 5.1 above full scale and makes mono 3 dB quieter; with another encoder 5.1 is 8 dB quieter.
#
# One expects: `-ac 2` to make stereo that is as loud as the source and does not clip, whatever the encoder.
# What happens: the sum of the channels is brought below full scale only where samples are integers. AAC's decoder and encoder work in
#   floating point, so peaks of up to 7.7 dB above full scale go into the file, and players cut them off. FLAC's encoder takes integers:
#   all of the film is 7.7 dB lower. Mono is spread over two speakers by power, 3 dB lower in each.
# Why it matters: loud scenes of a film with 5.1 sound crackle in every player, and a lecture in mono is quieter than all other films.
# hlsgate: the publishing worker mixes at -3 dB under a limiter and gives mono to both speakers whole (`stereo` in
#   examples/publish/hlspublish/encode.py, tests/publish/test_sound.py; "Sound" in docs/publishing.md).
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
from_debian 'ffmpeg=7:5.1.*'
ffmpeg() { debian usr/bin/ffmpeg -nostdin -v error -y "$@"; }
debian usr/bin/ffmpeg -version | head -n 1

# A tone of half the full scale (-6 dBFS) in each channel.
tone="0.5*sin(2*PI*440*t)"
ffmpeg -f lavfi -i "aevalsrc=$tone|$tone|$tone|0|$tone|$tone:c=5.1:s=48000:d=3" -c:a aac -b:a 384k "$place/surround.m4a"
ffmpeg -f lavfi -i "aevalsrc=$tone:c=mono:s=48000:d=3" -c:a aac -b:a 128k "$place/mono.m4a"

# The peak of what players get, in whole decibels, as floating point shows it; without the encoder's first and last second.
peak() {
  ffmpeg -i "$place/$1" -ac 2 -c:a "$2" -b:a 256k "$place/stereo.mkv"
  debian usr/bin/ffmpeg -nostdin -hide_banner -ss 1 -t 1 -i "$place/stereo.mkv" -af aformat=sample_fmts=flt,astats=measure_perchannel=none -f null - 2>&1 |
    sed -n 's/.*Peak level dB: //p' | awk '{ printf "%.0f dB\n", $1 }'
}
seen "peak of 5.1 with -6 dBFS in each channel, -ac 2 -c:a aac" "$(peak surround.m4a aac)" "2 dB"
seen "the same, -ac 2 -c:a flac" "$(peak surround.m4a flac)" "-6 dB"
seen "peak of mono with -6 dBFS, -ac 2 -c:a aac" "$(peak mono.m4a aac)" "-9 dB"
