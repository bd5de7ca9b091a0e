"""Fail2ban against the log that our nginx and daemon really write: forgers are found and shut out, honest viewers never."""

import re
import unittest
import urllib.parse

from machines import Machine, Network, REPOSITORY, wait_until
from webserver import VIDEOS, WebServer

FILM, OTHER = (f"/hls/{video}/master.m3u8" for video in VIDEOS)
SHOP = """
[btcpay]
url = "http://127.0.0.1:9"
store = "9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776"
[[offers]]
tier = "24h"
price = "100"
currency = "SATS"
duration = "24h"
"""


def forged(token):
    """The same token with another signature, well-formed."""
    head, _, tag = token.rpartition(".")
    return f"{head}.{'A' if tag[0] != 'A' else 'B'}{tag[1:]}"


class Fail2ban(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.network = Network()
        cls.addClassCleanup(cls.network.switch.stop)
        cls.web = WebServer("web")
        cls.addClassCleanup(cls.web.stop)
        cls.network.plug(cls.web, "203.0.113.1/24")
        cls.web.set_up(SHOP)
        cls.web.write("/etc/hlsgate/btcpay-api-key", "0" * 40 + "\n", 0o600)
        cls.web.write("/etc/hlsgate/btcpay-webhook-secret", "s" * 28 + "\n", 0o600)
        cls.web.films()
        cls.web.start()
        cls.web.install("packaging/fail2ban/filter.conf", "/etc/fail2ban/filter.d/hlsgate.conf")
        cls.token = cls.web.token("--video", VIDEOS[0])

    def setUp(self):
        self.web.run("truncate", "-s", "0", "/var/log/nginx/access.log")

    def matches(self):
        """How many lines of the log the filter takes for attempts, and how many it was shown."""
        report = self.web.run("fail2ban-regex", "/var/log/nginx/access.log", "/etc/fail2ban/filter.d/hlsgate.conf").stdout
        lines, matched = re.search(r"Lines: (\d+) lines, \d+ ignored, (\d+) matched", report).groups()
        return int(matched), int(lines)

    def check(self, attempts, expected):
        """Makes the requests, each of which must have its status; then the filter must match `expected` of them."""
        for status, path, *options in attempts:
            self.assertEqual(self.web.get(path, *options), status, (path, options))
        matched, lines = self.matches()
        self.assertEqual(lines, len(attempts), "each request is a line")
        self.assertEqual(matched, expected, self.web.read("/var/log/nginx/access.log"))

    def test_forged_tokens(self):
        bad = forged(self.token)
        self.check([
            (403, f"{FILM}?token={bad}"),
            (403, f"/hls/~{bad}/{VIDEOS[0]}/0.ts"),
            (403, FILM, "-H", f"Authorization: Bearer {bad}"),
            (403, FILM, "-H", f"Cookie: hlsgate={bad}"),
            (403, f"{FILM}?token=guess"),
        ], expected=5)

    def test_guessed_claims(self):
        self.check([
            (403, "/hlsgate/invoices/HMprBnL9BTXWuPvpoKBS6e", "-H", "Authorization: Bearer " + "A" * 64),
            (403, "/hlsgate/invoices/HMprBnL9BTXWuPvpoKBS6e?wait=25&seen=new", "-H", "Authorization: Bearer " + "B" * 64),
            # The same, in disguise: nginx cleans the path, the log has it as it came.
            (403, "/hlsgate/%69nvoices/HMprBnL9BTXWuPvpoKBS6e"),
            (403, "//hlsgate/invoices/HMprBnL9BTXWuPvpoKBS6e"),
            (403, "/hlsgate/./invoices/HMprBnL9BTXWuPvpoKBS6e", "--path-as-is"),
        ], expected=5)

    def test_forged_webhooks(self):
        json = ("-X", "POST", "-H", "Content-Type: application/json", "-d", '{"type":"InvoiceSettled"}')
        self.check([
            (403, "/hlsgate/webhooks/btcpay", *json),
            (403, "/hlsgate/webhooks/btcpay", *json, "-H", "BTCPay-Sig: sha256=" + "0" * 64),
        ], expected=2)

    def test_honest_viewers(self):
        """Everything that happens to a viewer who means no harm, refusals included."""
        web = self.web
        short = web.token("--video", VIDEOS[0], "--for", "1s")
        revoked = web.token("--video", VIDEOS[0], "--jti", "gone")
        web.hlsgate("revoke", "gone")
        old = web.token("--video", VIDEOS[0])
        web.hlsgate("keys", "rotate")
        status = lambda token: web.get(f"{FILM}?token={token}")
        wait_until(lambda: status(short) == 403, "the short token has expired")
        wait_until(lambda: status(revoked) == 403, "the revocation is known")
        # Folders without an index, which nginx itself refuses.
        for folder in ("my photos", ".well-known"):
            web.run("mkdir", "-p", f"/srv/site/{folder}")
        web.run("truncate", "-s", "0", "/var/log/nginx/access.log")
        self.check([
            (200, "/"), (404, "/favicon.ico"), (403, FILM),
            (200, f"{FILM}?token={self.token}"), (200, f"/hls/~{self.token}/{VIDEOS[0]}/0.ts"),
            (206, FILM, "-r", "0-3", "-H", f"Cookie: hlsgate={self.token}"),
            (403, f"{OTHER}?token={self.token}"), (403, f"{FILM}?token={short}"), (403, f"{FILM}?token={revoked}"),
            (200, f"{FILM}?token={old}"), (404, f"/hls/{VIDEOS[0]}/none.ts?token={self.token}"),
            (200, f"/hlsgate/videos/{VIDEOS[0]}"), (404, "/hlsgate/none"),
            (403, "/my%20photos/"), (403, "//.well-known/"), (403, "/.well-known/"),
            # A token kept in the browser, of a key that has been removed or of a purchase that was taken back.
            (403, "/hlsgate/session", "-H", "Content-Type: application/json", "-d", f'{{"token":"{revoked}"}}'),
            (401, "/hlsgate/session", "-H", "Content-Type: application/json", "-d", f'{{"token":"{short}"}}'),
        ], expected=0)
        reasons = web.read("/var/log/nginx/access.log")
        for reason in ("missing", "expired", "revoked", "other-video"):
            self.assertIn(f'"{reason}"', reasons)
        self._a_tab_is_closed()

    def _a_tab_is_closed(self):
        """In the middle of a film: the viewer's side hangs up, and nginx writes 499, or 200 with fewer bytes."""
        web = self.web
        web.run("truncate", "-s", "64M", f"/srv/hls/{VIDEOS[0]}/1.ts")
        web.run("truncate", "-s", "0", "/var/log/nginx/access.log")
        web.get(f"/hlsgate/videos/{VIDEOS[0]}")
        web.run("curl", "-s", "--limit-rate", "100k", "-m", "1", "-o", "/dev/null",
                f"http://127.0.0.1/hls/{VIDEOS[0]}/1.ts?token={self.token}", check=False)
        wait_until(lambda: "/1.ts" in web.read("/var/log/nginx/access.log"), "the request that was cut short is logged")
        self.assertEqual(self.matches(), (0, 2))

    def test_nobody_can_have_another_banned(self):
        """A line is written by nginx, but its path, agent and method are the stranger's words."""
        line = '198.51.100.7 - - [23/Nov/2026:08:00:00 +0000] "GET /hls/x/0.ts HTTP/1.1" 403 1 "-" "x" "bad-signature" 0.0'
        tail = '" 403 1 "-" "x" "bad-signature'
        self.check([
            (200, "/", "-A", line), (200, "/", "-A", tail), (200, "/", "-A", f"x\\x22\t{line}"), (200, "/", "-e", tail), (200, "/", "-u", f"{line}:x"),
            (404, "/%0a" + urllib.parse.quote(line)),
            (404, "/x%22%20403%201%20%22-%22%20%22x%22%20%22bad-signature%22"),
        ], expected=0)

    def test_the_log_holds_no_token(self):
        for path in (f"{FILM}?token={self.token}", f"/hls/~{self.token}/{VIDEOS[0]}/0.ts", f"/hls/~{forged(self.token)}/{VIDEOS[0]}/0.ts"):
            self.web.get(path)
        self.assertNotIn(self.token.split(".")[1], self.web.read("/var/log/nginx/access.log"))

    def test_a_forger_is_shut_out_and_others_are_not(self):
        """The jail as shipped, with a real fail2ban and real packets."""
        web = self.web
        web.install("packaging/fail2ban/jail.conf", "/etc/fail2ban/jail.d/hlsgate.conf")
        web.run("rm", "-f", "/etc/fail2ban/jail.d/defaults-debian.conf")
        web.run("mkdir", "-p", "/run/fail2ban", "/var/lib/fail2ban")
        server = web.spawn("fail2ban-server", "-f", "start")
        self.addCleanup(web.run, "fail2ban-client", "stop", check=False)
        wait_until(lambda: web.run("fail2ban-client", "status", "hlsgate", check=False).returncode == 0, "the jail stands")
        with Machine("forger") as forger, Machine("viewer") as viewer:
            self.network.plug(forger, "203.0.113.50/24")
            self.network.plug(viewer, "203.0.113.51/24")
            address, bad = "http://203.0.113.1", forged(self.token)
            get = lambda machine, path: machine.run("curl", "-s", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", address + path, check=False).stdout
            for _ in range(9):
                self.assertEqual(get(forger, f"{FILM}?token={bad}"), "403")
            for _ in range(30):
                self.assertEqual(get(viewer, FILM), "403")
            self.assertTrue(forger.reaches(("203.0.113.1", 80)), "nine are not enough")
            self.assertEqual(get(forger, f"{FILM}?token={bad}"), "403")
            wait_until(lambda: not forger.reaches(("203.0.113.1", 80)), f"the forger is shut out\n{web.log(server)}")
            self.assertEqual(get(viewer, f"{FILM}?token={self.token}"), "200")
            web.run("fail2ban-client", "set", "hlsgate", "unbanip", "203.0.113.50")
            wait_until(lambda: forger.reaches(("203.0.113.1", 80)), "and let in again")


class Files(unittest.TestCase):
    def test_the_jail_reads_the_log_that_nginx_writes(self):
        snippet = (REPOSITORY / "nginx/snippets/hlsgate.conf").read_text()
        jail = (REPOSITORY / "packaging/fail2ban/jail.conf").read_text()
        written = re.search(r"(?m)^access_log (\S+) hlsgate;", snippet)[1]
        self.assertEqual(re.search(r"(?m)^logpath = (\S+)", jail)[1], written)


if __name__ == "__main__":
    unittest.main()
