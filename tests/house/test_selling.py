"""docs/btcpay.md, word by word: connecting, and changing each secret, while films are sold. In a machine that boots, with the shipped
units in force, a real nginx, and the stand-in BTCPay; the commands are taken from the document."""

import json
import re
import shutil
import unittest

from booted import Booted
from machines import REPOSITORY, wait_until
from webserver import HLSGATE, SITE

DOCUMENT = (REPOSITORY / "docs/btcpay.md").read_text()
DOUBLE = HLSGATE.with_name("btcpay-double")
VIDEO = "c05f2318"
STORE = "9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776"
RIGHTS = ("cancreateinvoice", "canviewinvoices", "webhooks.canmodifywebhooks", "canviewlightninginvoice")
FIRST_KEY, SECOND_KEY = "1" * 40, "2" * 40
BTCPAY, CONTROL = "http://127.0.0.1:23000", "http://127.0.0.1:23001/fake"
HERE = {"https://video.example": "http://video.example", "https://btcpay.example": BTCPAY}
"""What the document's names are in this machine."""
DOUBLE_UNIT = f"""\
[Service]
ExecStart=/usr/local/bin/btcpay-double --listen 127.0.0.1:23000 --control 127.0.0.1:23001
[Install]
WantedBy=multi-user.target
"""
ASK = """
import sys, urllib.request
method, url, *headers = sys.argv[1:]
body = sys.stdin.buffer.read() or None
request = urllib.request.Request(url, body, dict(header.split(": ", 1) for header in headers), method=method)
print(urllib.request.urlopen(request, timeout=50).read().decode())
"""


def block(after, kind, number=0):
    """The text of the first code block of this kind (or a later one) behind a text of the document, in this machine's names."""
    text = re.findall(rf"```{kind}\n(.*?)```", DOCUMENT[DOCUMENT.index(after):], re.S)[number]
    for there, here in HERE.items():
        text = text.replace(there, here)
    return text


def commands(after, number=0):
    return [line for line in block(after, "sh", number).splitlines() if line.strip()]


class Selling(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.machine = Booted(cls.install)
        cls.addClassCleanup(cls.machine.stop)

    @staticmethod
    def install(machine):
        for program, path in ((HLSGATE, "usr/bin/hlsgate"), (DOUBLE, "usr/local/bin/btcpay-double")):
            shutil.copy(program, machine.root / path)
        for unit in ("hlsgate.service", "hlsgate.socket"):
            machine.install(f"packaging/systemd/{unit}", f"/usr/lib/systemd/system/{unit}")
        machine.install("packaging/systemd/sysusers.conf", "/usr/lib/sysusers.d/hlsgate.conf")
        machine.install("packaging/systemd/tmpfiles.conf", "/usr/lib/tmpfiles.d/hlsgate.conf")
        for name in ("conf.d/hlsgate.conf", "snippets/hlsgate.conf", "snippets/hlsgate-protect.conf"):
            machine.install(f"nginx/{name}", f"/etc/nginx/{name}")
        machine.write("/etc/nginx/sites-available/default", SITE)
        machine.write("/srv/site/index.html", "the site\n")
        machine.write(f"/srv/hls/{VIDEO}/master.m3u8", "#EXTM3U\n")
        machine.write("/etc/systemd/system/btcpay.service", DOUBLE_UNIT)
        machine.write("/etc/hosts", "127.0.0.1 localhost video.example\n")

    # --- what the test does beside the document ------------------------------------------------------------------------------

    def ask(self, method, url, *headers, body=None):
        text = "" if body is None else json.dumps(body)
        return json.loads(self.machine.run("python3", "-c", ASK, method, url, "Content-Type: application/json", *headers, input=text).stdout or "null")

    def fake(self, path, body):
        return self.ask("POST", f"{CONTROL}/{path}", body=body)

    def allow(self, key, rights=RIGHTS):
        self.fake("keys", {"key": key, "permissions": rights and [f"btcpay.store.{right}:{STORE}" for right in rights]})

    def secrets(self):
        return self.machine.run("cat", "/etc/hlsgate/btcpay-webhook-secret").stdout.split()

    def registered(self):
        """The secret with which BTCPay signs."""
        (webhook,) = self.ask("GET", f"{CONTROL}/state")["webhooks"]
        return webhook["secret"]

    def sell(self):
        """A film is bought, and every delivery of it is taken at once."""
        site = "http://video.example/hlsgate"
        bought = self.ask("POST", f"{site}/videos/{VIDEO}/invoices", body={"tier": "24h"})
        self.fake("pay", {"invoice": bought["invoice"]})
        told = self.ask("GET", f"{site}/invoices/{bought['invoice']}?wait=25&seen=new", f"Authorization: Bearer {bought['claim']}")
        self.assertEqual(told["status"], "settled")
        self.ask("GET", f"{CONTROL}/wait?idle&timeout=20")
        attempts = self.ask("GET", f"{CONTROL}/attempts?invoice={bought['invoice']}")["attempts"]
        self.assertGreaterEqual(len(attempts), 3)
        self.assertEqual({attempt["status"] for attempt in attempts}, {204}, attempts)

    def shell(self, command, **options):
        done = self.machine.run("sh", "-c", command, check=False, **options)
        return done.returncode, done.stdout, done.stderr

    # --- the document --------------------------------------------------------------------------------------------------------

    def test_every_step_of_the_document(self):
        machine = self.machine
        machine.run("systemctl", "start", "btcpay")
        wait_until(lambda: self.shell(f"python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 23001))'")[0] == 0, "the stand-in listens")
        self.allow("0123456789abcdef0123456789abcdef01234567", None)
        self.allow(FIRST_KEY)
        machine.run("hlsgate", "init")
        machine.write("/etc/hlsgate/hlsgate.toml", block("## 2. hlsgate.toml", "toml"))
        machine.run("systemctl", "enable", "hlsgate.socket", "hlsgate.service")

        with self.subTest("3: connect"):
            (first,), (paste,) = commands("## 3. Connect"), commands("## 3. Connect", 1)
            code, out, err = self.shell(first)
            self.assertEqual((code, err), (1, ""))
            for right in RIGHTS:
                self.assertIn(f"permissions=btcpay.store.{right}%3A{STORE}", out)
                self.assertIn(f"| `btcpay.store.{right}`", DOCUMENT)
            code, out, err = self.shell(paste, input=f"{FIRST_KEY}\n")
            self.assertEqual((code, err), (0, ""))
            shown = block("## 3. Connect", "text")
            self.assertEqual(re.sub(r"(?<=made: )\w{20,}", "HmRTEeK5CB11urW8TkBzve", out), shown)
            self.assertEqual(machine.run("stat", "-c", "%U %a", "/etc/hlsgate/btcpay-api-key", "/etc/hlsgate/btcpay-webhook-secret").stdout, "hlsgate 600\n" * 2)

        with self.subTest("4: start, and prove it"):
            start, check = commands("## 4. Start, and prove it")
            self.assertEqual(self.shell(start)[0], 0)
            _, out, _ = self.shell(check)
            found = re.search(r"(?m)^BTCPay\n(?:  .*\n)*", out).group(0)
            # The commit that BTCPay says it was built of.
            found = re.sub(r"(?<=2\.4\.1)\+\w+", "", re.sub(r"(?<=webhook: )\w+", "HmRTEeK5CB11urW8TkBzve", found))
            self.assertEqual(found, block("## 4. Start, and prove it", "text"))
            self.sell()
            self.assertIn("  ✓ deliveries: the latest ", self.shell(check)[1])

        with self.subTest("later: a new webhook secret"):
            before = self.secrets()
            for step in commands("**A new webhook secret**"):
                code, out, err = self.shell(step)
                self.assertEqual((code, err), (0, ""), f"{step}\n{out}")
                self.sell()
            after = self.secrets()
            self.assertNotEqual(after[0], before[0])
            self.assertEqual((after[1:], self.registered()), (before, after[0]))
            self.assertIn("  ✓ trial delivery: accepted by the running daemon\n", self.shell("hlsgate check")[1])

        with self.subTest("later: a new API key"):
            self.allow(SECOND_KEY)
            steps = re.findall(r"`((?:hlsgate|systemctl) [^`]+)`", DOCUMENT[DOCUMENT.index("**A new API key**"):].split("\n\n")[0])
            self.assertEqual(len(steps), 3)
            for step in steps:
                code, out, err = self.shell(step, input=f"{SECOND_KEY}\n")
                self.assertEqual((code, err), (0, ""), f"{step}\n{out}")
                self.sell()
            self.assertIn(SECOND_KEY, machine.run("cat", "/etc/hlsgate/btcpay-api-key").stdout)
            # The old key is deleted in BTCPay.
            self.allow(FIRST_KEY, None)
            self.sell()

        with self.subTest("root's alone: systemd's copy, which a restart renews"):
            machine.run("chown", "root:root", "/etc/hlsgate/btcpay-webhook-secret", "/etc/hlsgate/btcpay-api-key")
            machine.run("systemctl", "restart", "hlsgate")
            self.sell()
        self.assertNotIn("ERROR", machine.journal("-u", "hlsgate"))


if __name__ == "__main__":
    unittest.main()
