"""Published streams play behind the gate: a real nginx with the files the daemon prints, and the real daemon.

HLSGATE names the daemon's binary; `run` builds it when it is not there.
"""
import contextlib
import os
import random
import re
import socket
import subprocess
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from support import ROOT, PublishTest, film, run_ffmpeg

CONFIGURATION = """
daemon off;
{user}worker_processes 1;
pid {at}/nginx.pid;
error_log {at}/error.log;
events {{ worker_connections 128; }}
http {{
    types {{ application/vnd.apple.mpegurl m3u8; video/mp4 mp4 m4s; video/mp2t ts; text/vtt vtt; image/jpeg jpg; }}
    client_body_temp_path {at}/tmp-body; proxy_temp_path {at}/tmp-proxy; fastcgi_temp_path {at}/tmp-fastcgi;
    uwsgi_temp_path {at}/tmp-uwsgi; scgi_temp_path {at}/tmp-scgi;
    include conf.d/*.conf;
    access_log {at}/access.log hlsgate;
    server {{
        listen 127.0.0.1:{port};
        {documented}
    }}
    server {{                       # a public CDN
        listen 127.0.0.1:{cdn_port};
        location /films/ {{ alias {out}/segments/; }}
        location / {{ return 404; }}
    }}
}}
"""


class Gate(PublishTest):
    def setUp(self) -> None:
        super().setUp()
        self.folder.chmod(0o755)  # nginx's workers are another user
        self.binary = os.environ.get("HLSGATE", "")
        self.assertTrue(os.access(self.binary, os.X_OK), "HLSGATE does not name the daemon; use tests/publish/run")
        self.port, self.cdn_port, admin = free_ports(3)
        group = "www-data" if os.getuid() == 0 else os.popen("id -gn").read().strip()
        self.config = self.folder / "hlsgate.toml"
        self.hlsgate("init")
        self.config.write_text(
            f'listen = "unix:{self.folder}/gate.sock"\nsocket_group = "{group}"\nadmin_listen = "127.0.0.1:{admin}"\n'
            f'public_url = "http://127.0.0.1:{self.port}"\n[keys]\nfile = "keys.json"\n[revocations]\nfile = "revoked"\n')
        (self.folder / "revoked").touch()
        self._nginx_files()

    def _nginx_files(self) -> None:
        etc = self.folder / "nginx"
        self.hlsgate("nginx", "--write", str(etc))
        for file in etc.glob("*/*.conf"):
            file.write_text(file.read_text().replace("/var/log/nginx/access.log", f"{self.folder}/access.log")
                            .replace("/run/hlsgate-nginx-cache", f"{self.folder}/cache"))
        (etc / "nginx.conf").write_text(CONFIGURATION.format(
            user="user www-data;\n" if os.getuid() == 0 else "", at=self.folder, port=self.port, cdn_port=self.cdn_port,
            out=self.out, documented=self._documented()))

    def _documented(self) -> str:
        """The lines that docs/publishing.md gives, for this test's folders."""
        block = re.search(r"(?s)```nginx\n(.*?)```", (ROOT / "docs" / "publishing.md").read_text())[1]
        (self.folder / "site").mkdir()
        return block.replace("root /srv/video;", f"root {self.out};").replace("root /srv/site;", f"root {self.folder}/site;")

    def hlsgate(self, *arguments: str) -> str:
        done = subprocess.run([self.binary, *arguments, "--config", str(self.config)], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def serve(self) -> None:
        daemon_log = (self.folder / "daemon.log").open("w")
        self.addCleanup(daemon_log.close)
        commands = ([self.binary, "serve", "--config", str(self.config)],
                    ["nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx" / "nginx.conf")])
        for command in commands:
            child = subprocess.Popen(command, stdout=daemon_log, stderr=daemon_log)
            self.addCleanup(lambda child=child: (child.terminate(), child.wait(timeout=30)))
        self.await_true(lambda: (self.folder / "gate.sock").exists() and self._answers(), "nginx and the daemon answer")

    def _answers(self) -> bool:
        try:
            return self.status("/nothing") == 404
        except urllib.error.URLError:
            return False

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(self.url(path), timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def frames(self, url: str) -> int:
        """Plays the stream to its end as a viewer's player would, every rendition, and returns how many frames came."""
        log = self.folder / "frames"
        run_ffmpeg("-v", "error", "-xerror", "-i", url, "-map", "0:v:0", "-map", "0:a:0", "-f", "framecrc", log)
        return sum(line.startswith("0,") for line in log.read_text().splitlines())

    def test_plain_encrypted_and_from_a_cdn_they_play_with_a_token_and_not_without(self):
        ids = {}
        for kind, options in {
                "plain": (), "encrypted": ("--encrypt", "--container", "ts", "--preview", "2"),
                "cdn": ("--encrypt", "--segments-url", f"http://127.0.0.1:{self.cdn_port}/films")}.items():
            # A film of its own each, for the id is the content's.
            ids[kind] = self.publish(*options, film(f"{kind}.mp4", seconds=7 + len(ids)))
        self.serve()
        for kind, video in ids.items():
            with self.subTest(kind):
                token = self.hlsgate("token", "issue", "--video", video, "--for", "1h").strip()
                expected = round(25 * (7 + list(ids).index(kind)))
                self.assertEqual(self.frames(self.url(f"/hls/~{token}/{video}/master.m3u8")), expected)
                other = next(v for v in ids.values() if v != video)
                paths = [f.relative_to(self.out) for f in self.stream(video).rglob("*") if f.is_file()]
                self.assertEqual(f"hls/{video}/{self.made(video).name}/key" in map(str, paths), kind != "plain")
                for path in paths:
                    inside = Path(path).relative_to("hls")
                    self.assertEqual(self.status(f"/hls/~{token}/{inside}"), 200, inside)
                    self.assertEqual(self.status(f"/hls/{inside}"), 403, inside)
                self.assertEqual(self.status(f"/hls/~{token}/{other}/master.m3u8"), 403)
                self.assertEqual(self.status(f"/posters/{video}.jpg"), 200)
        self.assertEqual(self.status(f"/previews/{ids['encrypted']}/master.m3u8"), 200)
        self.assertEqual(self.frames(self.url(f"/previews/{ids['encrypted']}/master.m3u8")), 50)
        self._the_cdn_alone_shows_nothing(ids["cdn"])
        self.assertEqual(self.status("/hls/.publish/"), 403)
        self.assertEqual(self.status("/videos.json"), 200)
        for folder in ("inbox", "published", "segments"):
            (self.out / folder).mkdir(exist_ok=True)
            (self.out / folder / "film.mp4").write_text("the original")
            self.assertEqual(self.status(f"/{folder}/film.mp4"), 404)

    def _the_cdn_alone_shows_nothing(self, video: str) -> None:
        """Whoever fetches all of the public files has bytes without meaning, and no key among them."""
        public = self.out / "segments" / video
        self.assertFalse([f for f in public.rglob("*") if f.name == "key" or f.suffix == ".m3u8"])
        joined = self.folder / "joined.mp4"
        with joined.open("wb") as out:
            for name in ("init.mp4", "00000.m4s", "00001.m4s"):
                url = f"http://127.0.0.1:{self.cdn_port}/films/{video}/{self.made(video).name}/180p/{name}"
                with urllib.request.urlopen(url, timeout=10) as answer:
                    out.write(answer.read())
        done = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", str(joined), "-f", "framecrc", "-"],
                              capture_output=True, text=True, check=False)
        self.assertFalse([line for line in done.stdout.splitlines() if not line.startswith("#")], "it could be played")


def free_ports(count: int) -> list[int]:
    """Below those that the system lends to outgoing connections (32768 and up), one of which might take it meanwhile."""
    ports = []
    while len(ports) < count:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(10_000, 32_000))) as free:
            if (port := free.getsockname()[1]) not in ports:
                ports.append(port)
    return ports


if __name__ == "__main__":
    unittest.main()
