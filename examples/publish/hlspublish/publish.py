"""One file from start to end."""
import errno
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import captions, catalogue, ladder, plan, poster
from .catalogue import Folders
from .conform import Check
from .desk import Desk
from .encode import encode
from .errors import Later, NoSpace, Refused
from .ffmpeg import ToolFailed
from .package import package
from .plan import Plan, Settings
from .probe import Source, probe
from .progress import Progress

ID_HEX_DIGITS = 16
READ_BLOCK = 1 << 20


@dataclass(frozen=True)
class Job:
    """What to do with a file, beside the stream's settings."""

    settings: Settings
    folders: Folders
    jobs: int = 1
    title: str = ""
    description: str = ""
    again: bool = False


def publish(path: Path, job: Job, progress: Progress) -> str:
    """Publishes `path` and returns the video's id.

    Errors: `Refused` (and its kinds); then nothing of the video stays behind. `Interrupted`: what is finished stays in
    the work folder, and the same call goes on from there.
    """
    try:
        progress.stage("looking at it")
        before = _state(path)
        source = probe(path, job.settings.accept_damage)
        catalogue.check_readable(job.folders.catalogue)
        video = content_id(path, progress)
        if is_published(job.folders, video) and not job.again:
            _renew_entry(source, job, video, progress)
            return video
        with Desk(job.folders, video) as desk:
            try:
                _publish(source, job, video, desk, progress, before)
            except (Exception, KeyboardInterrupt):
                desk.discard()
                raise
        return video
    except ToolFailed as error:
        raise Refused(f"{error}", "see whether a player plays the file; if it does, please report this") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace("the disk is full", "free some space and publish again") from error
        kind = Refused if error.filename == str(path) else Later
        raise kind(f"{error.filename or 'a file'}: {error.strerror or error}", "check the folders' owner and mode") from error
    finally:
        progress.end()


def content_id(path: Path, progress: Progress) -> str:
    """The first 16 hex digits of the content's SHA-256: the same film has the same id, whatever it is called."""
    digest, read = hashlib.sha256(), 0
    progress.stage("reading", path.stat().st_size)
    with path.open("rb") as file:
        while block := file.read(READ_BLOCK):
            digest.update(block)
            read += len(block)
            progress.part("read", read)
    return digest.hexdigest()[:ID_HEX_DIGITS]


def _state(path: Path) -> tuple:
    """Changes while something is still being written to it."""
    if not path.is_file():
        return ()
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def is_published(folders: Folders, video: str) -> bool:
    return (folders.stream(video) / "master.m3u8").is_file()


def _renew_entry(source: Source, job: Job, video: str, progress: Progress) -> None:
    """Already published: only the words in the catalogue can change, and a lost entry comes back."""
    known = catalogue.find(job.folders.catalogue, video) or {}
    title = job.title or known.get("title") or source.title
    description = job.description or known.get("description", "")
    entry = catalogue.entry(job.folders, video, title, description)
    if known | entry != known:
        catalogue.add(job.folders.catalogue, entry)
        progress.say(f"already published as {video}; its entry in {job.folders.catalogue.name} was renewed")
    else:
        progress.say(f"already published as {video} (--again makes it anew)")


def _publish(source: Source, job: Job, video: str, desk: Desk, progress: Progress, before: tuple) -> None:
    main = plan.for_stream(source, job.settings, video)
    preview = plan.for_preview(source, job.settings) if job.settings.preview else None
    prints = [main.fingerprint(source), preview.fingerprint(source) if preview else "", str(job.settings.poster_at)]
    if desk.prepare(hashlib.sha256(" ".join(prints).encode()).hexdigest()):
        progress.say("going on where an earlier run was interrupted")
    else:
        for note in source.notes:
            progress.say(note)
        sizes = ", ".join(f"{r.width}x{r.height}" for r in main.renditions)
        progress.say(f"{video}: {sizes}, {float(main.rate):g} frames a second, {main.seconds:.1f} s")
    _space(source, [p for p in (main, preview) if p], desk)
    picture = desk.folder / "poster.jpg"
    if not picture.exists():
        poster.make(source, job.settings.poster_at, picture)
    found = captions.collect(source, desk.folder / "subtitles", job.settings.captions_encoding, progress.say)
    _make(source, main, found, desk.folder, job.jobs, progress)
    _conform(desk.folder / "stream", main.segments_url, desk.folder / "segments", progress)
    if preview:
        folder = desk.folder / "preview"
        folder.mkdir(exist_ok=True)
        _make(source, preview, found, folder, job.jobs, progress)
        _conform(folder / "stream", "", None, progress)
    if _state(source.path) != before:
        raise Refused("the file changed while it was being published", "publish it once it is complete")
    desk.install()
    # Only now, for copying to another disk takes long, and the operator may have changed the words meanwhile.
    known = catalogue.find(job.folders.catalogue, video) or {}
    title = job.title or known.get("title") or source.title
    description = job.description or known.get("description", "")
    catalogue.add(job.folders.catalogue, catalogue.entry(job.folders, video, title, description))
    desk.discard()
    progress.say(f"published as {video}")


def _make(source: Source, made: Plan, found: list[captions.Captions], work: Path, jobs: int, progress: Progress) -> None:
    encode(source, made, work, jobs, progress)
    package(source, made, found, work, progress)


def _space(source: Source, plans: list[Plan], desk: Desk) -> None:
    """Asks the disk before hours are spent; being full in mid-encode is met as well, but costs those hours."""
    needed = sum(ladder.disk_bytes(list(p.renditions), p.seconds, len(source.audio)) for p in plans) - desk.used_bytes()
    free = shutil.disk_usage(desk.folder).free
    if free < needed:
        raise NoSpace(f"there may not be enough disk space: up to {_size(needed)} are needed, and {_size(free)} are free",
                      f"free some on the file system of {desk.folders.streams}, or make fewer renditions with --ladder")


def _conform(stream: Path, segments_url: str, segments: Path | None, progress: Progress) -> None:
    progress.stage("checking")
    problems = Check(stream, segments_url, segments if segments_url else None).run()
    if problems:
        raise Refused("the stream that was made of it does not pass its check: " + "; ".join(problems),
                      "please report this with the first lines of `ffprobe FILE`")


def _size(number: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if number < 1024 or unit == "GiB":
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1024
    raise AssertionError("unreachable")
