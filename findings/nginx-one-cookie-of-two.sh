#!/usr/bin/env bash
# nginx 1.22.1 (Debian 12): of two `Set-Cookie` lines that an auth daemon answers, one is lost without a word.
#
# One expects: `auth_request_set $c $upstream_http_set_cookie; add_header Set-Cookie $c;`, as every guide has it, to hand on what came.
# What happens: the variable holds the first line only. (From 1.23.0 on it holds all of them, joined by commas, which is no cookie
#   either: an `Expires` has a comma of its own.)
# Why it matters: a session cookie and a refreshed token, or one cookie for each film that was bought: the second never arrives.
# hlsgate: an answer has at most one `Set-Cookie` ("nginx's question" in docs/protocol.md).
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
from_debian 'nginx=1.22.1-*' 'nginx-common=1.22.1-*'
debian usr/sbin/nginx -v 2>&1

mkdir "$place/www"
echo film >"$place/www/seg.ts"
nginx_serves "
  server { listen unix:$place/daemon; add_header Set-Cookie 'film1=a; Path=/hls/1/'; add_header Set-Cookie 'film2=b; Path=/hls/2/'; return 204; }
  server {
    listen unix:$place/site;
    root $place/www;
    location = /auth { internal; proxy_pass http://unix:$place/daemon:/; }
    location / { auth_request /auth; auth_request_set \$cookie \$upstream_http_set_cookie; add_header Set-Cookie \$cookie; }
  }"
await test -S "$place/site"
cookies() { curl -s -D - -o /dev/null --unix-socket "$place/$1" http://video.example/seg.ts | tr -d '\r' | sed -n 's/^Set-Cookie: //p' | paste -sd'|'; }
seen "what the daemon answers" "$(cookies daemon)" "film1=a; Path=/hls/1/|film2=b; Path=/hls/2/"
seen "what the viewer gets" "$(cookies site)" "film1=a; Path=/hls/1/"
