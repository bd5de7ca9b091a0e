"""A folder as a letter-box: files that have come to rest are published, then moved out.

A file is taken when its size and time have not changed for a while, so an upload in progress is left alone; names that
begin with a dot are never looked at. Published files go to one folder, refused ones to another with the reason beside
them. Nothing is deleted. What is not the file's fault (a full disk, a broken catalogue) leaves it where it is, for later.
"""
import contextlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from . import captions, chapters
from .errors import Later, Refused, printable

LOOK_EVERY = 1.0  # seconds
RETRY_AFTER = 60.0
# Captions may come before their video; and what is still named as an upload in progress may have stalled.
PATIENCE = 60
PARTIAL_SUFFIXES = (".part", ".partial", ".filepart", ".crdownload", ".tmp", ".download")


class Watch:
    """- `settle`: seconds for which a file must not have changed.
    - `publish(path)`: publishes one file; raises `Refused`.
    - `say(text)`: tells the operator.
    """

    def __init__(self, folder: Path, done: Path, refused: Path, settle: float,
                 publish: Callable[[Path], str], say: Callable[[str], None]) -> None:
        self.folder, self.done, self.refused, self.settle = folder, done, refused, settle
        self.publish, self.say = publish, say
        self._seen: dict[Path, tuple[tuple, float]] = {}
        self._not_before: dict[Path, float] = {}
        self.failures = 0

    def run(self, once: bool) -> None:
        """For ever; with `once` until the folder holds nothing that could be published."""
        while True:
            waiting = self.look()
            if once and not waiting:
                return
            time.sleep(LOOK_EVERY)

    def look(self) -> bool:
        """One look around: publishes what has settled. False when there is nothing left to wait for."""
        present = self._present()
        self._seen = {path: seen for path, seen in self._seen.items() if path in present}
        now = time.monotonic()
        for path in present:
            state = _state(path)
            if path not in self._seen or self._seen[path][0] != state:
                self._seen[path] = (state, now)
        for path in present:
            if os.path.lexists(path) and self._settled(path, self._wait(path)) and self._not_before.get(path, 0) <= now:
                self._take(path)
        return bool(self._present())

    def _present(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir()
                      if not path.name.startswith(".") and path not in (self.done, self.refused))

    def _wait(self, path: Path) -> float:
        slow = path.suffix.lower() in PARTIAL_SUFFIXES or _is_caption(path)
        return self.settle * (PATIENCE if slow else 1)

    def _settled(self, path: Path, wait: float) -> bool:
        """Whether `path`, and the captions that belong to it, have not changed for `wait` seconds."""
        own = [path, *(file for file, _ in captions.sidecars(path)), *_chapters(path)] if path.is_file() else [path]
        now = time.monotonic()
        return all(p in self._seen and self._seen[p][0] == _state(p) and now - self._seen[p][1] >= wait for p in own)

    def _take(self, path: Path) -> None:
        beside = [*(file for file, _ in captions.sidecars(path)), *_chapters(path)] if path.is_file() and not _is_caption(path) else []
        if any(file.is_symlink() for file in (path, *beside)):
            # Whoever may put files here need not be allowed to read what a link of theirs can name.
            self._refuse(path, beside, "it is, or its captions are, a link\n  hint: put the file itself here")
            return
        if path.is_dir():
            self._refuse(path, [], "it is a folder\n  hint: put the video files themselves here")
            return
        if _is_caption(path):
            self._refuse(path, [], "no video of that name came\n  hint: name captions like the video (film.en.srt for"
                                   " film.mp4) and put them here before it")
            return
        try:
            self.publish(path)
        except Later as error:
            self.say(f"{printable(path.name)}: {error.message}; next try in {RETRY_AFTER:.0f} s")
            self._not_before[path] = time.monotonic() + RETRY_AFTER
        except Refused as error:
            self._refuse(path, beside, f"{error.message}\n  hint: {error.hint}")
        else:
            for file in [*beside, path]:
                _move(file, self.done)

    def _refuse(self, path: Path, beside: list[Path], reason: str) -> None:
        moved = _move(path, self.refused)
        if moved is None:
            return
        self.failures += 1
        reason = f"{printable(path.name)}: {reason}\n"
        self.say(f"error: {reason.rstrip()}")
        for file in beside:
            _move(file, self.refused)
        with contextlib.suppress(OSError):  # a name too long for the suffix; the log has the reason as well
            moved.with_name(moved.name + ".why.txt").write_text(reason, encoding="utf-8", errors="replace")


def _is_caption(path: Path) -> bool:
    return path.suffix.lower() in captions.SIDECAR_SUFFIXES or path.name.endswith(chapters.SUFFIX)


def _chapters(video: Path) -> list[Path]:
    file = chapters.beside(video)
    return [file] if file else []


def _state(path: Path) -> tuple:
    """Changes while something is still being written. A link counts as itself, wherever it leads."""
    try:
        if path.is_dir() and not path.is_symlink():
            return tuple(sorted((str(p), p.lstat().st_size, p.lstat().st_mtime_ns) for p in path.rglob("*")))
        stat = path.lstat()
        return stat.st_size, stat.st_mtime_ns, stat.st_ino
    except FileNotFoundError:
        return ()


def _move(path: Path, folder: Path) -> Path | None:
    """Into `folder`, beside whatever has the same name there. None when it is gone: another worker took it, or its owner."""
    if not os.path.lexists(path):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    target, n = folder / path.name, 1
    while os.path.lexists(target):
        n += 1
        target = folder / f"{path.stem}.{n}{path.suffix}"
    try:
        shutil.move(path, target)
    except FileNotFoundError:
        if os.path.lexists(path):
            raise
        return None
    return target
