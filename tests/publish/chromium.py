"""What a browser shows: pictures of videos, streams and images, read back from a canvas in a headless Chromium.

One server on the loopback hands out the page and the files; the page posts what it saw.
"""
import contextlib
import functools
import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import urllib.parse
from pathlib import Path

PAGE = Path(__file__).with_name("chromium.html")
DEADLINE = 180.0
# Software in the place of a graphics card: its arithmetic is exact, and that of a browser without one is off by up to 9.
GPU = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]


def shown(items: list[dict]) -> list[dict]:
    """Opens each item in one page, in order; returns what was seen of each: {"width", "height", "rows"} or {"error"}.

    An item: {"kind": "file" | "stream" | "image", "path": Path, "points": [[x, y], …]} with points as shares of the
    picture; a stream's path is the folder of one rendition, whose `init.mp4` and segments are appended to a MediaSource
    as hls.js does. `rows` holds [r, g, b] for each point.
    """
    answers: queue.Queue = queue.Queue()
    with _server(answers, items) as address, tempfile.TemporaryDirectory(prefix="hlspublish-chromium.") as profile:
        browser = shutil.which("chromium")
        assert browser, "chromium was not found; install it (Debian: apt install chromium)"
        log = Path(profile) / "log"
        with log.open("wb") as output:
            child = subprocess.Popen(
                [browser, "--headless=new", "--no-sandbox", *GPU, "--mute-audio", "--no-first-run",
                 "--disable-extensions", "--disable-component-update", "--force-color-profile=srgb",
                 "--autoplay-policy=no-user-gesture-required", f"--user-data-dir={profile}/profile", f"{address}/"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0)
        try:
            return answers.get(timeout=DEADLINE)
        except queue.Empty:
            raise AssertionError(f"Chromium gave no answer:\n{log.read_text(errors='replace')[-3000:]}") from None
        finally:
            child.kill()
            child.wait()
            _end_group(child.pid)


def _end_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


@contextlib.contextmanager
def _server(answers: queue.Queue, items: list[dict]):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, answers, items))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, answers: queue.Queue, items: list[dict], *arguments) -> None:
        self.answers, self.items = answers, items
        super().__init__(*arguments)

    def do_GET(self) -> None:
        path = urllib.parse.unquote(self.path)
        if path == "/":
            self._send("text/html; charset=utf-8", PAGE.read_bytes())
        elif path == "/items":
            described = [{"kind": item["kind"], "points": item["points"], "urls": self._urls(n, item)}
                         for n, item in enumerate(self.items)]
            self._send("application/json", json.dumps(described).encode())
        elif path.startswith("/item/"):
            _, _, number, name = path.split("/", 3)
            base = self.items[int(number)]["path"]
            file = base if base.is_file() else base / name
            kind = {".mp4": "video/mp4", ".m4s": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm", ".jpg": "image/jpeg",
                    ".gif": "image/gif", ".png": "image/png"}
            self._send(kind.get(file.suffix, "application/octet-stream"), file.read_bytes())
        else:
            self.send_error(404)

    @staticmethod
    def _urls(number: int, item: dict) -> list[str]:
        if item["kind"] != "stream":
            return [f"/item/{number}/{urllib.parse.quote(item['path'].name)}"]
        names = ["init.mp4", *sorted(file.name for file in item["path"].glob("*.m4s"))]
        return [f"/item/{number}/{name}" for name in names]

    def do_POST(self) -> None:
        self.answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._send("text/plain", b"")

    def _send(self, kind: str, body: bytes) -> None:
        # A video element asks for ranges and takes the whole file.
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def log_message(self, *_arguments) -> None:
        pass
