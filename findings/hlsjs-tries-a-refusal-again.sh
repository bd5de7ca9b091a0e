#!/usr/bin/env bash
# hls.js 1.7.4 (npm), in Chromium 156: a segment that is answered with 403 is asked for seven times, and reported after half a minute.
#
# One expects: a 403 is a refusal, which another request does not change, so it is reported at once.
# What happens: where no other rendition is left to try, the fragment is asked for again after 1, 2, 4, 8, 8 and 8 s. Only then, after
#   32 s, is the error fatal, and a page that waits for a fatal one shows a spinner until then.
# Why it matters: a pass that ends in the middle of a film is answered 403. The viewer sits before a still picture instead of an offer, and
#   the gate is asked seven times instead of once.
# hlsgate: the pages look at the status of errors that are not fatal too, stop hls.js at the first refusal and show the offers
#   (examples/site/player.js; "access ends in mid-film" in tests/browser/playing.test.mjs; docs/pages.md says so for other pages).
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
. "$(dirname "${BASH_SOURCE[0]}")/film.bash"

read -r says asked end details seconds < <(watched hls.js 403 1000)
echo "after $seconds s"
seen "how it ends where a segment is always answered with 403" "$end $details" "fatal fragLoadError"
seen "requests for that segment" "$asked" 7
