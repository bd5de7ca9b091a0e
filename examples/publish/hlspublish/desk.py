"""The work folder of one video: lock, resume, and the rename that makes the video visible.

It lies inside the streams' folder, as `.publish/VIDEO`, so that the last step is a rename on one file system. A name
that begins with a dot is never a video id, so the gate refuses it and nginx serves nothing from it.
"""
import errno
import fcntl
import os
import shutil
import time
from pathlib import Path

from .catalogue import Folders
from .errors import Busy
from .package import REVISION_PREFIX

WORK = ".publish"
# What `--again` replaced stays for those who are watching it, and goes with the next time after this.
KEEP_SECONDS = 24 * 3600
SUPERSEDED = ".superseded"


class Desk:
    """`with Desk(…) as desk:` holds the lock. The folder stays until `discard`, so that a next run finds it."""

    def __init__(self, folders: Folders, video: str) -> None:
        self.folders, self.video = folders, video
        self.folder = folders.streams / WORK / video

    def __enter__(self) -> "Desk":
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._descriptor)
                raise Busy("another process is publishing this video", "let it finish") from None
            # Who held the lock before may have discarded the folder between our two steps.
            try:
                if os.fstat(self._descriptor).st_ino == self.folder.stat().st_ino:
                    return self
            except FileNotFoundError:
                pass
            os.close(self._descriptor)

    def __exit__(self, *_exception) -> None:
        os.close(self._descriptor)

    def prepare(self, fingerprint: str) -> bool:
        """Clears work that was made for other settings. True if there is work to go on from."""
        mark = self.folder / "plan"
        if mark.exists() and mark.read_text() == fingerprint:
            return True
        self._clear()
        part = self.folder / "plan.part"
        part.write_text(fingerprint)
        part.rename(mark)
        return False

    def used_bytes(self) -> int:
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())

    def install(self) -> None:
        """Shows the video: what the stream refers to first, the stream last. May be repeated after an interruption."""
        made = [
            (self.folder / "segments", self.folders.segments / self.video),
            (self.folder / "preview" / "stream", self.folders.preview(self.video)),
            (self.folder / "poster.jpg", self.folders.poster(self.video)),
            (self.folder / "stream", self.folders.stream(self.video)),
        ]
        for source, target in made:
            if source.exists():
                self._move(source, target)

    def _move(self, source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.stat().st_dev != target.parent.stat().st_dev:
            source = _copy_beside(source, target)
        revisions = [child for child in source.glob(f"{REVISION_PREFIX}*")] if source.is_dir() else []
        if revisions and any(target.glob(f"{REVISION_PREFIX}*")):
            self._add(source, target, revisions)
        elif target.is_dir():
            self._swap(source, target)
        else:
            source.rename(target)

    def _add(self, source: Path, target: Path, revisions: list[Path]) -> None:
        """A new revision beside those that are being watched; then the master playlist, which leads to it, by a rename."""
        old = [child for child in target.glob(f"{REVISION_PREFIX}*") if child.name not in [r.name for r in revisions]]
        for revision in revisions:
            revision.rename(target / revision.name)
        if (source / "master.m3u8").exists():
            (source / "master.m3u8").replace(target / "master.m3u8")
        source.rmdir()
        for child in old:
            # Its age counts from when it was last the film.
            if time.time() - child.stat().st_mtime > KEEP_SECONDS and (child / SUPERSEDED).exists():
                shutil.rmtree(child)
            elif not (child / SUPERSEDED).exists():
                (child / SUPERSEDED).touch()
                os.utime(child)

    def _swap(self, source: Path, target: Path) -> None:
        """For a folder from before there were revisions."""
        old = self.folder / f"old-{target.parent.name}"
        shutil.rmtree(old, ignore_errors=True)
        try:
            target.rename(old)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            old = target.with_name(f".{target.name}.old")
            target.rename(old)
        source.rename(target)
        shutil.rmtree(old)

    def discard(self) -> None:
        self._clear()
        self.folder.rmdir()
        try:
            self.folder.parent.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise

    def _clear(self) -> None:
        for child in self.folder.iterdir():
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()


def _copy_beside(source: Path, target: Path) -> Path:
    """Onto the target's file system under a name that nothing serves, for the rename that follows."""
    incoming = target.with_name(f".{target.name}.incoming")
    if source.is_dir():
        shutil.rmtree(incoming, ignore_errors=True)
        shutil.copytree(source, incoming)
    else:
        shutil.copy2(source, incoming)
    return incoming
