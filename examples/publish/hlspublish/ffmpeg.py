"""Runs ffmpeg and ffprobe: no shell, no standard input, only local files, and no child that outlives us.

Every input is opened with a list of permitted formats. Without it a "video" that is really a playlist could make
ffmpeg read other files of this machine, or fetch addresses of its network.
"""
import functools
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from .errors import NoSpace, Refused

# Demuxers for what people film, export or download. Left out on purpose: hls, dash, concat, image2, sdp and every
# other format whose file names further files or addresses. Sound formats are in, for a clearer refusal.
INPUT_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,flv,asf,ogg,mxf,gif,dv,rm,nut,ivf,"
    "mp3,wav,flac,aac,ac3,aiff,w64,caf,yuv4mpegpipe,apng"
)

_running: set[subprocess.Popen] = set()
_running_lock = threading.Lock()
_stopping = threading.Event()


class ToolFailed(Exception):
    """ffmpeg or ffprobe ended with an error; `stderr` is what it said."""

    def __init__(self, tool: str, stderr: str) -> None:
        self.stderr = stderr.strip()
        super().__init__(f"{tool}: {self.last_line}")

    @property
    def last_line(self) -> str:
        lines = [line for line in self.stderr.splitlines() if line.strip()]
        # Where levels are shown, an error is the reason, and not what was said after it.
        errors = [line for line in lines if "[error]" in line or "[fatal]" in line] or lines
        return re.sub(r"\[(error|fatal|warning|info)\] ", "", errors[-1].strip()) if errors else "it gave no reason"


class Stopped(Exception):
    """The run is being stopped; this child was ended, or not begun."""


def media_input(path: Path, formats: str = INPUT_FORMATS) -> list[str]:
    """Options that open `path` as a local file of a permitted format. `file:` keeps odd names from being protocols."""
    return ["-protocol_whitelist", "file", "-format_whitelist", formats, "-i", f"file:{path.resolve()}"]


def ffmpeg(arguments: list[str], on_progress: Callable[[int, float], None] | None = None, folder: Path | None = None,
           on_line: Callable[[str], bool] | None = None, keep: int = 200) -> str:
    """Runs ffmpeg and returns what it wrote to standard error, at most about `keep` lines of it. It runs in `folder`.

    `on_progress(frames, seconds)` is called about twice a second with what has been written so far, `on_line` with each
    line of standard error; where it returns true, the line is not kept.
    Errors: `NoSpace` when a disk is full, `ToolFailed` for the rest, `Stopped` after `stop_all`.
    """
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-y", "-nostats", "-progress", "pipe:1", *arguments]
    with _child(command, folder) as child:
        errors = _Collector(child.stderr, on_line, keep)
        frames = 0
        for line in child.stdout:
            name, _, value = line.strip().partition("=")
            if name == "frame" and value.isdigit():
                frames = int(value)
            elif name == "out_time_us" and on_progress is not None and value.lstrip("-").isdigit():
                on_progress(frames, max(0, int(value)) / 1_000_000)
        stderr = errors.text()
        _judge("ffmpeg", child.wait(), stderr)
        return stderr


def ffprobe_json(arguments: list[str]) -> dict:
    """ffprobe's answer as JSON."""
    return json.loads("".join(ffprobe_lines(["-of", "json", *arguments])) or "{}")


def ffprobe_lines(arguments: list[str]) -> Iterator[str]:
    """ffprobe's answer line by line, for the listings of packets that are too long to hold."""
    with _child(["ffprobe", "-hide_banner", "-v", "error", *arguments]) as child:
        errors = _Collector(child.stderr)
        yield from child.stdout
        _judge("ffprobe", child.wait(), errors.text())


def stop_all() -> None:
    """Ends every child and lets no new one begin."""
    _stopping.set()
    with _running_lock:
        for child in _running:
            child.terminate()


def allow_children() -> None:
    """Takes `stop_all` back: the next file may begin."""
    _stopping.clear()


@functools.cache
def has_filter(name: str) -> bool:
    listing = subprocess.run(["ffmpeg", "-hide_banner", "-filters"], capture_output=True, text=True, check=False)
    return any(line.split()[1:2] == [name] for line in listing.stdout.splitlines())


def require_tools() -> None:
    for tool in ("ffmpeg", "ffprobe"):
        if shutil.which(tool) is None:
            raise Refused(f"{tool} was not found", "install it (Debian: apt install ffmpeg)")


@functools.cache
def _guard() -> tuple[str, ...]:
    """What a command begins with so that the kernel ends it should we be killed outright.

    It must not go on writing into a work folder that the next run has taken over. In a sandbox without capabilities
    setpriv may not start; there systemd ends what is left of a service, and the guard is not needed.
    """
    guard = ("setpriv", "--pdeathsig", "KILL")
    if shutil.which("setpriv") is None:
        return ()
    tried = subprocess.run([*guard, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return guard if tried.returncode == 0 else ()


class _child:
    """A child process that is ended and reaped when the block is left, however it is left."""

    def __init__(self, command: list[str], folder: Path | None = None) -> None:
        self.command = [*_guard(), *command]
        self.folder = folder

    def __enter__(self) -> subprocess.Popen:
        with _running_lock:
            if _stopping.is_set():
                raise Stopped
            # A process group of its own: Ctrl-C at a terminal is for us, and a child that it ended too would look as if
            # its file were bad.
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                text=True, encoding="utf-8", errors="replace", process_group=0, cwd=self.folder,
            )
            _running.add(self.process)
        return self.process

    def __exit__(self, *_exception) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        with _running_lock:
            _running.discard(self.process)
        self.process.stdout.close()


class _Collector(threading.Thread):
    """Reads standard error beside standard output, so that neither pipe fills up and blocks the child."""

    def __init__(self, stream, on_line: Callable[[str], bool] | None = None, keep: int = 200) -> None:
        super().__init__(daemon=True)
        self.stream = stream
        self.on_line = on_line
        self.keep = keep  # a damaged file can produce a line for each of its frames
        self.lines: list[str] = []
        self.start()

    def run(self) -> None:
        for line in self.stream:
            if self.on_line is not None and self.on_line(line):
                continue
            self.lines.append(line)
            if len(self.lines) > self.keep:
                del self.lines[self.keep // 2]
        self.stream.close()

    def text(self) -> str:
        self.join()
        return "".join(self.lines)


def _judge(tool: str, status: int, stderr: str) -> None:
    # ffmpeg 5.1 can end with 0 although the last bytes of a file did not fit on the disk, so the text decides first.
    if "No space left on device" in stderr or "Disk quota exceeded" in stderr:
        raise NoSpace("the disk is full", "free some space and publish again")
    if _stopping.is_set():
        raise Stopped
    if status != 0:
        raise ToolFailed(tool, stderr)
