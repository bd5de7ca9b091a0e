"""Seconds from asking for a film to its first picture, on lines of several speeds, in Chromium with hls.js and with its own player."""
import argparse
import contextlib
import http.server
import json
import os
import queue
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

LATENCY = 0.04  # seconds before each answer, as between a home and a server in its country
PATIENCE = 90.0
BLOCK = 4096
SIZES = {1080: 5000, 720: 2500, 480: 1250, 360: 775, 240: 390}


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="first-picture.") as folder:
        work = Path(folder)
        film = Path(options.film) if options.film else _film(work, options.seconds)
        streams = {"now": _published(options.root / "examples/publish/publish", film, work / "now", options.preset)}
        if options.before:
            streams[f"worker of {options.before}"] = _before(options, film, work)
        streams["plain FFmpeg command"] = _plain(film, work / "plain", options.preset)
        rows = {}
        for _ in range(options.rounds):
            for name, master in streams.items():
                for rate in options.rates:
                    for player in ("hls.js", "native"):
                        seen = _watch(options.root, master, rate, player)
                        rows.setdefault((name, rate, player), []).append(seen)
        _print(options, list(streams), rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches/publishing/run", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--film", help="a film of yours (default: made test pictures with noise, at the bit rates of films)")
    parser.add_argument("--seconds", type=int, default=20, help="of the made film (default 20)")
    parser.add_argument("--preset", default="veryfast", help="x264's, for all (default veryfast)")
    parser.add_argument("--before", default="", help="a commit whose worker is measured as well")
    parser.add_argument("--rates", type=lambda text: [float(part) for part in text.split(",")], default=[1.0, 3.0], help="Mbit/s (default 1,3)")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _run(*command: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL, **options)


def _film(work: Path, seconds: int) -> Path:
    film = work / "film.mp4"
    _run("nice", "ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=size=1920x1080:rate=25:duration={seconds},noise=alls=8:allf=t",
         "-f", "lavfi", "-i", f"sine=duration={seconds}:sample_rate=48000", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "23",
         "-pix_fmt", "yuv420p", "-c:a", "aac", film)
    return film


def _published(command: Path, film: Path, out: Path, preset: str) -> Path:
    done = _run("/usr/bin/python3", command, "--quiet", "--preset", preset, "--out", out, film, capture_output=True, text=True)
    return out / "hls" / done.stdout.split()[0] / "master.m3u8"


def _before(options: argparse.Namespace, film: Path, work: Path) -> Path:
    tree = work / "before-tree"
    tree.mkdir()
    archive = _run("git", "-C", options.root, "archive", options.before, "examples/publish", capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", tree], input=archive, check=True)
    return _published(tree / "examples/publish/publish", film, work / "before", options.preset)


def _plain(film: Path, out: Path, preset: str) -> Path:
    """What the FFmpeg documentation's example of a ladder makes: largest first, 6 s segments, the sound within."""
    out.mkdir()
    arguments, graph = [], [f"[0:v]split={len(SIZES)}" + "".join(f"[s{n}]" for n in range(len(SIZES)))]
    for n, (height, kbit) in enumerate(SIZES.items()):
        graph.append(f"[s{n}]scale=-2:{height}[v{n}]")
        arguments += ["-map", f"[v{n}]", "-map", "0:a", f"-maxrate:v:{n}", f"{kbit}k", f"-bufsize:v:{n}", f"{2 * kbit}k"]
    _run("nice", "ffmpeg", "-v", "error", "-i", film, "-filter_complex", ";".join(graph), *arguments, "-c:v", "libx264", "-preset", preset,
         "-crf", "21", "-g", "50", "-sc_threshold", "0", "-c:a", "aac", "-b:a", "128k", "-f", "hls", "-hls_time", "6", "-hls_playlist_type",
         "vod", "-hls_segment_type", "fmp4", "-master_pl_name", "master.m3u8", "-var_stream_map",
         " ".join(f"v:{n},a:{n}" for n in range(len(SIZES))), "v%v/index.m3u8", cwd=out)
    return out / "master.m3u8"


class _Line:
    """One line for all answers together: a byte may go when its turn has come."""

    def __init__(self, mbit: float) -> None:
        self.bytes_a_second = mbit * 125_000
        self.free = time.monotonic()
        self.lock = threading.Lock()

    def wait(self, size: int) -> None:
        with self.lock:
            self.free = max(self.free, time.monotonic()) + size / self.bytes_a_second
            until = self.free
        time.sleep(max(0.0, until - time.monotonic()))


def _handler(root: Path, folder: Path, line: _Line, answers: queue.Queue):
    types = {".m3u8": "application/vnd.apple.mpegurl", ".m4s": "video/mp4", ".mp4": "video/mp4", ".ts": "video/mp2t", ".vtt": "text/vtt"}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/page":
                return self._send("text/html", (Path(__file__).with_name("page.html")).read_bytes(), False)
            if path == "/hls.mjs":
                return self._send("text/javascript", (root / "examples/site/node_modules/hls.js/dist/hls.mjs").read_bytes(), False)
            file = (folder / path.removeprefix("/film/")).resolve()
            if not file.is_relative_to(folder) or not file.is_file():
                return self.send_error(404)
            return self._send(types.get(file.suffix, "application/octet-stream"), file.read_bytes(), True)

        def do_POST(self) -> None:
            answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._send("text/plain", b"", False)

        def _send(self, kind: str, body: bytes, slow: bool) -> None:
            status, wanted = 200, self.headers.get("Range", "")
            if wanted.startswith("bytes="):
                first, _, last = wanted[6:].partition("-")
                begin, end = int(first or 0), min(int(last) + 1 if last else len(body), len(body))
                status, total, body = 206, len(body), body[begin:end]
            if slow:
                time.sleep(LATENCY)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if status == 206:
                self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{total}")
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for at in range(0, len(body), BLOCK):
                    if slow:
                        line.wait(len(body[at:at + BLOCK]))
                    self.wfile.write(body[at:at + BLOCK])

        def handle(self) -> None:
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # the browser was ended
                super().handle()

        def log_message(self, *_arguments) -> None:
            pass

    return Handler


def _watch(root: Path, master: Path, rate: float, player: str) -> dict:
    answers: queue.Queue = queue.Queue()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(root, master.parent.resolve(), _Line(rate), answers))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="first-picture-browser.", ignore_cleanup_errors=True) as profile:
        child = subprocess.Popen(
            [shutil.which("chromium"), "--headless=new", "--no-sandbox", "--mute-audio", "--no-first-run", "--disable-component-update",
             "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--autoplay-policy=no-user-gesture-required",
             f"--user-data-dir={profile}", f"http://127.0.0.1:{server.server_address[1]}/page?of=/film/{master.name}&of={player}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0)
        try:
            return answers.get(timeout=PATIENCE)
        except queue.Empty:
            return {"error": f"no picture after {PATIENCE:.0f} s"}
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            server.shutdown()
            server.server_close()


def _print(options: argparse.Namespace, names: list[str], rows: dict) -> None:
    columns = [(rate, player) for rate in options.rates for player in ("hls.js", "native")]
    print(f"Seconds to the first picture, and its height; medians of {options.rounds}, {LATENCY * 1000:.0f} ms before each answer.\n")
    print("| | " + " | ".join(f"{rate:g} Mbit/s, {player}" for rate, player in columns) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name in names:
        cells = []
        for rate, player in columns:
            good = [seen for seen in rows[name, rate, player] if "error" not in seen]
            if good:
                middle = sorted(good, key=lambda seen: seen["seconds"])[len(good) // 2]
                cells.append(f"{statistics.median(seen['seconds'] for seen in good):.2f} ({middle['height']}p)")
            else:
                cells.append("–")
                print(f"{name}, {rate:g}, {player}: {rows[name, rate, player][0]['error']}", file=sys.stderr)
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
