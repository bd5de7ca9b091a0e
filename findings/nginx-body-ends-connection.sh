#!/usr/bin/env bash
# nginx 1.22.1 (Debian 12): an `auth_request` answer of two bytes costs a new connection for each segment, in spite of `keepalive`.
#
# One expects: `upstream { keepalive 8; }`, HTTP/1.1 and an empty `Connection` to keep the connection to the daemon, whatever it answers.
# What happens: nginx does not read the answer's body, since the question wants only its status, and a connection with unread
#   bytes on it is closed. `ok`, or an empty body in chunks as many frameworks send it, closes it each time; 204, or a 200 with
#   `Content-Length: 0`, keeps it.
# Why it matters: each segment of each viewer is a question. Over TCP, throughput fell to less than half.
# hlsgate: no answer to nginx has a body ("nginx's question" in docs/protocol.md; tests/it/carriers.rs looks at it).
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
from_debian 'nginx=1.22.1-*' 'nginx-common=1.22.1-*'
debian usr/sbin/nginx -v 2>&1

# A daemon that keeps its connections, answers by path, and writes a line for each new connection.
cat >"$place/daemon.py" <<'PYTHON'
import http.server, socketserver, sys
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one piece, as frameworks send them
    def setup(self):
        super().setup()
        print("connection", file=open(sys.argv[2], "a"))
    def do_GET(self):
        status, headers, body = {
            "/204": (204, {}, b""),
            "/empty": (200, {"Content-Length": "0"}, b""),
            "/ok": (200, {"Content-Length": "2"}, b"ok"),
            "/chunked": (200, {"Transfer-Encoding": "chunked"}, b"0\r\n\r\n"),
        }[self.path]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
    def address_string(self): return "nginx"
    def log_message(self, *_): pass
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    def handle_error(self, *_): pass  # nginx has gone
Server(sys.argv[1], Answer).serve_forever()
PYTHON
background python3 "$place/daemon.py" "$place/daemon" "$place/connections"
await test -S "$place/daemon"
mkdir "$place/www"
for kind in 204 empty ok chunked; do echo film >"$place/www/$kind"; done
nginx_serves "
  upstream daemon { server unix:$place/daemon; keepalive 8; }
  server {
    listen unix:$place/site;
    root $place/www;
    location = /auth { internal; proxy_pass http://daemon\$request_uri; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host films; }
    location / { auth_request /auth; }
  }"
await test -S "$place/site"

connections_of() {
  : >"$place/connections"
  for _ in 1 2 3 4 5 6; do [ "$(status site "/$1")" = 200 ]; done
  wc -l <"$place/connections"
}
# The first of six uses the connection that the question before left.
connections_of 204 >/dev/null
seen "new connections of six questions answered by 204" "$(connections_of 204)" 0
seen "… by 200 with Content-Length: 0" "$(connections_of empty)" 0
seen "… by 200 and the body \"ok\"" "$(connections_of ok)" 5
connections_of 204 >/dev/null
seen "… by 200 and an empty body in chunks" "$(connections_of chunked)" 5
