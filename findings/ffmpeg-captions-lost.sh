#!/usr/bin/env bash
# FFmpeg 5.1 (Debian 12): WebVTT captions with a style or a region become an empty file, and `&lt;sighs&gt;` becomes a tag. Exit status 0.
#
# One expects: `ffmpeg -i captions.vtt out.vtt`, or captions that are carried into an HLS stream, to keep what viewers read.
# What happens: a `STYLE` or `REGION` block ends the reading: no cue behind it is found, and no word is said. Escapes are
#   undone and not made again: `&lt;sighs&gt;` is written as `<sighs>`, which players take for a tag and do not show.
# Why it matters: captions from caption editors and broadcasters begin with such blocks. The film is sold with captions that are there
#   in the menu and never shown.
# hlsgate: the publishing worker reads and writes caption files itself, and refuses those without a cue (examples/publish/hlspublish/captions.py,
#   tests/publish/test_pure.py; "What is refused" in docs/publishing.md).
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
from_debian 'ffmpeg=7:5.1.*'
debian usr/bin/ffmpeg -version | head -n 1

cues='
00:00.000 --> 00:02.000
&lt;sighs&gt; At last.

00:02.000 --> 00:04.000
Second.
'
printf 'WEBVTT\n%s' "$cues" >"$place/plain.vtt"
printf 'WEBVTT\n\nSTYLE\n::cue { color: yellow }\n%s' "$cues" >"$place/style.vtt"
printf 'WEBVTT\n\nREGION\nid:top\nwidth:40%%\n%s' "$cues" >"$place/region.vtt"
converted() {
  local code=0
  debian usr/bin/ffmpeg -nostdin -v error -i "$place/$1.vtt" "$place/$1.out.vtt" 2>"$place/$1.log" || code=$?
  echo "exit $code, $(grep -c -e '-->' "$place/$1.out.vtt" || true) cues, $(wc -l <"$place/$1.log") complaints"
}
seen "two cues alone" "$(converted plain)" "exit 0, 2 cues, 0 complaints"
seen "two cues behind a style" "$(converted style)" "exit 0, 0 cues, 0 complaints"
seen "two cues behind a region" "$(converted region)" "exit 0, 0 cues, 0 complaints"
seen "what became of &lt;sighs&gt; At last." "$(grep sighs "$place/plain.out.vtt")" "<sighs> At last."
