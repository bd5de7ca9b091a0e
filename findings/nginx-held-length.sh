#!/usr/bin/env bash
# nginx 1.22.1 (Debian 12): with `open_file_cache`, bytes that are in the file are answered with 416.
#
# One expects: `open_file_cache` to spare system calls, and at worst to miss a file that was replaced under its name.
# What happens: it keeps the length too. A file that grew meanwhile is served up to its old end, and a range behind that end is
#   "416 Range Not Satisfiable" for as long as `open_file_cache_valid` says: 60 s unless it is named.
# Why it matters: HLS with byte ranges (one file that grows, `-hls_flags single_file`) and live playlists are exactly that. The playlist
#   names the new range, the player asks for it, and stops at the 416; a live playlist that grew is cut in the middle of a line.
# hlsgate: no snippet holds films open; "Finished films held open" in docs/nginx.md, and `hlsgate check` warns of it.
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
from_debian 'nginx=1.22.1-*' 'nginx-common=1.22.1-*'
debian usr/sbin/nginx -v 2>&1

mkdir "$place/www"
nginx_serves "
  server { listen unix:$place/held; root $place/www; open_file_cache max=10; }
  server { listen unix:$place/plain; root $place/www; }"
await test -S "$place/plain"

head -c 1000 /dev/zero >"$place/www/film.ts"
status held /film.ts >/dev/null
head -c 1000 /dev/zero >>"$place/www/film.ts"
seen "without the cache, bytes 1000-1999 of a file that grew to 2,000" "$(status plain /film.ts -r 1000-1999)" 206
seen "with it, the same bytes" "$(status held /film.ts -r 1000-1999)" 416
seen "with it, length of the whole" "$(status held /film.ts >/dev/null; stat -c %s "$place/body")" 1000

printf '#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n0.ts\n' >"$place/www/live.m3u8"
status held /live.m3u8 >/dev/null
printf '#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:1\n#EXTINF:6,\n1.ts\n#EXTINF:6,\n2.ts\n' >"$place/www/live.m3u8"
status held /live.m3u8 >/dev/null
seen "last line of a live playlist that ends with 2.ts" "$(tail -n 1 "$place/body")" "#EXT-X-MEDIA-SEQ"
