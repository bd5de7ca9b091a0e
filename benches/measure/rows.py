"""The rows of the table: ways to serve a sold file, each with what it is made of."""

import base64
import hashlib
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from .lab import REPOSITORY, Child, accepts, free_port, until
from .site import FILES, VIDEO, Nginx, module

PEERS = REPOSITORY / "benches/peers"
FLOOR = REPOSITORY / "target/benches/floor"
PLAIN_HYPER = REPOSITORY / "target/peer/examples/plain_hyper"
# The two lines of the README.
GATE = "include snippets/hlsgate.conf;\n        location ^~ /hls/ {{ include snippets/hlsgate-protect.conf; {more} }}"


@dataclass
class Way:
    """One way: where it is asked, and the processes that answer."""

    name: str
    port: int
    nginx: Child | None
    service: Child | None
    # Whether it looks at what the viewer brings; some are here for what they cost alone.
    decides: bool = True
    query: Callable[[str], str] = lambda file: ""

    def prove(self, site):
        """A way that lets nobody in, or everybody, is not worth measuring."""
        for file in FILES.values():
            seen, length = self.ask(f"{site.path(file)}{self.query(file)}", {"Cookie": site.cookie})
            if (seen, length) != (200, site.size(file)):
                raise RuntimeError(f"{self.name} answers {seen} with {length} bytes to a viewer who has paid")
            seen, _ = self.ask(site.path(file), {"Cookie": "theme=dark"})
            if seen not in ((401, 403) if self.decides else (200,)):
                raise RuntimeError(f"{self.name} answers {seen} to a viewer without a token")

    def ask(self, path, headers):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, len(answer.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, len(refusal.read())


def start(site, names):
    """Starts these ways, in the order of the table."""
    daemon = site.daemon()
    return {name: make(site, daemon) for name, make in WAYS.items() if name in names}


def no_gate(site, _):
    nginx = Nginx(site, "nginx-no-gate", "location ^~ /hls/ { }")
    return Way("no gate", nginx.port, nginx.child, None, decides=False)


def files_held_open(site, _):
    """How much of what the cached row with held files gains is not the kept yes."""
    nginx = Nginx(site, "nginx-held-open", "location ^~ /hls/ { open_file_cache max=64 inactive=10s; open_file_cache_valid 1s; }")
    return Way("no gate, files held open", nginx.port, nginx.child, None, decides=False)


def secure_link(site, _):
    secret, expires = site.key.hex(), int(time.time()) + 86400
    lines = (
        f'location ^~ /hls/ {{ secure_link $arg_md5,$arg_expires; secure_link_md5 "$secure_link_expires$uri {secret}";\n'
        '            if ($secure_link = "") { return 403; } if ($secure_link = "0") { return 410; } }'
    )
    nginx = Nginx(site, "nginx-secure-link", lines)

    def signed(file):
        digest = hashlib.md5(f"{expires}{site.path(file)} {secret}".encode()).digest()
        return f"?md5={base64.urlsafe_b64encode(digest).decode().rstrip('=')}&expires={expires}"

    return Way("`secure_link` (MD5 in the URL)", nginx.port, nginx.child, None, query=signed)


def njs(site, _):
    lines = (
        f"set $bench_key {site.key.hex()}; set $bench_video {VIDEO};\n"
        "        location = /auth { internal; js_content auth.check; }\n"
        "        location ^~ /hls/ { auth_request /auth; }"
    )
    http = f"js_path {PEERS}/njs; js_import auth from auth.js;"
    nginx = Nginx(site, "nginx-njs", lines, http, module("ngx_http_js_module.so"))
    return Way("njs, HS256 in a subrequest", nginx.port, nginx.child, None)


def return_204(site, _):
    socket = site.lab.folder / "return-204.sock"
    upstream = Nginx(site, "return-204", f"listen unix:{socket}; access_log off; return 204;", batch=True)
    socket.chmod(0o666)
    return gated(site, "`auth_request` to nginx `return 204`", upstream.child, socket, decides=False)


def floor(site, _):
    child, socket = service(site, "floor", FLOOR)
    return gated(site, "`auth_request` to a bare epoll loop", child, socket, decides=False)


def hyper(site, _):
    child, socket = service(site, "hyper", PLAIN_HYPER, site.key.hex())
    return gated(site, "`auth_request` to plain hyper, one HMAC", child, socket)


def hlsgate(site, daemon):
    return gated(site, "**hlsgate**", daemon, site.socket)


def hlsgate_with_cache(site, daemon):
    return gated(site, "**hlsgate with cache**", daemon, site.socket, more="include snippets/hlsgate-cache.conf;")


def hlsgate_with_cache_and_files(site, daemon):
    """As docs/nginx.md has it for films that are finished."""
    more = "include snippets/hlsgate-cache.conf; open_file_cache max=64 inactive=10s; open_file_cache_valid 1s;"
    return gated(site, "**hlsgate with cache**, files held open", daemon, site.socket, more=more)


def leanest(site, daemon):
    """A yes that nginx keeps, with everything left out that it can do without: one key for all viewers, no word of the answer read, no header
    of its own, the usual log. It opens every film to whoever comes second."""
    at = site.lab.in_memory / "leanest"
    http = f"proxy_cache_path {at} levels=1:2 keys_zone=leanest:8m inactive=30s use_temp_path=off; upstream gate {{ server unix:{site.socket}; keepalive 64; }}"
    lines = (
        "location ^~ /hls/ { auth_request /auth; }\n"
        "        location = /auth { internal; proxy_pass http://gate/auth; proxy_pass_request_headers off; proxy_pass_request_body off;\n"
        f'            proxy_set_header X-Hlsgate-Video {VIDEO}; proxy_set_header X-Hlsgate-Kind media; proxy_set_header Cookie $http_cookie; proxy_http_version 1.1;\n'
        '            proxy_set_header Connection ""; proxy_cache leanest; proxy_cache_key all; proxy_cache_valid 204 10s; open_file_cache max=64; }'
    )
    nginx = Nginx(site, "nginx-leanest", lines, http)
    return Way("`auth_request` with a kept yes, at its leanest", nginx.port, nginx.child, None, decides=False)


def express(site, _):
    port = free_port()
    command = ["node", PEERS / "express/server.js", port, site.root]
    environment = os.environ | {"BENCH_KEY": site.key.hex(), "NODE_ENV": "production"}
    child = site.lab.start("express", command, env=environment, batch=True)
    until("Express listens", lambda: accepts(("127.0.0.1", port)))
    return Way("Node.js, Express with a middleware", port, None, child)


WAYS = {
    "none": no_gate,
    "open": files_held_open,
    "secure_link": secure_link,
    "njs": njs,
    "204": return_204,
    "floor": floor,
    "hyper": hyper,
    "hlsgate": hlsgate,
    "cache": hlsgate_with_cache,
    "held": hlsgate_with_cache_and_files,
    "leanest": leanest,
    "express": express,
}


def service(site, name, program, *arguments):
    """A program that listens on the Unix socket of its first argument, as hlsgate is scheduled."""
    socket = site.lab.folder / f"{name}.sock"
    child = site.lab.start(name, [program, socket, *arguments], batch=True)
    until(f"{name} listens", lambda: accepts(socket))
    socket.chmod(0o666)
    return child, socket


def gated(site, name, service, gate, more="", decides=True):
    """The shipped files in an nginx of its own, asking at `gate`."""
    kind = ("-cache" if more else "") + ("-held" if "open_file_cache" in more else "")
    nginx = Nginx(site, f"nginx-{gate.stem}{kind}", GATE.format(more=more), gate=gate)
    return Way(name, nginx.port, nginx.child, service, decides)
