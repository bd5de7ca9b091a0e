"""The rows of the table: ways to serve a sold file, each with what it is made of."""

import base64
import hashlib
import os
import time
from dataclasses import dataclass

from .lab import REPOSITORY, Child, accepts, free_port, until
from .site import VIDEO, Nginx, module

PEERS = REPOSITORY / "benches/peers"
# The two lines of the README.
GATE = "include snippets/hlsgate.conf;\n        location ^~ /hls/ {{ include snippets/hlsgate-protect.conf; {more} }}"


@dataclass
class Row:
    """One way: where it is asked, and the processes that answer."""

    name: str
    port: int
    nginx: Child | None
    service: Child | None
    query: str = ""


def rows(site, floor, chosen=None):
    """Starts every way (or the `chosen` ones) and gives them in the order of the table. `floor`: the compiled floor."""
    lab = site.lab
    key = site.key.hex()

    def gated(name, service, gate, more=""):
        nginx = Nginx(site, f"nginx-{slug(name)}", GATE.format(more=more), gate=gate)
        return Row(name, nginx.port, nginx.child, service)

    def service(name, *command):
        socket = lab.folder / f"{slug(name)}.sock"
        child = lab.start(slug(name), [*command[:1], socket, *command[1:]], batch=True)
        until(f"{name} listens", lambda: accepts(socket))
        socket.chmod(0o666)
        return gated(name, child, socket)

    def no_gate(name):
        nginx = Nginx(site, "nginx-no-gate", "location ^~ /hls/ { }")
        return Row(name, nginx.port, nginx.child, None)

    def secure_link(name):
        lines = (
            f'location ^~ /hls/ {{ secure_link $arg_md5,$arg_expires; secure_link_md5 "$secure_link_expires$uri {key}";\n'
            '            if ($secure_link = "") { return 403; } if ($secure_link = "0") { return 410; } }'
        )
        nginx = Nginx(site, "nginx-secure-link", lines)
        expires = int(time.time()) + 86400

        def signed(file):
            digest = hashlib.md5(f"{expires}{site.path(file)} {key}".encode()).digest()
            return f"?md5={base64.urlsafe_b64encode(digest).decode().rstrip('=')}&expires={expires}"

        return Row(name, nginx.port, nginx.child, None, signed)

    def njs(name):
        lines = (
            f"set $bench_key {key}; set $bench_video {VIDEO};\n"
            "        location = /auth { internal; js_content auth.check; }\n"
            "        location ^~ /hls/ { auth_request /auth; }"
        )
        http = f"js_path {PEERS}/njs; js_import auth from auth.js;"
        nginx = Nginx(site, "nginx-njs", lines, http, module("ngx_http_js_module.so"))
        return Row(name, nginx.port, nginx.child, None)

    def return_204(name):
        socket = lab.folder / "return-204.sock"
        upstream = Nginx(site, "return-204", f"listen unix:{socket}; access_log off; return 204;", batch=True)
        socket.chmod(0o666)
        return gated(name, upstream.child, socket)

    def express(name):
        port = free_port()
        command = ["node", PEERS / "express/server.js", port, site.root]
        child = lab.start("express", command, env=os.environ | {"BENCH_KEY": key, "NODE_ENV": "production"}, batch=True)
        until("Express listens", lambda: accepts(("127.0.0.1", port)))
        return Row(name, port, None, child)

    daemon = site.daemon()
    ways = {
        "none": lambda: no_gate("no gate"),
        "secure_link": lambda: secure_link("`secure_link` (MD5 in the URL)"),
        "njs": lambda: njs("njs, HS256 in a subrequest"),
        "204": lambda: return_204("`auth_request` to nginx `return 204`"),
        "floor": lambda: service("`auth_request` to a bare epoll loop", floor),
        "hyper": lambda: service("`auth_request` to plain hyper, one HMAC", PEERS_BUILT / "plain_hyper", key),
        "hlsgate": lambda: gated("**hlsgate**", daemon, site.socket),
        "cache": lambda: gated("**hlsgate with cache**", daemon, site.socket, "include snippets/hlsgate-cache.conf;"),
        "express": lambda: express("Node.js, Express with a middleware"),
    }
    return {way: start() for way, start in ways.items() if not chosen or way in chosen}


PEERS_BUILT = REPOSITORY / "target/release/examples"


def slug(name):
    return "".join(letter if letter.isalnum() else "-" for letter in name.strip("`*"))
