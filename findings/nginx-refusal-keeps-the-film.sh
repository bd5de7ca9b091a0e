#!/usr/bin/env bash
# nginx 1.22.1 (Debian 12): a refusal that is worded in a named location keeps two things of the film that was asked for.
#
# One expects: `error_page 401 = @pay; location @pay { default_type application/json; add_header WWW-Authenticate …; return 402 …; }`
#   to answer 402 with that type and that challenge.
# What happens: the path is still the film's, so its suffix decides the type: the JSON is called a playlist. And the
#   `WWW-Authenticate` of the daemon's 401 is still there, in front of the new one.
# Why it matters: players parse the refusal as a playlist and report a broken stream; wallets that look at the first challenge only
#   (most do) find `Bearer` there and pay nothing.
# hlsgate: the daemon's 401 has no `WWW-Authenticate`, and snippets/hlsgate.conf empties `types` where it words a refusal
#   (tests/it/machines.rs, tests/it/vhosts.rs).
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
from_debian 'nginx=1.22.1-*' 'nginx-common=1.22.1-*'
debian usr/sbin/nginx -v 2>&1

nginx_serves "
  types { application/vnd.apple.mpegurl m3u8; }
  server { listen unix:$place/daemon; add_header WWW-Authenticate 'Bearer realm=\"films\"' always; return 401; }
  server {
    listen unix:$place/site;
    location = /auth { internal; proxy_pass http://unix:$place/daemon:/; }
    location / { auth_request /auth; error_page 401 = @pay; }
    location @pay {
      default_type application/json;
      add_header WWW-Authenticate 'L402 macaroon=\"…\", invoice=\"…\"' always;
      return 402 '{\"reason\":\"missing\"}';
    }
  }"
await test -S "$place/site"
curl -s -D "$place/head" -o "$place/body" --unix-socket "$place/site" http://video.example/film/master.m3u8
header() { tr -d '\r' <"$place/head" | sed -n "s/^$1: //p" | cut -d ' ' -f 1 | paste -sd,; }
seen "status" "$(awk 'NR == 1 { print $2 }' "$place/head")" 402
seen "schemes of its challenges, in order" "$(header WWW-Authenticate)" "Bearer,L402"
seen "body" "$(cat "$place/body")" '{"reason":"missing"}'
seen "type" "$(header Content-Type)" application/vnd.apple.mpegurl
