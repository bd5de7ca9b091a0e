"""Text subtitles → WebVTT: one whole file for a page's `<track>`, and segments for HLS.

They come from the video itself and from files beside it: `film.srt`, `film.en.vtt`, `film.pt-BR.srt`.
"""
from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import charset, ffmpeg, languages
from .errors import Refused

if TYPE_CHECKING:
    from .probe import Source

SIDECAR_SUFFIXES = (".srt", ".vtt")
# Beyond this a caption file is not one.
MAX_BYTES = 16 * 1024 * 1024
# Where the pictures of a transport stream begin (90 kHz ticks); see `package`.
TS_START_TICKS = 900_000

_CLOCK = r"((?:\d+:)?\d?\d:\d\d[.,]\d{1,3})"
_TIMING = re.compile(_CLOCK + r"\s*-->\s*" + _CLOCK + r"(.*)")
_SETTING = re.compile(r"(vertical|line|position|size|align|region):\S+\Z")
# A tag; an ampersand that begins no escape; a "less than" that begins no tag.
_PIECE = re.compile(r"</?[A-Za-z0-9][^<>\n]*>|<>|&(?!(?:lt|gt|amp|nbsp|lrm|rlm|#\d+|#x[0-9a-fA-F]+);)|<")
_VTT_TAG = re.compile(r"</?(?:b|i|u|ruby|rt|v|c|lang)(?:[ .][^<>]*)?>|<(?:\d+:)?\d\d:\d\d\.\d{3}>")
_SRT_TAG = re.compile(r"</?[biuBIU]>")
_FONT_TAG = re.compile(r"</?font\b[^<>]*>", re.IGNORECASE)
_ASS_OVERRIDE = re.compile(r"\{\\[^{}]*\}")


@dataclass(frozen=True)
class Cue:
    start: float
    end: float
    settings: str
    text: str


@dataclass(frozen=True)
class Captions:
    """`name` is unique among a video's captions and is the file's and folder's name: `en`, `de-2`."""

    name: str
    language: str
    label: str
    forced: bool
    cues: tuple[Cue, ...]


def sidecars(video: Path) -> list[tuple[Path, str]]:
    """Caption files beside `video` and their languages, in the order of their names."""
    found = []
    for file in sorted(video.parent.iterdir()):
        if file.suffix.lower() not in SIDECAR_SUFFIXES or not file.is_file():
            continue
        if file.stem == video.stem:
            found.append((file, languages.UNDETERMINED))
        elif file.stem.startswith(video.stem + "."):
            rest = file.stem[len(video.stem) + 1:]
            if languages.is_tag(rest):
                found.append((file, languages.tag(rest)))
    return found


def collect(source: Source, work: Path, encoding: str = "", say: Callable[[str], None] = lambda _text: None) -> list[Captions]:
    """All captions of a video, embedded ones first. Errors: `Refused` for a caption file that is none.

    - `encoding`: that of the files beside it, or "" to find out; `say` is told what was assumed.
    """
    found: list[tuple[str, str, bool, tuple[Cue, ...]]] = []
    work.mkdir(exist_ok=True)
    for track, cues in zip(source.subtitles, _extract(source, work)):
        found.append((track.language, track.title, track.forced, cues))
    for file, language in sidecars(source.path):
        found.append((language, "", False, _read_sidecar(file, language, encoding, say)))
    named: list[Captions] = []
    for language, title, forced, cues in found:
        if not cues:
            continue  # an empty track; a player would show a menu entry that does nothing
        name = unique(language, [c.name for c in named])
        label = unique(title or languages.label(language, "Captions"), [c.label for c in named])
        named.append(Captions(name, language, label, forced, cues))
    return named


def _extract(source: Source, work: Path) -> list[tuple[Cue, ...]]:
    """The embedded text tracks; the file is read once for all of them. WebVTT and SubRip are taken as they stand."""
    if not source.subtitles:
        return []
    arguments, outputs = ["-v", "error", "-copyts", "-start_at_zero", *ffmpeg.media_input(source.path)], []
    for track in source.subtitles:
        kind = "webvtt" if track.codec == "webvtt" else "srt"
        outputs.append((work / f"{track.index}.{kind}", kind))
        copied = track.codec in ("webvtt", "subrip")
        arguments += ["-map", f"0:{track.index}", "-c:s", "copy" if copied else "srt", "-f", kind, str(outputs[-1][0])]
    try:
        ffmpeg.ffmpeg(arguments)
    except ffmpeg.ToolFailed as error:
        raise Refused(f"its subtitles cannot be read: {error.last_line}",
                      "take them out of the file and put them beside it as .srt") from error
    return [parse(file.read_text(encoding="utf-8", errors="replace")) for file, _ in outputs]


def _read_sidecar(file: Path, language: str, encoding: str, say: Callable[[str], None]) -> tuple[Cue, ...]:
    if file.stat().st_size > MAX_BYTES:
        raise Refused(f"the captions {file.name} are larger than {MAX_BYTES >> 20} MiB", "check what is in that file")
    try:
        text, assumed = charset.decode(file.read_bytes(), language, encoding)
    except Refused as error:
        raise Refused(f"the captions {file.name}: {error.message}", error.hint) from error
    cues = parse(text)
    if not cues:
        raise Refused(f"the captions {file.name} hold no caption that could be read",
                      "save them as SubRip (.srt) or WebVTT (.vtt) in UTF-8, or take the file away")
    if assumed:
        say(f"the captions {file.name} are not in UTF-8; they are taken for {assumed} (--captions-encoding names another one)")
    return cues


def parse(text: str) -> tuple[Cue, ...]:
    """The cues of a WebVTT or SubRip text in the order of their beginning; notes, styles and regions are left out."""
    cues, vtt = [], text.lstrip("\ufeff").startswith("WEBVTT")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    at = 0
    while at < len(lines):
        timing = _TIMING.match(lines[at].strip())
        at += 1
        if timing is None:
            continue
        body = []
        while at < len(lines) and lines[at].strip() and not _TIMING.match(lines[at].strip()):
            body.append(lines[at].strip())
            at += 1
        # SubRip's next number, where the empty line before it is missing.
        if body and body[-1].isdigit() and at < len(lines) and _TIMING.match(lines[at].strip()):
            body.pop()
        start, end, said = seconds(timing[1]), seconds(timing[2]), clean("\n".join(body), vtt)
        if said and end > start:
            settings = " ".join(part for part in timing[3].split() if _SETTING.match(part) and not part.startswith("region:"))
            cues.append(Cue(start, end, settings if vtt else "", said))
    return tuple(sorted(cues, key=lambda cue: (cue.start, cue.end)))


def clean(text: str, vtt: bool) -> str:
    """Cue text as WebVTT: known tags and escapes stay, and what only looks like one is written so that it is shown."""
    def piece(found: re.Match) -> str:
        tag = found[0]
        if tag.startswith("<"):
            if (_VTT_TAG if vtt else _SRT_TAG).fullmatch(tag):
                return tag if vtt else tag.lower()
            # SubRip's colours and fonts have no like in WebVTT without a style sheet.
            return "" if _FONT_TAG.fullmatch(tag) else tag.replace("<", "&lt;")
        return "&amp;" if tag == "&" else "&lt;"
    if not vtt:
        text = _ASS_OVERRIDE.sub("", text)
    return _PIECE.sub(piece, text).replace("-->", "--&gt;").strip()


def render(cues: tuple[Cue, ...], header: str = "") -> str:
    blocks = ["WEBVTT" + (f"\n{header}" if header else "")]
    blocks += [f"{_clock(c.start)} --> {_clock(c.end)} {c.settings}".rstrip() + f"\n{c.text}" for c in cues]
    return "\n\n".join(blocks) + "\n"


def clipped(cues: tuple[Cue, ...], seconds: float) -> tuple[Cue, ...]:
    """What falls into the first `seconds`."""
    return tuple(Cue(c.start, min(c.end, seconds), c.settings, c.text) for c in cues if c.start < seconds)


def segments(cues: tuple[Cue, ...], starts: list[float], container: str) -> list[str]:
    """One WebVTT text for each span between `starts` (whose last is the end).

    A cue that spans a boundary stands in both segments, as RFC 8216 section 3.5 asks; its times stay those of the film.
    """
    ticks = TS_START_TICKS if container == "ts" else 0
    header = f"X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:{ticks}"
    return [
        render(tuple(c for c in cues if c.start < end and c.end > start), header)
        for start, end in zip(starts, starts[1:])
    ]


def unique(name: str, taken: list[str]) -> str:
    """`name`, or `name-2`, `name-3`, … where it is taken."""
    candidate, n = name, 1
    while candidate in taken:
        n += 1
        candidate = f"{name}-{n}"
    return candidate


def seconds(clock: str) -> float:
    total = 0.0
    for part in clock.split(":"):
        total = total * 60 + float(part.replace(",", "."))
    return total


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    return (f"{milliseconds // 3_600_000:02}:{milliseconds // 60_000 % 60:02}:"
            f"{milliseconds // 1000 % 60:02}.{milliseconds % 1000:03}")
