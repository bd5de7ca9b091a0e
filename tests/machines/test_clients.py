"""Clients that pay by themselves buy a film from the stand-in, through real nginx; each pays exactly once (docs/machines.md)."""
import json
import os
import pathlib
import subprocess
import unittest

from shop import Site

HERE = pathlib.Path(__file__).parent
NODE = ["node", HERE / "client.mjs"]
PYTHON = [os.environ.get("MACHINE_CLIENTS_PYTHON", "python3"), HERE / "client.py"]
CLIENTS = {"alby": NODE, "mppx": NODE, "l402": NODE, "l402-requests": PYTHON, "l402kit": PYTHON, "bolthub": PYTHON, "pympp": PYTHON}
ACCESS, PLAYLIST = "/hlsgate/videos/film/access?tier=24h", "/hls/film/master.m3u8"


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

    def buy(self, name, *paths):
        """What the client prints for each path."""
        urls = [self.site.url(path) for path in paths]
        done = subprocess.run([*CLIENTS[name], name, self.site.wallet, *urls], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, f"{name}: {done.stderr[-2000:]}")
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([answer["status"] for answer in answers], [200] * len(paths), name)
        return [answer["text"] for answer in answers]

    def plays(self, playlist):
        """Every file of the film, by a player that pays nothing."""
        done = subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-i", playlist, "-f", "null", "-"], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


def bought_by(name):
    def test(self):
        [answer] = self.buy(name, ACCESS)
        self.plays(json.loads(answer)["playlist"])
        self.assertEqual(self.cost(), (1, 1), "one payment for all files")
    test.__doc__ = f"{name} buys the film once, and any player plays it"
    return test


def playlist_by(name):
    def test(self):
        [answer] = self.buy(name, PLAYLIST)
        self.assertTrue(answer.startswith("#EXTM3U"), answer)
        self.assertEqual(self.cost(), (1, 1))
    test.__doc__ = f"{name} pays for the first playlist and gets the playlist itself"
    return test


for client in CLIENTS:
    setattr(Clients, f"test_{client.replace('-', '_')}_buys_the_film_once", bought_by(client))
    setattr(Clients, f"test_{client.replace('-', '_')}_pays_for_the_first_playlist", playlist_by(client))


if __name__ == "__main__":
    unittest.main()
