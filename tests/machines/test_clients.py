"""Clients that pay by themselves buy a film from the stand-in, through real nginx; each pays exactly once (docs/machines.md)."""
import json
import os
import pathlib
import subprocess
import unittest

from shop import Site

HERE = pathlib.Path(__file__).parent
NODE = ["node", HERE / "client.mjs"]
PYTHON = [os.environ["MACHINE_CLIENTS_PYTHON"], HERE / "client.py"]
# Its dependencies are of other versions than those of the others.
ROUTEWEILER = [os.environ["MACHINE_ROUTEWEILER_PYTHON"], HERE / "client.py"]
CLIENTS = {"alby": NODE, "mppx": NODE, "l402": NODE, "l402-requests": PYTHON, "l402kit": PYTHON, "bolthub": PYTHON, "l402sdk": PYTHON,
           "lightning-enable-mcp": PYTHON, "routeweiler": ROUTEWEILER, "pympp": PYTHON}
# Those that keep a cookie, or send the credential with each file below the playlist.
KEEP = {"l402-requests", "l402kit", "bolthub", "lightning-enable-mcp", "routeweiler", "pympp"}
ACCESS, PLAYLIST = "/hlsgate/videos/film/access?tier=24h", "/hls/film/master.m3u8"
VARIANT, SEGMENT = "/hls/film/video.m3u8", "/hls/film/video0.ts"


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = Site()
        cls.addClassCleanup(cls.site.close)

    def setUp(self):
        self.before = (self.site.payments, self.site.invoices())

    def cost(self):
        """Payments and invoices of this test."""
        payments, invoices = self.before
        return self.site.payments - payments, self.site.invoices() - invoices

    def ask(self, name, *paths):
        """What the client prints for each path."""
        urls = [self.site.url(path) if path.startswith("/") else path for path in paths]
        done = subprocess.run([*CLIENTS[name], name, self.site.wallet, *urls], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, f"{name}: {done.stderr[-2000:]}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def plays(self, playlist):
        """Every file of the film, by a player that pays nothing."""
        done = subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-i", playlist, "-f", "null", "-"], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


def bought_by(name):
    def test(self):
        access, *files = self.ask(name, ACCESS, "+film")
        self.assertEqual([answer["status"] for answer in [access, *files]], [200] * (3 + self.site.segments), name)
        self.plays(json.loads(access["text"])["playlist"])
        self.assertEqual(self.cost(), (1, 1), "one payment for all files")
    test.__doc__ = f"{name} buys the film once, fetches every file of it, and any player plays it"
    return test


def playlist_by(name):
    def test(self):
        master, *files = self.ask(name, PLAYLIST, VARIANT, SEGMENT)
        self.assertEqual(master["status"], 200)
        self.assertTrue(master["text"].startswith("#EXTM3U"), master)
        self.assertEqual([answer["status"] for answer in files], [200 if name in KEEP else 403] * 2)
        self.assertEqual(self.cost(), (1, 1), "no file below it is paid for")
    test.__doc__ = f"{name} pays for the first playlist, gets the playlist itself, and pays for nothing below it"
    return test


def interrupted(name):
    def test(self):
        def interrupt():
            self.site.kill_daemon()
            self.site.start_daemon()
            self.site.break_btcpay()
        self.site.after_payment = interrupt
        try:
            [access] = self.ask(name, ACCESS)
            self.assertEqual(access["status"], 200)
            self.plays(json.loads(access["text"])["playlist"])
        finally:
            self.site.after_payment = None
            self.site.mend_btcpay()
        self.assertEqual(self.cost(), (1, 1))
    test.__doc__ = f"{name} gets what it paid for though the daemon is a new one by then and BTCPay is down"
    return test


for client in CLIENTS:
    of = client.replace("-", "_")
    setattr(Clients, f"test_{of}_buys_the_film_once", bought_by(client))
    setattr(Clients, f"test_{of}_pays_for_the_first_playlist", playlist_by(client))
    setattr(Clients, f"test_{of}_gets_what_it_paid_for_from_a_new_daemon_without_btcpay", interrupted(client))


if __name__ == "__main__":
    unittest.main()
