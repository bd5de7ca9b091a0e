# For findings about players in Chromium; source it after place.bash. Installs them, and makes a film of twelve segments.
from_debian 'ffmpeg=7:5.1.*' 'chromium=156.*'
from_npm hls.js@1.7.4 playwright-core@1.61.1
mkdir "$place/film"
debian usr/bin/ffmpeg -nostdin -v error -f lavfi -i testsrc2=size=160x90:rate=10:duration=24 -pix_fmt yuv420p -g 10 -f hls -hls_time 2 \
  -hls_playlist_type vod -hls_segment_filename "$place/film/%d.ts" "$place/film/index.m3u8"

# watched PLAYER STATUS TIMES: see watch.mjs.
watched() { CHROMIUM_LIBRARIES=${debian[2]} timeout 120 node "$(dirname "${BASH_SOURCE[0]}")/watch.mjs" "$place/film" "$place" "$@"; }
