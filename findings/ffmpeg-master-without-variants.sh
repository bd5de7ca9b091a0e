#!/usr/bin/env bash
# FFmpeg 5.1 (Debian 12): with `-crf`, the master playlist has no variants.
#
# One expects: `-master_pl_name master.m3u8` to write a master playlist that plays.
# What happens: the muxer takes BANDWIDTH from `-b:v` and `-b:a`. At constant quality (`-crf`) there is none: it logs a warning, leaves the
#   variant out, writes the header alone, and exits with 0. The media playlist beside it is complete.
# Why it matters: that file is what a shop sells. Players report "no levels", after the payment.
# hlsgate: the publishing worker measures, writes the master playlist itself, and publishes nothing that `--check` would not pass
#   (examples/publish/hlspublish/playlist.py, "What the check looks at" in docs/publishing.md).
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
from_debian 'ffmpeg=7:5.1.*'
ffmpeg() { debian usr/bin/ffmpeg -nostdin -v error -y "$@"; }
debian usr/bin/ffmpeg -version | head -n 1
made() {
  local folder=$place/$1 code=0
  mkdir "$folder"
  ffmpeg -f lavfi -i testsrc2=size=160x90:rate=10:duration=4 -g 20 -c:v libx264 "${@:2}" -f hls -hls_time 2 -hls_playlist_type vod -master_pl_name master.m3u8 "$folder/index.m3u8" || code=$?
  echo "$code, $(grep -c '^#EXT-X-STREAM-INF' "$folder/master.m3u8" || true), $(grep -c '^#EXTINF' "$folder/index.m3u8")"
}
seen "-b:v 100k: exit status, variants, segments" "$(made rate -b:v 100k)" "0, 1, 2"
seen "-crf 23: exit status, variants, segments" "$(made quality -crf 23)" "0, 0, 2"
