#!/usr/bin/env bash
# FFmpeg 5.1 (Debian 12): a JPEG that is taken from an HD film shows other colours than the film.
#
# One expects: `ffmpeg -i film.mp4 -frames:v 1 poster.jpg` to make a picture that looks like the film.
# What happens: the film's numbers are written into the JPEG as they are, with BT.709's matrix. A JPEG has no name for that; its
#   standard (JFIF) is BT.601's, and browsers and every other viewer take it for that: a red of 200 30 30 is 184 13 32.
# Why it matters: the poster is what is shown before a film is bought, right where the film then begins.
# hlsgate: the publishing worker converts posters and thumbnails (`fit_jpeg` in examples/publish/hlspublish/colour.py,
#   tests/publish/test_colour.py; "Colours" in docs/publishing.md).
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
from_debian 'ffmpeg=7:5.1.*'
from_pypi pillow==12.0.0
ffmpeg() { debian usr/bin/ffmpeg -nostdin -v error -y "$@"; }
debian usr/bin/ffmpeg -version | head -n 1

# One colour, encoded as HD films are, and named.
ffmpeg -f lavfi -i "color=0xC81E1E:size=1280x720:rate=1,format=gbrp,scale=out_color_matrix=bt709:out_range=limited,format=yuv420p" -frames:v 1 \
  -colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv -qp 0 "$place/film.mp4"
ffmpeg -i "$place/film.mp4" -frames:v 1 -q:v 1 "$place/poster.jpg"
ffmpeg -i "$place/film.mp4" -frames:v 1 -vf scale=out_color_matrix=bt601 -q:v 1 "$place/converted.jpg"
colour() { "$place/python/bin/python" -c 'import sys; from PIL import Image; print(*Image.open(sys.argv[1]).convert("RGB").getpixel((640, 360)))' "$1"; }
far() { colour "$1" | awk '{ print (($1 - 200) ^ 2 + ($2 - 30) ^ 2 + ($3 - 30) ^ 2 > 15 ^ 2) ? "another" : "the same" }'; }
for name in poster converted; do echo "200 30 30 of the film is $(colour "$place/$name.jpg") in $name.jpg"; done
seen "colour with -frames:v 1 poster.jpg" "$(far "$place/poster.jpg")" "another"
seen "colour with -vf scale=out_color_matrix=bt601 -frames:v 1 converted.jpg" "$(far "$place/converted.jpg")" "the same"
