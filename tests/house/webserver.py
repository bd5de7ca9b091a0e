"""A web machine as the README sets it up: the shipped nginx files, a vhost, two small videos, the daemon. In a `Machine`."""

import os
import pathlib

from machines import Machine, wait_until

HLSGATE = pathlib.Path(os.environ.get("HLSGATE", "target/debug/hlsgate")).resolve()
"""The daemon under test; tests/house/run builds it."""
VIDEOS = ("c05f2318", "d41d8cd9")
SITE = """\
server {
    listen 80 default_server;
    include snippets/hlsgate.conf;
    root /srv/site;
    location ^~ /hls/ { include snippets/hlsgate-protect.conf; root /srv; }
}
"""


class WebServer(Machine):
    """`set_up` makes a server of an empty machine; `start` starts what stands there, also what was moved here."""

    def set_up(self, configuration=""):
        if not HLSGATE.exists():
            raise AssertionError(f"{HLSGATE} was not found; build it, or name it in the environment variable HLSGATE")
        for name in ("conf.d/hlsgate.conf", "snippets/hlsgate.conf", "snippets/hlsgate-protect.conf"):
            self.install(f"nginx/{name}", f"/etc/nginx/{name}")
        self.write("/etc/nginx/sites-available/video", SITE)
        self.run("sh", "-ec", "rm -f /etc/nginx/sites-enabled/*; ln -s /etc/nginx/sites-available/video /etc/nginx/sites-enabled/video")
        self.write("/srv/site/index.html", "the site\n")
        self.hlsgate("init")
        self.write("/etc/hlsgate/hlsgate.toml", 'public_url = "http://video.example"\n' + self.read("/etc/hlsgate/hlsgate.toml") + configuration)

    def films(self):
        for video in VIDEOS:
            self.write(f"/srv/hls/{video}/master.m3u8", "#EXTM3U\n")
            self.write(f"/srv/hls/{video}/0.ts", "segment\n")

    def hlsgate(self, *arguments, **options):
        return self.run(HLSGATE, *arguments, **options)

    def start(self):
        self.run("sh", "-ec", "mkdir -p /run/hlsgate /var/lib/hlsgate /var/log/nginx; : > /var/log/nginx/access.log")
        self.daemon = self.spawn(HLSGATE, "serve")
        wait_until(lambda: self.run("test", "-S", "/run/hlsgate/hlsgate.sock", check=False).returncode == 0 or self.daemon.poll() is not None,
                   "the daemon listens")
        if self.daemon.poll() is not None:
            raise AssertionError(f"the daemon ended:\n{self.log(self.daemon)}")
        self.run("nginx")
        wait_until(lambda: self.reaches(("127.0.0.1", 80)), "nginx listens")

    def token(self, *arguments):
        return self.hlsgate("token", "issue", *arguments).stdout.strip()

    def get(self, path, *options, address="127.0.0.1"):
        """The status of a GET, by curl with further `options`."""
        return int(self.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *options, f"http://{address}{path}").stdout)
