#!/usr/bin/env bash
# nginx 1.22.1 (Debian 12): `rewrite … break` works with `root` and turns every request into a 500 with `alias`.
#
# One expects: `break` to end the rewriting and go on in this location, whichever of the two says where the files lie.
# What happens: once a location's path was rewritten, nginx no longer takes it to be of this location, and `alias`, which replaces
#   the location's part of it, refuses: "alias cannot be used in location … where URI was rewritten". `nginx -t` is content.
# Why it matters: taking a token out of the path (`/hls/~TOKEN/film/…`) is such a rewrite. A snippet that was tried with `root` shuts
#   every site whose films lie elsewhere.
# hlsgate: snippets/hlsgate-protect.conf rewrites by `last`, and says why; tests/it/vhosts.rs plays from an `alias`.
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
from_debian 'nginx=1.22.1-*' 'nginx-common=1.22.1-*'
debian usr/sbin/nginx -v 2>&1

mkdir -p "$place/www/hls/film"
echo film >"$place/www/hls/film/seg.ts"
nginx_serves "
  server {
    listen unix:$place/site;
    location ^~ /hls/ { root $place/www; rewrite ^/hls/~[^/]+/(.*)$ /hls/\$1 break; }
    location ^~ /alias/ { alias $place/www/hls/; rewrite ^/alias/~[^/]+/(.*)$ /alias/\$1 break; }
    location ^~ /last/ { alias $place/www/hls/; rewrite ^/last/~[^/]+/(.*)$ /last/\$1 last; }
  }"
await test -S "$place/site"
seen "with root and break" "$(status site /hls/~TOKEN/film/seg.ts)" 200
seen "with alias, and nothing to rewrite" "$(status site /alias/film/seg.ts)" 200
seen "with alias and break" "$(status site /alias/~TOKEN/film/seg.ts)" 500
seen "with alias and last" "$(status site /last/~TOKEN/film/seg.ts)" 200
