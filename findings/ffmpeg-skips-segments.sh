#!/usr/bin/env bash
# FFmpeg 5.1 (Debian 12): a film with a segment that the server refuses is "downloaded" with exit status 0.
#
# One expects: `ffmpeg -i https://…/master.m3u8 -c copy film.mp4` to fail, or to try again, where a segment is answered with a 500.
# What happens: it asks once, leaves the segment out, goes on with the next, and exits with 0. The file has a hole of a segment's length.
# Why it matters: a restart of the auth daemon, of a second, is in every copy that was being made meanwhile, and whoever looks at the
#   exit status, mirrors and recorders do, finds nothing wrong.
# hlsgate: nginx asks the daemon again and holds the question meanwhile, so that a restart is no 500 ("When the daemon is away" in
#   docs/nginx.md, with a table of players; tests/it/playback.rs).
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
from_debian 'ffmpeg=7:5.1.*'
ffmpeg() { debian usr/bin/ffmpeg -nostdin -v error -y "$@"; }
debian usr/bin/ffmpeg -version | head -n 1

# Six segments of a second, ten pictures each.
mkdir "$place/www"
ffmpeg -f lavfi -i testsrc2=size=160x90:rate=10:duration=6 -g 10 -f hls -hls_time 1 -hls_playlist_type vod -hls_segment_filename "$place/www/%d.ts" "$place/www/index.m3u8"
cat >"$place/serve.py" <<'PYTHON'
import functools, http.server, sys
class Films(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        print(self.path, file=open(sys.argv[2], "a"))
        return self.send_error(500) if self.path == "/2.ts" else super().do_GET()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Films, directory=sys.argv[1]))
print(server.server_port, file=open(sys.argv[3], "w"), flush=True)
server.serve_forever()
PYTHON
background python3 "$place/serve.py" "$place/www" "$place/requests" "$place/port"
await test -s "$place/port"
code=0
debian usr/bin/ffmpeg -nostdin -v quiet -i "http://127.0.0.1:$(cat "$place/port")/index.m3u8" -c copy "$place/copy.mp4" || code=$?
seen "exit status" "$code" 0
seen "requests for the segment that is answered with 500" "$(grep -c /2.ts "$place/requests")" 1
seen "pictures, of 60" "$(debian usr/bin/ffprobe -v error -count_packets -show_entries stream=nb_read_packets -of csv=p=0 "$place/copy.mp4")" 50
