"""What is measured: a site with two files, the keys and a token for it, nginx in front of any gate."""

import base64
import json
import re
from pathlib import Path

from .lab import HLSGATE, REPOSITORY, accepts, free_port, run, until

VIDEO = "c05f2318"
FILES = {"1 KB": "small.ts", "1 MB": "large.ts"}
KEYS = 3
REVOCATIONS = 100_000
NGINX = """
{modules}
user www-data;
worker_processes 1;
pid {at}/nginx.pid;
error_log {at}/error.log;
events {{ worker_connections 8192; }}
http {{
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    types {{ video/mp2t ts; }}
    client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;
    uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
    access_log {at}/access.log;
    {http}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {root};
        {server}
    }}
}}
"""


class Site:
    """Files, keys, revocations and a token that opens the video."""

    def __init__(self, lab, name="site", revocations=REVOCATIONS, more=""):
        """`more`: what the configuration has beside its places."""
        self.lab, self.folder = lab, lab.folder / name
        self.root = self.folder / "www"
        folder = self.root / "hls" / VIDEO
        folder.mkdir(parents=True)
        (folder / "small.ts").write_bytes(b"x" * 1024)
        (folder / "large.ts").write_bytes(b"x" * (1 << 20))
        self.socket, self.config = self.folder / "hlsgate.sock", self.folder / "hlsgate.toml"
        self.write_config(more)
        run([HLSGATE, "init", "--config", self.config])
        for _ in range(KEYS - 1):
            run([HLSGATE, "keys", "add", "--config", self.config])
        (self.folder / "revoked").write_text("".join(f"revoked-{number}\n" for number in range(revocations)))
        self.token = self.issue()
        key = json.loads((self.folder / "keys.json").read_text())["keys"][0]["k"]
        self.key = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
        # A browser has other cookies too.
        self.cookie = f"theme=dark; hlsgate={self.token}"

    def issue(self, *scope):
        """A token for the video, or for another scope, under the first key."""
        return run([HLSGATE, "token", "issue", "--config", self.config, *(scope or ("--video", VIDEO)), "--for", "24h"]).strip()

    def write_config(self, more):
        self.config.write_text(
            f'listen = "unix:{self.socket}"\nsocket_mode = "0666"\nadmin_listen = "off"\n'
            f'[keys]\nfile = "{self.folder}/keys.json"\n[revocations]\nfile = "{self.folder}/revoked"\n{more}'
        )

    def daemon(self, name="hlsgate", batch=True):
        """hlsgate itself, ready."""
        child = self.lab.start(name, [HLSGATE, "serve", "--config", self.config], batch=batch)
        until("hlsgate listens", lambda: accepts(self.socket))
        return child

    def path(self, file):
        return f"/hls/{VIDEO}/{file}"

    def size(self, file):
        return (self.root / "hls" / VIDEO / file).stat().st_size


class Nginx:
    """One nginx with one worker, in a folder of its own."""

    def __init__(self, site, name, server, http="", modules="", gate=None, batch=False):
        """`gate`: the socket that the shipped files ask; they are included then."""
        self.at, self.port = site.lab.folder / name, free_port()
        self.at.mkdir()
        if gate is not None:
            copy_shipped_files(self.at, gate, site.lab.in_memory / name)
            http += "\n    include conf.d/hlsgate.conf;"
        config = self.at / "nginx.conf"
        config.write_text(NGINX.format(at=self.at, port=self.port, root=site.root, server=server, http=http, modules=modules))
        self.child = site.lab.start(name, ["nginx", "-g", "daemon off;", "-p", self.at, "-c", config], batch=batch)
        until(f"{name} listens on its port", lambda: accepts(("127.0.0.1", self.port)))


def copy_shipped_files(folder, gate, cache):
    """The shipped files, with the places that the system owns put into `folder` and `cache`, asking another socket."""
    places = {
        "/run/hlsgate/hlsgate.sock": gate,
        "/run/hlsgate-nginx-cache": cache,
        "/var/log/nginx/access.log": folder / "access.log",
    }
    for file in REPOSITORY.glob("nginx/*/*.conf"):
        text = file.read_text()
        for place, ours in places.items():
            text = text.replace(place, str(ours))
        target = folder / file.parent.name / file.name
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
    written = (folder / "conf.d/hlsgate.conf").read_text()
    assert re.search(re.escape(f"server unix:{gate};"), written), "the shipped upstream looks different now"


def module(name):
    """The `load_module` line of a module that Debian packages."""
    path = Path("/usr/lib/nginx/modules") / name
    return f"load_module {path};"
