"""Text subtitles → WebVTT: one whole file for a page's `<track>`, and segments for HLS.

They come from the video itself and from files beside it: `film.srt`, `film.en.vtt`, `film.pt-BR.srt`.
"""
import re
from dataclasses import dataclass
from pathlib import Path

from . import ffmpeg, languages
from .errors import Refused
from .probe import Source

SIDECAR_SUFFIXES = (".srt", ".vtt")
# Beyond this a caption file is not one.
MAX_BYTES = 16 * 1024 * 1024
# Where the pictures of a transport stream begin (90 kHz ticks); see `package`.
TS_START_TICKS = 900_000

_TIMING = re.compile(r"((?:\d+:)?\d\d:\d\d\.\d{3})\s+-->\s+((?:\d+:)?\d\d:\d\d\.\d{3})(.*)")


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


def collect(source: Source, work: Path) -> list[Captions]:
    """All captions of a video, embedded ones first. Errors: `Refused` for a caption file that is none."""
    found: list[tuple[str, str, bool, tuple[Cue, ...]]] = []
    work.mkdir(exist_ok=True)
    for track, text in zip(source.subtitles, _extract(source, work)):
        found.append((track.language, track.title, track.forced, parse(text)))
    for file, language in sidecars(source.path):
        found.append((language, "", False, _read_sidecar(file, work)))
    named: list[Captions] = []
    for language, title, forced, cues in found:
        if not cues:
            continue  # an empty track; a player would show a menu entry that does nothing
        name = unique(language, [c.name for c in named])
        label = unique(title or languages.label(language, "Captions"), [c.label for c in named])
        named.append(Captions(name, language, label, forced, cues))
    return named


def _extract(source: Source, work: Path) -> list[str]:
    """The embedded text tracks as WebVTT; the file is read once for all of them."""
    if not source.subtitles:
        return []
    outputs = [work / f"{track.index}.vtt" for track in source.subtitles]
    arguments = ["-v", "error", "-copyts", "-start_at_zero", *ffmpeg.media_input(source.path)]
    for track, output in zip(source.subtitles, outputs):
        arguments += ["-map", f"0:{track.index}", "-c:s", "webvtt", "-f", "webvtt", str(output)]
    try:
        ffmpeg.ffmpeg(arguments)
    except ffmpeg.ToolFailed as error:
        raise Refused(f"its subtitles cannot be read: {error.last_line}",
                      "take them out of the file and put them beside it as .srt") from error
    return [output.read_text(encoding="utf-8") for output in outputs]


def _read_sidecar(file: Path, work: Path) -> tuple[Cue, ...]:
    if file.stat().st_size > MAX_BYTES:
        raise Refused(f"the captions {file.name} are larger than {MAX_BYTES >> 20} MiB", "check what is in that file")
    data = file.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")  # what editors wrote before UTF-8
    copy, output = work / f"sidecar{file.suffix.lower()}", work / "sidecar.out.vtt"
    copy.write_text(text.replace("\r\n", "\n").replace("\r", "\n"), encoding="utf-8")
    try:
        ffmpeg.ffmpeg(["-v", "error", *ffmpeg.media_input(copy, ffmpeg.SUBTITLE_FORMATS),
                       "-c:s", "webvtt", "-f", "webvtt", str(output)])
        cues = parse(output.read_text(encoding="utf-8"))
    except ffmpeg.ToolFailed:
        cues = ()
    if not cues:
        raise Refused(f"the captions {file.name} hold no caption that could be read",
                      "save them as SubRip (.srt) or WebVTT (.vtt) in UTF-8, or take the file away")
    return cues


def parse(vtt: str) -> tuple[Cue, ...]:
    """The cues of a WebVTT text in the order of their beginning; notes, styles and regions are left out."""
    cues = []
    for block in re.split(r"\n\s*\n", vtt.replace("\r\n", "\n")):
        lines = block.strip("\n").split("\n")
        for n, line in enumerate(lines[:2]):  # an identifier may stand before the timing
            timing = _TIMING.match(line)
            if timing:
                start, end = _seconds(timing[1]), _seconds(timing[2])
                text = "\n".join(lines[n + 1:]).strip()
                if text and end > start:
                    cues.append(Cue(start, end, timing[3].strip(), text))
                break
    return tuple(sorted(cues, key=lambda cue: (cue.start, cue.end)))


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


def _seconds(clock: str) -> float:
    seconds = 0.0
    for part in clock.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    return (f"{milliseconds // 3_600_000:02}:{milliseconds // 60_000 % 60:02}:"
            f"{milliseconds // 1000 % 60:02}.{milliseconds % 1000:03}")
