"""Arguments, exit codes, what a person reads.

Standard output gets one line for each published video, `ID FILE`; all else goes to standard error.
Exit: 0 all done, 1 something was refused or does not conform, 2 wrong usage, 130 or 143 interrupted.
"""
import argparse
import codecs
import math
import os
import re
import signal
import sys
from pathlib import Path

from . import ffmpeg, ladder
from .catalogue import Folders
from .conform import Check
from .errors import Interrupted, Later, Refused, printable
from .plan import Settings
from .progress import Progress
from .publish import Job, publish
from .watch import Watch

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    problem = _problem(options)
    if problem:
        parser.error(problem)
    # Whatever letters a file's name has, and the terminal lacks.
    sys.stdout.reconfigure(errors="backslashreplace")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        ffmpeg.require_tools()
        if options.check:
            return _check(options)
        os.nice(options.nice)
        return _watch(options) if options.watch else _publish_files(options)
    except Refused as error:
        _complain("", error)
        return 1
    except Interrupted as stop:
        print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return 128 + stop.signal_number


def _interrupt(number: int, _frame) -> None:
    raise Interrupted(number)


def _publish_files(options: argparse.Namespace) -> int:
    failures = 0
    for file in options.files:
        try:
            _publish_one(Path(file), options)
        except Refused as error:
            _complain(file, error)
            failures += 1
    return 1 if failures else 0


def _publish_one(path: Path, options: argparse.Namespace) -> str:
    progress = Progress(printable(path.name), quiet=options.quiet)
    video = publish(path, _job(options), progress)
    print(f"{video} {printable(str(path))}", flush=True)
    return video


def _watch(options: argparse.Namespace) -> int:
    folder = Path(options.watch)
    if not folder.is_dir():
        raise Refused(f"{folder} is not a folder", "make it, or name another one with --watch")
    watch = Watch(
        folder=folder, settle=options.settle,
        done=Path(options.done) if options.done else folder / "published",
        refused=Path(options.refused) if options.refused else folder / "refused",
        publish=lambda path: _publish_one(path, options),
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    try:
        watch.run(options.once)
    except OSError as error:
        raise Later(f"{error.filename or folder}: {error.strerror or error}", "check the folders' owner and mode") from error
    return 0


def _check(options: argparse.Namespace) -> int:
    """`--check FOLDER`: one stream, or a folder of streams."""
    folder = Path(options.check)
    streams = [folder] if (folder / "master.m3u8").exists() else sorted(
        child for child in folder.glob("*") if child.is_dir() and not child.name.startswith("."))
    if not streams:
        raise Refused(f"{folder} holds no stream", "name a folder with a master.m3u8 in it, or a folder of such folders")
    failures = 0
    for stream in streams:
        url, segments = "", None
        if options.segments_url:
            url, segments = f"{options.segments_url.rstrip('/')}/{stream.name}/", _folders(options).segments / stream.name
        check = Check(stream, url, segments)
        problems = check.run()
        failures += bool(problems)
        print(f"{stream}: {'conforms' if not problems else f'{len(problems)} problem(s)'}")
        for problem in problems:
            print(f"  {problem}")
        for one in check.measured:
            print(f"  {one.uri}: {one.peak / 1000:.0f} kbit/s at the peak, {one.average / 1000:.0f} on average")
        for rule in check.unheld:
            print(f"  not as Apple asks: {rule}")
    return 1 if failures else 0


def _job(options: argparse.Namespace) -> Job:
    settings = Settings(
        container=options.container, rungs=options.ladder, preset=options.preset, loudness=options.loudness,
        encrypt=options.encrypt, segments_url=options.segments_url or "", preview=options.preview,
        poster_at=options.poster_at, chunk=options.chunk,
        accept_damage=options.accept_damage, captions_encoding=options.captions_encoding,
        codecs=options.codecs, download=options.download,
    )
    return Job(settings, _folders(options), options.jobs, options.title, options.description, options.again)


def _folders(options: argparse.Namespace) -> Folders:
    out = Path(options.out)

    def absolute(chosen: str | None, usual: str) -> Path:
        """FFmpeg takes a relative path such as `a:b` for a protocol, and `-x` for an option."""
        return (Path(chosen) if chosen else out / usual).absolute()
    return Folders(
        streams=absolute(options.streams, "hls"), posters=absolute(options.posters, "posters"),
        previews=absolute(options.previews, "previews"), segments=absolute(options.segments, "segments"),
        catalogue=absolute(options.catalogue, "videos.json"),
        streams_url=options.streams_path, posters_url=options.posters_path, previews_url=options.previews_path,
    )


def _problem(options: argparse.Namespace) -> str:
    """What is wrong with the options together, or nothing."""
    if sum(map(bool, (options.files, options.watch, options.check))) != 1:
        return "name FILEs, or --watch FOLDER, or --check FOLDER"
    if "av1" in options.codecs and options.container != "fmp4":
        return "--codecs av1 needs --container fmp4; no player reads AV1 from MPEG-TS"
    if options.download and options.segments_url:
        return "--download puts the film in one piece behind the gate; with --segments-url it is on the CDN in pieces"
    if options.once and not options.watch:
        return "--once belongs to --watch"
    if (options.title or options.description) and len(options.files) != 1:
        return "--title and --description need exactly one FILE"
    if options.segments_url and not options.check and not options.encrypt:
        return "--segments-url puts the segments where everybody can fetch them; it needs --encrypt"
    return ""


def _complain(name: str, error: Refused) -> None:
    print(f"error: {printable(f'{name}: ' if name else '')}{printable(error.message)}", file=sys.stderr)
    if error.hint:
        print(f"  hint: {error.hint}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="publish", allow_abbrev=False, description="Turns videos into HLS streams for nginx and its gate.",
        epilog="All options are explained in docs/publishing.md.")
    what = parser.add_argument_group("what to do")
    what.add_argument("files", metavar="FILE", nargs="*", help="videos to publish")
    what.add_argument("--watch", metavar="FOLDER", help="publish what is put into this folder, until stopped")
    what.add_argument("--once", action="store_true", help="with --watch: stop when the folder is empty")
    what.add_argument("--check", metavar="FOLDER", help="check a published stream, or a folder of them")

    stream = parser.add_argument_group("the stream")
    stream.add_argument("--container", choices=("fmp4", "ts"), default="fmp4", help="segments' format (default fmp4)")
    stream.add_argument("--ladder", metavar="SIDES", type=_rungs, default=ladder.DEFAULT_RUNGS,
                        help="short sides in pixels, such as 1080,720,480; never enlarged")
    stream.add_argument("--preset", choices=PRESETS, default="medium", help="x264's preset (default medium)")
    stream.add_argument("--codecs", metavar="NAMES", type=_codecs, default=("h264",),
                        help="h264, or h264,av1 for AV1 beside it (default h264)")
    stream.add_argument("--loudness", action="store_true", help="bring the sound to -16 LUFS (EBU R 128, two passes)")
    stream.add_argument("--preview", metavar="SECONDS", type=_positive, default=0.0,
                        help="a free preview of the first SECONDS, outside the gate")
    stream.add_argument("--poster-at", metavar="SECOND", type=_not_negative, help="take the poster from this second")
    stream.add_argument("--download", action="store_true", help="also an MP4 to download, behind the gate, in the clear")
    stream.add_argument("--encrypt", action="store_true", help="AES-128, the key under the gate")
    stream.add_argument("--segments-url", metavar="URL", type=_url,
                        help="with --encrypt: where a CDN serves the segments, which go to their own folder")
    stream.add_argument("--captions-encoding", metavar="NAME", type=_encoding, default="",
                        help="of caption files beside the videos, such as cp1251 (default: UTF-8, or what is found out)")
    stream.add_argument("--accept-damage", action="store_true", help="publish a damaged file as it is, with stills and gaps")
    stream.add_argument("--again", action="store_true", help="make an already published video anew")
    stream.add_argument("--title", default="", help="title in videos.json (default: the file's own, or its name)")
    stream.add_argument("--description", default="", help="description in videos.json")

    where = parser.add_argument_group("where it goes")
    where.add_argument("--out", metavar="FOLDER", default=".", help="folder of all that follow (default: this one)")
    for name, default in (("streams", "hls"), ("posters", "posters"), ("previews", "previews"), ("segments", "segments")):
        where.add_argument(f"--{name}", metavar="FOLDER", help=f"default OUT/{default}")
    where.add_argument("--catalogue", metavar="FILE", help="default OUT/videos.json")
    for name, default in (("streams", "/hls"), ("posters", "/posters"), ("previews", "/previews")):
        where.add_argument(f"--{name}-path", metavar="PATH", type=_url_path, default=default,
                           help=f"the URL path nginx serves them under (default {default})")

    how = parser.add_argument_group("how it works")
    how.add_argument("--jobs", metavar="N", type=_count, default=default_jobs(),
                     help="FFmpeg processes at a time (default %(default)s here: one for every 8 cores)")
    how.add_argument("--chunk", metavar="SECONDS", type=_positive, default=60.0,
                     help="work that an interruption can cost, at most (default 60)")
    how.add_argument("--nice", metavar="N", type=_niceness, default=10, help="lower priority than nginx (default 10)")
    how.add_argument("--settle", metavar="SECONDS", type=_positive, default=10.0,
                     help="with --watch: a file is complete when unchanged for so long (default 10)")
    how.add_argument("--done", metavar="FOLDER", help="with --watch: where published files go (default FOLDER/published)")
    how.add_argument("--refused", metavar="FOLDER", help="with --watch: where refused files go (default FOLDER/refused)")
    how.add_argument("--quiet", action="store_true", help="no progress, only errors")
    return parser


def default_jobs() -> int:
    """One FFmpeg with its several encoders keeps about eight cores busy."""
    return max(1, min(4, len(os.sched_getaffinity(0)) // 8))


def _rungs(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d{2,4}(,\d{2,4})*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of short sides; write 1080,720,480")
    return tuple(sorted({int(part) for part in text.split(",")}, reverse=True))


def _codecs(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if names[0] != "h264" or len(set(names)) != len(names) or not set(names) <= set(ladder.CODECS):
        raise argparse.ArgumentTypeError(f"{text!r} is none of: h264 (which every player takes), h264,av1")
    return names


def _encoding(text: str) -> str:
    try:
        return codecs.lookup(text).name if text else ""
    except LookupError:
        raise argparse.ArgumentTypeError(f"{text!r} is no encoding that Python knows; write cp1251 or utf-16") from None


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def _positive(text: str) -> float:
    if _number(text) <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return float(text)


def _not_negative(text: str) -> float:
    if _number(text) < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return float(text)


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 99")
    return int(text)


def _niceness(text: str) -> int:
    if not re.fullmatch(r"1?\d", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 19")
    return int(text)


def _url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s\"'?#]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no address; write https://cdn.example/films, without a query")
    return text


def _url_path(text: str) -> str:
    if not re.fullmatch(r"/[A-Za-z0-9._~/-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no path; write /hls")
    return text.rstrip("/")
