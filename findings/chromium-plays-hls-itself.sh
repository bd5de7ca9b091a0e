#!/usr/bin/env bash
# Chromium 156 (Debian 12): it says that it may play HLS, and ends the film at the first segment that fails, with seconds still loaded.
#
# One expects: only Apple's browsers play HLS by themselves, so a page may ask `canPlayType('application/vnd.apple.mpegurl')` first and load hls.js
#   where the answer is empty, as many examples do; and a player to play what it has, and to ask again for what failed.
# What happens: the answer is "maybe", so these pages no longer use hls.js there. Chromium's own player asks for a segment once: a single 500
#   is `MediaError` 4 at once, in the middle of the film, although it has loaded seconds beyond the picture. hls.js 1.7.4 (npm) asks again
#   and plays to the end.
# Why it matters: a restart of the auth daemon, which nobody noticed with hls.js, ends the film of every viewer on Chromium.
# hlsgate: its pages use hls.js wherever that works (examples/site/player.js), and nginx holds the question while the daemon is away
#   ("When the daemon is away" in docs/nginx.md; tests/it/playback.rs).
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
. "$(dirname "${BASH_SOURCE[0]}")/film.bash"

read -r says asked end < <(watched native 500 0)
seen "what canPlayType says of HLS" "$says" maybe
seen "Chromium's own player, where nothing fails" "$end" ended
read -r says asked end code ahead < <(watched native 500 1)
echo "ended by $end $code with $ahead s ahead"
seen "Chromium's own player, where the first request for a segment is a 500" "$end $code" "error 4"
seen "had it loaded more than 2 s ahead" "$([ "$ahead" -gt 2 ] && echo yes || echo no)" yes
read -r says asked end < <(watched hls.js 500 1)
seen "hls.js, where the first request for a segment is a 500" "$end" ended
