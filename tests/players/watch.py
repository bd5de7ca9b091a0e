#!/usr/bin/env python3
"""Real players watch a film of a minute while the daemon is killed, upgraded and away for 2.5 s.

Usage: watch.py HLSGATE WAY [PLAYER…]    WAY: systemd (its socket outlives the daemon), hold (own socket and `hlsgate hold`), bare (own socket)
Prints a line for each player: whether it played to its end, and what nginx answered.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

SECONDS = 60
HERE = os.path.dirname(os.path.abspath(__file__))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Site:
    """nginx with the shipped files, the daemon, and a film of a minute."""

    def __init__(self, hlsgate, way):
        self.hlsgate, self.way = hlsgate, way
        self.folder = tempfile.mkdtemp(prefix="hlsgate-players-")
        os.chmod(self.folder, 0o755)
        self.port, self.admin = free_port(), free_port()
        self.config = f"{self.folder}/hlsgate.toml"
        with open(self.config, "w") as file:
            file.write(f'listen = "unix:{self.folder}/hlsgate.sock"\nadmin_listen = "127.0.0.1:{self.admin}"\n[revocations]\nfile = "revoked"\n[cookie]\nsecure = false\n')
        self.run("init")
        etc = f"{self.folder}/nginx"
        self.run("nginx", "--write", etc)
        for part in ("conf.d", "snippets"):
            for name in os.listdir(f"{etc}/{part}"):
                path = f"{etc}/{part}/{name}"
                text = open(path).read().replace("/var/log/nginx/", f"{self.folder}/").replace("/run/hlsgate-nginx-cache", f"{self.folder}/cache")
                open(path, "w").write(text)
        with open(f"{etc}/nginx.conf", "w") as file:
            file.write(f"""user www-data; worker_processes 2; pid {self.folder}/nginx.pid; error_log {self.folder}/error.log; daemon off;
events {{ worker_connections 768; }}
http {{ types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; text/html html; text/javascript js; }} access_log {self.folder}/access.log;
include conf.d/*.conf;
server {{ listen 127.0.0.1:{self.port}; include snippets/hlsgate.conf; root {self.folder}/www; location ^~ /hls/ {{ include snippets/hlsgate-protect.conf; }} }} }}
""")
        self.www = f"{self.folder}/www"
        film = f"{self.www}/hls/film"
        os.makedirs(film)
        made = os.environ.get("HLSGATE_FILM", "/tmp/hlsgate-players-film")
        if not os.path.exists(f"{made}/index.m3u8"):
            os.makedirs(made, exist_ok=True)
            subprocess.run(["nice", "ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=size=320x180:rate=25:duration={SECONDS}",
                            "-f", "lavfi", "-i", f"sine=frequency=440:duration={SECONDS}", "-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-sc_threshold", "0",
                            "-pix_fmt", "yuv420p", "-b:v", "300k", "-c:a", "aac", "-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod",
                            "-hls_segment_filename", f"{made}/seg%d.ts", f"{made}/index.m3u8"], check=True)
        shutil.copytree(made, film, dirs_exist_ok=True)
        subprocess.run(["chmod", "-R", "a+rX", self.folder])
        for secret in ("keys.json",):
            if os.path.exists(f"{self.folder}/{secret}"):
                os.chmod(f"{self.folder}/{secret}", 0o600)
        self.socket = None
        if way == "systemd":
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(f"{self.folder}/hlsgate.sock")
            os.chmod(f"{self.folder}/hlsgate.sock", 0o666)
            self.socket.listen(4096)
        self.log = open(f"{self.folder}/daemon.log", "ab")
        self.daemon = None
        self.start()
        self.holder = subprocess.Popen([hlsgate, "hold", "--config", self.config], stderr=self.log) if way == "hold" else None
        self.nginx = subprocess.Popen(["nginx", "-p", self.folder, "-c", f"{etc}/nginx.conf"], stderr=self.log)
        deadline = time.time() + 10
        while time.time() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        self.token = self.run("token", "issue", "--video", "film", "--for", "1h").strip()

    def run(self, *arguments):
        return subprocess.run([self.hlsgate, "--config", self.config, *arguments], check=True, capture_output=True, text=True).stdout

    def start(self):
        command = [self.hlsgate, "serve", "--config", self.config]
        if self.socket:
            script = 'exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"'
            self.daemon = subprocess.Popen(["sh", "-c", script, *command], stdin=self.socket.fileno(), stderr=self.log)
        else:
            self.daemon = subprocess.Popen(command, stderr=self.log)

    def end(self, how):
        self.daemon.send_signal(how)
        self.daemon.wait()

    def trouble(self, began, until):
        """A kill -9 (back after a second, as the unit says), an upgrade, 2.5 s of absence, a reload: again and again."""
        def wait(at):
            while time.time() < began + at:
                if until.is_set():
                    return False
                time.sleep(0.05)
            return True
        for at, how, away in ((8, signal.SIGKILL, 1.0), (20, signal.SIGTERM, 0.0), (32, signal.SIGKILL, 2.5), (44, signal.SIGTERM, 2.5)):
            if not wait(at):
                return
            self.end(how)
            time.sleep(away)
            self.start()
        if wait(50):
            self.daemon.send_signal(signal.SIGHUP)

    def close(self):
        for process in (self.nginx, self.holder, self.daemon):
            if process and process.poll() is None:
                process.terminate()
                process.wait()

    def answers(self):
        found = {}
        for line in open(f"{self.folder}/access.log"):
            path, status = re.search(r'"GET (\S*) \S*" (\d+)', line).groups()
            found.setdefault(status, []).append(path)
        return found


def player(name, url, folder):
    viewer = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", f"HOME={folder}/home"]
    gst = ["gst-launch-1.0", "-q", "playbin", f"uri={url}", "video-sink=fakevideosink sync=true", "audio-sink=fakesink sync=true", "flags=0x57"]
    return {
        "vlc": viewer + ["cvlc", "-I", "dummy", "--no-dbus", "--vout", "dummy", "--aout", "dummy", url, "vlc://quit"],
        "gstreamer-1.22": gst,
        "gstreamer-1.26": ["chroot", os.environ.get("TRIXIE", "/nowhere")] + gst,
        "mpv": ["mpv", "--no-config", "--vo=null", "--ao=null", "--no-terminal", url],
        "ffmpeg": ["ffmpeg", "-nostdin", "-v", "error", "-re", "-i", url, "-f", "null", "-"],
        "chromium": ["node", f"{HERE}/browser.mjs", "native", url],
        "hls.js": ["node", f"{HERE}/browser.mjs", "hls.js", url],
    }[name]


PLAYERS = ["vlc", "gstreamer-1.22", "mpv", "ffmpeg", "chromium", "hls.js"]
if os.environ.get("TRIXIE"):
    PLAYERS.insert(2, "gstreamer-1.26")


def watch(hlsgate, way, name):
    site = Site(hlsgate, way)
    os.makedirs(f"{site.folder}/home", exist_ok=True)
    os.chmod(f"{site.folder}/home", 0o777)
    open(f"{site.www}/page.html", "w").write("<!doctype html><video muted autoplay></video><script src=hls.js></script>")
    bundle = os.environ.get("HLSJS", "")
    if bundle:
        shutil.copy(bundle, f"{site.www}/hls.js")
    url = f"http://127.0.0.1:{site.port}/hls/~{site.token}/film/index.m3u8"
    until, began = threading.Event(), time.time()
    thread = threading.Thread(target=site.trouble, args=(began, until))
    thread.start()
    with open(f"{site.folder}/player.log", "wb") as log:
        process = subprocess.Popen(player(name, url, site.folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=site.folder)
        try:
            code = process.wait(timeout=SECONDS + 60)
        except subprocess.TimeoutExpired:
            process.kill()
            code = "hung"
    took = time.time() - began
    until.set()
    thread.join()
    site.close()
    answers = site.answers()
    fetched = {path.rsplit("/", 1)[-1] for path in answers.get("200", []) + answers.get("206", [])}
    segments = len([one for one in fetched if one.endswith(".ts")])
    whole = len([one for one in os.listdir(f"{site.www}/hls/film") if one.endswith(".ts")])
    failed = sum(len(paths) for status, paths in answers.items() if status[0] in "45")
    played = segments == whole and took >= SECONDS - 3 and code == 0
    print(f"{way:8} {name:15} {'played to the end' if played else 'STOPPED':18} exit {code}, {took:5.1f} s, {segments} of {whole} segments, {failed} answers were errors", flush=True)
    if played or os.environ.get("KEEP") != "1":
        shutil.rmtree(site.folder, ignore_errors=True)
    else:
        print("  see", site.folder)
    return played


if __name__ == "__main__":
    hlsgate, way, names = sys.argv[1], sys.argv[2], sys.argv[3:] or PLAYERS
    results = {}
    threads = [threading.Thread(target=lambda name=name: results.update({name: watch(hlsgate, way, name)})) for name in names]
    for thread in threads:
        thread.start()
        time.sleep(1)
    for thread in threads:
        thread.join()
    stopped = [name for name in names if not results.get(name)]
    print(f"{way}: {len(stopped)} of {len(names)} stop" + (f": {', '.join(stopped)}" if stopped else ""))
    sys.exit(1 if stopped else 0)
