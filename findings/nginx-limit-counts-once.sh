#!/usr/bin/env bash
# nginx 1.22.1 (Debian 12): a `limit_req` for the question to the auth daemon works until the films have one as well.
#
# One expects: a `limit_req` in the location that asks the daemon to limit the questions, whatever other limits there are.
# What happens: nginx limits each request of a client once. If the film's own location has a `limit_req`, in whichever zone, it was
#   counted there, and the one of the subrequest is passed over in silence.
# Why it matters: with a generous limit for downloads, the one that was written for the daemon's sake is only decoration. The other
#   way round it is good news: a limit of the whole server does not count segment and question as two.
# hlsgate: the question has no `limit_req`, and one of the server's own counts each request once ("Limits" in docs/nginx.md).
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
from_debian 'nginx=1.22.1-*' 'nginx-common=1.22.1-*'
debian usr/sbin/nginx -v 2>&1

mkdir -p "$place/www/a" "$place/www/b" "$place/www/c"
echo film | tee "$place/www/a/seg.ts" "$place/www/b/seg.ts" >"$place/www/c/seg.ts"
nginx_serves "
  limit_req_zone all zone=questions:1m rate=1r/m;
  limit_req_zone all zone=films:1m rate=1000r/s;
  limit_req_zone all zone=site:1m rate=1r/m;
  server { listen unix:$place/daemon; return 204; }
  server {
    listen unix:$place/site;
    root $place/www;
    location = /auth { internal; limit_req zone=questions; proxy_pass http://unix:$place/daemon:/; }
    location /a/ { auth_request /auth; }
    location /b/ { auth_request /auth; limit_req zone=films burst=10 nodelay; }
  }
  server {
    listen unix:$place/whole;
    root $place/www;
    limit_req zone=site burst=1 nodelay;
    location = /auth { internal; proxy_pass http://unix:$place/daemon:/; }
    location / { auth_request /auth; }
  }"
await test -S "$place/whole"
three() { for _ in 1 2 3; do status "$1" "$2"; echo; done | paste -sd' '; }
seen "three segments at one question a minute" "$(three site /a/seg.ts)" "200 500 500"
seen "the same, and 1,000 segments a second are allowed beside it" "$(three site /b/seg.ts)" "200 200 200"
seen "two requests a minute for the whole server: a segment and its question are one" "$(three whole /c/seg.ts)" "200 200 503"
