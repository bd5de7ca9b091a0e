"""The agent of examples/agent: it finds a film, stays within its budget, and pays once whatever happens on the way."""
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import unittest

from shop import Site

AGENT = pathlib.Path(__file__).parents[2] / "examples/agent/buy_film.py"
# Hands the invoice to the stand-in wallet and prints what it answers, or hides it.
WALLET = """import sys, urllib.request
answer = urllib.request.urlopen(sys.argv[1], data=sys.argv[2].encode()).read().decode()
print({form})"""


class Agent(unittest.TestCase):
    def setUp(self):
        self.site = Site()
        self.addCleanup(self.site.close)
        (self.site.at / "videos.json").write_text('{"videos": [{"id": "film", "title": "The Clock"}, {"id": "other", "title": "The Clown"}]}')
        state = tempfile.TemporaryDirectory()
        self.addCleanup(state.cleanup)
        self.state = pathlib.Path(state.name)
        self.link = self.state / "film.m3u"

    def wallet(self, form="answer"):
        return shlex.join([sys.executable, "-c", WALLET.format(form=form), self.site.wallet, "{}"])

    def run_agent(self, film="the clock", budget=100, wallet=None):
        command = [AGENT, self.site.url(""), film, "--budget", str(budget), "--out", self.link, "--wallet", wallet or self.wallet()]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "XDG_STATE_HOME": str(self.state)})

    def buys(self, **options):
        done = self.run_agent(**options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def is_refused(self, why, **options):
        done = self.run_agent(**options)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(why, done.stderr)
        self.assertNotIn("eyJ", done.stderr)

    def cost(self):
        return self.site.payments, self.site.invoices()

    def test_it_buys_by_title_and_mpv_plays_the_link(self):
        self.buys()
        self.assertEqual(self.link.stat().st_mode & 0o777, 0o600)
        done = subprocess.run(["mpv", "--no-config", "--vo=null", "--ao=null", "--no-terminal", self.link], timeout=60, check=False)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.cost(), (1, 1))
        # The film is bought: neither the budget nor the wallet is touched again.
        self.link.unlink()
        self.buys(wallet="false", budget=0)
        self.assertTrue(self.link.exists())
        self.assertEqual(self.cost(), (1, 1))

    def test_a_wallet_that_prints_more_or_no_preimage_buys_as_well(self):
        for film, form in [("film", """'{"payment_preimage": "%s"} {"status": "SUCCEEDED", "payment_preimage": "%s"}' % ("0" * 64, answer)"""), ("other", "'paid'")]:
            with self.subTest(film):
                self.buys(film=film, wallet=self.wallet(form), budget=200)
        self.assertEqual(self.cost(), (2, 2))

    def test_beyond_the_budget_nothing_is_paid(self):
        self.is_refused("100 sats are beyond the budget: 0 of 99 are spent", budget=99)
        self.buys(budget=100)
        self.is_refused("beyond the budget: 100 of 199 are spent", film="other", budget=199)
        self.assertEqual(self.site.payments, 1)

    def test_a_run_that_broke_off_is_finished_without_a_second_payment(self):
        # Paid, and the wallet fell over before it said so; then the daemon was replaced and BTCPay went away.
        self.site.after_payment = lambda: (self.site.kill_daemon(), self.site.start_daemon(), self.site.break_btcpay())
        self.is_refused("", wallet=self.wallet("sys.exit(1)"))
        self.site.after_payment = None
        self.site.mend_btcpay()
        self.assertEqual(self.cost(), (1, 1))
        self.buys()
        self.assertEqual(self.cost(), (1, 1))

    def test_what_does_not_fit_one_film_is_named(self):
        self.is_refused("2 films fit 'the cl'; there are film (The Clock), other (The Clown)", film="the cl")
        self.is_refused("0 films fit", film="nothing")
        self.assertEqual(self.cost(), (0, 0))


if __name__ == "__main__":
    unittest.main()
