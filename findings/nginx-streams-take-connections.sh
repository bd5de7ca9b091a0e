#!/usr/bin/env bash
# nginx 1.22.1 (Debian 12): a viewer over HTTP/2 takes one of a worker's connections for each request that waits for `auth_request`.
#
# One expects: `worker_connections` to be about clients, so that one client, who has one connection, takes one.
# What happens: each stream whose question is at the daemon holds a connection to the daemon as well. With the 128 streams that nginx
#   allows, one client takes up to 129 of Debian's 768 for each worker. Where none is left, `auth_request` makes a 500 of
#   "worker_connections are not enough".
# Why it matters: most players end the film at the first 500.
# hlsgate: conf.d/hlsgate.conf allows 32 streams, and `hlsgate check` does the arithmetic ("Many viewers over HTTP/2" in docs/nginx.md).
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
from_debian 'nginx=1.22.1-*' 'nginx-common=1.22.1-*'
debian usr/sbin/nginx -v 2>&1
from_pypi h2==4.4.1

# A daemon that says yes to each question, once all that can reach it have: after a second without a new one.
cat >"$place/daemon.py" <<'PYTHON'
import asyncio, sys
waiting, last = [], 0.0
async def serve(reader, writer):
    global last
    await reader.readuntil(b"\r\n\r\n")
    last = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() < last + 1:
        await asyncio.sleep(0.05)
    writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()
async def main():
    await (await asyncio.start_unix_server(serve, sys.argv[1])).serve_forever()
asyncio.run(main())
PYTHON
background python3 "$place/daemon.py" "$place/daemon"
await test -S "$place/daemon"
mkdir "$place/www"
echo film >"$place/www/seg.ts"

# Fifty requests at once over one connection, with room for 40.
connections=40 nginx_serves "
  server {
    listen unix:$place/site http2;
    root $place/www;
    location = /auth { internal; proxy_pass http://unix:$place/daemon:/; proxy_pass_request_body off; }
    location / { auth_request /auth; }
  }"
await test -S "$place/site"
cat >"$place/client.py" <<'PYTHON'
import collections, socket, sys
import h2.config, h2.connection, h2.events
with socket.socket(socket.AF_UNIX) as peer:
    peer.connect(sys.argv[1])
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    asked = [(":method", "GET"), (":scheme", "http"), (":authority", "video.example"), (":path", "/seg.ts")]
    for number in range(50):
        client.send_headers(2 * number + 1, asked, end_stream=True)
    answers = collections.Counter()
    while answers.total() < 50:
        peer.sendall(client.data_to_send())
        for event in client.receive_data(peer.recv(65536)):
            if isinstance(event, h2.events.ResponseReceived):
                answers[dict(event.headers)[":status"]] += 1
print(answers["200"], answers["500"])
PYTHON
read -r played refused < <("$place/python/bin/python" "$place/client.py" "$place/site")
echo "of 50 requests of one client, $played were answered 200 and $refused 500"
seen "does one client need more than 40 connections" "$([ "$refused" -gt 0 ] && [ "$((played + refused))" -eq 50 ] && echo yes || echo no)" yes
seen "what the error log says" "$(grep -o 'worker_connections are not enough' "$place/error.log" | sort -u)" "worker_connections are not enough"
