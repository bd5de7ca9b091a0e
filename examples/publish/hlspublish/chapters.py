"""Chapters: from the file itself, or from a text beside it (`film.chapters.txt`), as WebVTT for the page's player.

The text has one line for each chapter, `1:02:03 Its title`, as people write them below videos.
"""
import os
import re
from dataclasses import dataclass
from pathlib import Path

from . import captions
from .captions import Cue
from .errors import Refused

SUFFIX = ".chapters.txt"
_LINE = re.compile(r"((?:\d+:)?\d+:\d\d(?:\.\d+)?)\s+(?:[-–—]\s*)?(\S.*)")


@dataclass(frozen=True)
class Chapter:
    start: float  # seconds from the film's beginning
    title: str


def beside(video: Path) -> Path | None:
    """The text with the chapters of `video`, if there is one."""
    file = video.with_name(video.stem + SUFFIX)
    # Not `is_file`, which fails where the longer name is too long for the file system.
    return file if os.path.isfile(file) else None


def of_answer(answer: dict, start: float) -> tuple[Chapter, ...]:
    """From ffprobe's answer; chapters without a title are counted."""
    found = []
    for number, said in enumerate(answer.get("chapters", []), 1):
        title = (said.get("tags") or {}).get("title", "").strip() or str(number)
        found.append(Chapter(max(0.0, float(said["start_time"]) - start), title))
    return tuple(sorted(found, key=lambda chapter: chapter.start))


def read(file: Path) -> tuple[Chapter, ...]:
    """Errors: `Refused` for a line that is none, so that a chapter is not lost unnoticed."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(f"the chapters {file.name} are not in UTF-8", "save the file as UTF-8") from error
    found: list[Chapter] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        parts = _LINE.fullmatch(line.strip())
        chapter = Chapter(captions.seconds(parts[1]), parts[2].strip()) if parts else None
        if chapter is None or found and chapter.start <= found[-1].start:
            raise Refused(f"line {number} of the chapters {file.name} is none that follows the one before: {line.strip()!r}",
                          "write a time and a title in each line, in their order, such as `1:02:03 The way home`")
        found.append(chapter)
    return tuple(found)


def render(chapters: tuple[Chapter, ...], seconds: float) -> str:
    """WebVTT, each chapter until the next; "" if none begins within `seconds`."""
    kept = [chapter for chapter in chapters if chapter.start < seconds]
    ends = [*(chapter.start for chapter in kept[1:]), seconds]
    # Titles are plain text, and what looks like markup in them is shown.
    cues = tuple(Cue(c.start, end, "", c.title.replace("&", "&amp;").replace("<", "&lt;").replace("-->", "--&gt;"))
                 for c, end in zip(kept, ends) if end > c.start)
    return captions.render(cues) if cues else ""
