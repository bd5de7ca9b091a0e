"""What the tests share: clips made once, the command as a user runs it, and looks at what came out."""
import atexit
import functools
import json
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from hlspublish import playlist

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ROOT / "examples" / "publish" / "publish"

# `ultrafast`: the tests look at structure and timing, and not at how well x264 compresses.
FAST = ["--preset", "ultrafast", "--nice", "0"]
# Far beyond what anything here takes, for machines that are busy with other things.
DEADLINE = 180.0

_clips = Path(tempfile.mkdtemp(prefix="hlspublish-clips."))
atexit.register(shutil.rmtree, _clips, ignore_errors=True)


def run_ffmpeg(*arguments: object) -> str:
    """Runs ffmpeg and returns its standard error; a failure shows it."""
    done = subprocess.run(["ffmpeg", "-hide_banner", "-nostdin", "-y", *map(str, arguments)],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"ffmpeg {' '.join(map(str, arguments))}\n{done.stderr}")
    return done.stderr


@functools.cache
def clip(name: str, *arguments: str) -> Path:
    """A clip made by `ffmpeg ARGUMENTS NAME`, once in a test run. Tests copy it before they change it."""
    folder = Path(tempfile.mkdtemp(dir=_clips))
    run_ffmpeg("-v", "error", *arguments, folder / name)
    return folder / name


def opened(file: Path) -> list[str]:
    """ffmpeg's options to open a file; its HLS reader distrusts local names such as `key` and `0.m4s` unless told."""
    return [*(["-allowed_extensions", "ALL"] if file.suffix == ".m3u8" else []), "-i", str(file)]


def moving(size: str = "320x180", rate: str = "25", seconds: float = 7) -> list[str]:
    """Input: a test picture that differs in every frame."""
    return ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"]


def tone(seconds: float = 7, frequency: int = 440) -> list[str]:
    return ["-f", "lavfi", "-i", f"sine=frequency={frequency}:sample_rate=48000:duration={seconds}"]


H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]


def film(name: str = "film.mp4", seconds: float = 7, size: str = "320x180", rate: str = "25") -> Path:
    """An ordinary film. Its keyframes are nowhere near a segment's boundaries."""
    return clip(name, *moving(size, rate, seconds), *tone(seconds), *H264, "-g", "37", "-c:a", "aac", "-shortest")


class PublishTest(unittest.TestCase):
    """A test with an output folder of its own."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hlspublish-test."))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.out = self.folder / "out"

    def command(self, *arguments: object) -> list[str]:
        # With this very interpreter: `env` may find one that first looks for its version. test_units runs the file itself.
        return [sys.executable, str(COMMAND), *FAST, "--out", str(self.out), *map(str, arguments)]

    def run_publish(self, *arguments: object, **options) -> subprocess.CompletedProcess:
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=DEADLINE, check=False,
                              **options)

    def publish(self, *arguments: object) -> str:
        """Publishes one file; returns the id."""
        done = self.run_publish(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 1, done.stdout)
        self.log = done.stderr
        return done.stdout.split()[0]

    def start(self, *arguments: object, **options) -> subprocess.Popen:
        """Starts the command; it is killed and reaped when the test ends."""
        child = subprocess.Popen(self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 **options)

        def end() -> None:
            if child.poll() is None:
                child.kill()
            child.communicate()
        self.addCleanup(end)
        return child

    def copy(self, source: Path, name: str = "") -> Path:
        target = self.folder / "in" / (name or source.name)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)
        return target

    def stream(self, video: str) -> Path:
        return self.out / "hls" / video

    def made(self, video: str) -> Path:
        """The folder of the revision that is shown."""
        return revision_of(self.stream(video))

    def catalogue(self) -> list[dict]:
        return json.loads((self.out / "videos.json").read_text())["videos"]

    def conforms(self, folder: Path, *arguments: object) -> None:
        done = self.run_publish("--check", folder, *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def await_true(self, condition, what: str) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            self.assertLess(time.monotonic(), deadline, f"waited in vain until {what}")
            time.sleep(0.02)

    def left_behind(self) -> list[str]:
        """Files, and folders that a video would have made."""
        if not self.out.exists():
            return []
        found = sorted(str(p.relative_to(self.out)) for p in self.out.rglob("*") if p.is_file() or ".publish" in p.parts)
        return [name for name in found if name != ".videos.json.lock"]

    @staticmethod
    def first_picture(file: Path) -> bytes:
        """The first frame as RGB bytes, 8x8."""
        done = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *opened(file), "-frames:v", "1",
                               "-vf", "scale=8:8:flags=area", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
                              capture_output=True, check=True)
        return done.stdout


def revision_of(stream: Path) -> Path:
    master = playlist.parse_master((stream / "master.m3u8").read_text())
    return stream / master.variants[0].uri.partition("/")[0]


def streams_of(file: Path) -> list[dict]:
    done = subprocess.run(["ffprobe", "-v", "error", "-show_streams", "-of", "json", *opened(file)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["streams"]


def children_of(pid: int) -> list[int]:
    """All descendants that run a program called ffmpeg."""
    found, parents = [], [pid]
    while parents:
        for listing in Path(f"/proc/{parents.pop()}/task").glob("*/children"):
            try:
                children = [int(child) for child in listing.read_text().split()]
            except OSError:  # it has ended meanwhile
                continue
            parents += children
            found += [child for child in children if _runs_ffmpeg(child)]
    return found


def _runs_ffmpeg(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.index("(") + 1:stat.rindex(")")] == "ffmpeg" and stat[stat.rindex(")") + 2] != "Z"
