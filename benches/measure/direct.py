"""The daemon without nginx in front: for what would drown in nginx's own share."""

import re
import socket
import urllib.request

from .lab import HLSGATE, accepts, free_port, until
from .site import VIDEO


class Direct:
    """A daemon of its own on a TCP port, since wrk knows no Unix sockets."""

    def __init__(self, site, name, more=""):
        self.port, self.admin = free_port(), free_port()
        config = site.lab.folder / f"{name}.toml"
        text = re.sub(r'listen = "unix:[^"]*"', f'listen = "127.0.0.1:{self.port}"', site.config.read_text(), count=1)
        text = text.replace('admin_listen = "off"', f'admin_listen = "127.0.0.1:{self.admin}"')
        config.write_text(text + more)
        self.child = site.lab.start(name, [HLSGATE, "serve", "--config", config], batch=True)
        until(f"{name} listens", lambda: accepts(("127.0.0.1", self.port)))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/auth"

    def metric(self, name):
        """A figure that the daemon tells Prometheus."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def headers(token):
    """nginx's question for a segment."""
    return {"X-Hlsgate-Video": VIDEO, "X-Hlsgate-Kind": "media", "Cookie": f"theme=dark; hlsgate={token}"}


def question(token):
    """The same, as its bytes."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers(token).items())
    return f"GET /auth HTTP/1.1\r\nHost: hlsgate\r\n{lines}\r\n".encode()


def ask(place, token):
    """Asks once at a Unix socket; gives the open connection."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(place))
    connection.sendall(question(token))
    answer = connection.recv(4096)
    if not answer.startswith(b"HTTP/1.1 204 "):
        raise RuntimeError(f"the daemon answers {answer[:40]!r}")
    return connection
