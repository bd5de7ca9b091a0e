#!/usr/bin/env bash
# GStreamer 1.22 (Debian 12): `playbin3` sends a cookie back with everything that the server said about it.
#
# One expects: after `Set-Cookie: film=TOKEN; Path=/; Max-Age=3600; HttpOnly` on the playlist, `Cookie: film=TOKEN` with the segments.
# What happens: `playbin` does that; `playbin3`, with the newer HLS element, copies the text of `Set-Cookie`: the attributes come as if they were
#   cookies, in every request.
# Why it matters: a gate that keys a cache by the cookie line, expects its cookie alone, or reads the last pair, refuses the segments of
#   a film whose playlist it has just let pass.
# hlsgate: looks at each pair by its name and passes over the others ("Carriers" in docs/protocol.md; tests/it/carriers.rs).
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
from_debian 'ffmpeg=7:5.1.*' 'gstreamer1.0-tools=1.22.*' 'gstreamer1.0-libav=1.22.*' \
  'gstreamer1.0-plugins-base=1.22.*' 'gstreamer1.0-plugins-good=1.22.*' 'gstreamer1.0-plugins-bad=1.22.*'
export GST_PLUGIN_SYSTEM_PATH GST_REGISTRY=$place/registry GST_REGISTRY_FORK=no
GST_PLUGIN_SYSTEM_PATH=$(echo "$place"/debian/usr/lib/*/gstreamer-1.0)
debian usr/bin/gst-launch-1.0 --version 2>/dev/null | head -n 1

mkdir "$place/www"
debian usr/bin/ffmpeg -nostdin -v error -f lavfi -i testsrc2=size=160x90:rate=10:duration=3 -pix_fmt yuv420p -g 10 -f hls -hls_time 1 -hls_playlist_type vod \
  -hls_segment_filename "$place/www/%d.ts" "$place/www/index.m3u8"
cat >"$place/serve.py" <<'PYTHON'
import functools, http.server, sys
class Films(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path.endswith(".ts"):
            print(self.headers.get("Cookie"), file=open(sys.argv[2], "a"))
        super().do_GET()
    def end_headers(self):
        if self.path.endswith(".m3u8"):
            self.send_header("Set-Cookie", "film=TOKEN; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax")
        super().end_headers()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Films, directory=sys.argv[1]))
print(server.server_port, file=open(sys.argv[3], "w"), flush=True)
server.serve_forever()
PYTHON
background python3 "$place/serve.py" "$place/www" "$place/cookies" "$place/port"
await test -s "$place/port"
cookies_of() {
  : >"$place/cookies"
  timeout 120 "${debian[@]}" "$place/debian/usr/bin/gst-launch-1.0" -q "$1" "uri=http://127.0.0.1:$(cat "$place/port")/index.m3u8" \
    video-sink=fakevideosink audio-sink=fakesink >"$place/$1.log" 2>&1 || { cat "$place/$1.log" >&2; return 1; }
  sort -u "$place/cookies" | paste -sd'|'
}
seen "what playbin sends with the segments" "$(cookies_of playbin)" "film=TOKEN"
seen "what playbin3 sends with them" "$(cookies_of playbin3)" "film=TOKEN; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"
