"""The links between the machines: what they carry, that they come back by themselves, and what their keys may not do."""

import pathlib
import re
import subprocess
import unittest

from machines import REPOSITORY, wait_until
from place import ADDRESS, BTCPAY_PORT, LND_PORT, NODE, PAYMENT, WEB, Place

KEYS = "/etc/hlsgate-tunnel"


class WireGuard(unittest.TestCase):
    def setUp(self):
        self.place = Place()
        self.addCleanup(self.place.stop)
        self.place.wireguard()
        self.place.payment.answer([BTCPAY_PORT], PAYMENT)
        self.place.node.answer([LND_PORT], NODE)

    def test_a_cut_heals_by_itself(self):
        place = self.place
        self.assertEqual(place.web.hears(PAYMENT, BTCPAY_PORT), "payment")
        self.assertEqual(place.payment.hears(NODE, LND_PORT), "node")
        place.network.cut(place.payment)
        self.assertEqual(place.web.hears(PAYMENT, BTCPAY_PORT), "")
        self.assertEqual(place.payment.hears(NODE, LND_PORT), "")
        place.network.heal(place.payment)
        wait_until(lambda: place.web.hears(PAYMENT, BTCPAY_PORT) == "payment", "the web machine asks BTCPay again")
        wait_until(lambda: place.payment.hears(NODE, LND_PORT) == "node", "BTCPay asks LND again")

    def test_neither_key_opens_the_other_link(self):
        """`AllowedIPs` binds a key to one address: the web machine cannot speak as the node, nor to it."""
        place = self.place
        place.web.run("ip", "route", "add", f"{NODE}/32", "dev", "wg-pay")
        self.assertEqual(place.web.hears(NODE, LND_PORT), "")
        place.web.run("ip", "address", "add", "10.77.2.2/32", "dev", "wg-pay")
        forged = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1, ('10.77.2.2', 0))"
        self.assertNotEqual(place.web.run("python3", "-c", forged, PAYMENT, BTCPAY_PORT, check=False).returncode, 0)

    def test_a_moved_machine_is_found_again(self):
        """The web machine moves house: its name points elsewhere, and the payment machine follows."""
        place, moved = self.place, "203.0.113.9"
        script = REPOSITORY / "packaging/tunnel/wireguard/wg-endpoint"
        endpoint = lambda: place.payment.run("wg", "show", "wg-pay", "endpoints").stdout.split()[-1]
        place.web.run("wg-quick", "down", "wg-pay")
        place.web.run("ip", "address", "delete", f"{ADDRESS['web']}/24", "dev", "eth0")
        place.web.run("ip", "address", "add", f"{moved}/24", "dev", "eth0")
        place.web.run("wg-quick", "up", "wg-pay")
        place.payment.run("sed", "-i", f"s/^{ADDRESS['web']} /{moved} /", "/etc/hosts")

        self.assertEqual(place.payment.run(script, "wg-pay").stdout, "", "heard lately: left alone")
        self.assertEqual(endpoint(), f"{ADDRESS['web']}:51820")
        self.assertEqual(place.web.hears(PAYMENT, BTCPAY_PORT), "", "WireGuard alone does not find it")
        # Silence is judged by the clock; three minutes of it are three minutes of `date`.
        place.payment.write("/root/bin/date", '#!/bin/sh\nexec /bin/date -d "+181 seconds" "$@"\n', 0o755)
        later = place.payment.run("env", "PATH=/root/bin:/usr/sbin:/usr/bin:/sbin:/bin", script, "wg-pay")
        self.assertIn("looking up video.example:51820 again", later.stdout)
        self.assertEqual(endpoint(), f"{moved}:51820")
        # The session is young here, so WireGuard gives it up only 15 s after traffic that nobody answered.
        wait_until(lambda: place.payment.run("ping", "-c1", "-W1", WEB, check=False).returncode == 0, "a new handshake", 40)
        self.assertEqual(place.web.hears(PAYMENT, BTCPAY_PORT), "payment")

    def test_the_files_hold_no_secret(self):
        for path in sorted((REPOSITORY / "packaging/tunnel/wireguard").glob("*.conf")):
            self.assertNotRegex(path.read_text(), r"(?m)^PrivateKey", path.name)


class Autossh(unittest.TestCase):
    """autossh as the shipped unit starts it, against an sshd of the test's own with the shipped limits."""

    def setUp(self):
        self.place = Place()
        self.addCleanup(self.place.stop)
        web, payment = self.place.web, self.place.payment
        web.install("packaging/tunnel/autossh/sysusers.conf", "/etc/sysusers.d/hlsgate-tunnel.conf")
        web.run("systemd-sysusers", "/etc/sysusers.d/hlsgate-tunnel.conf")
        web.run("sh", "-c", "rm -f /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; mkdir -p /run/sshd")
        web.write("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\nKbdInteractiveAuthentication no\n")
        web.install("packaging/tunnel/autossh/sshd_config.conf", "/etc/ssh/sshd_config.d/hlsgate-tunnel.conf")
        payment.run("sh", "-c", f"mkdir -p -m 755 {KEYS} && ssh-keygen -q -t ed25519 -N '' -C payment -f {KEYS}/pay.key && mkdir /run/key && cp {KEYS}/pay.key /run/key/key")
        payment.install("packaging/tunnel/autossh/pay.conf", f"{KEYS}/pay.conf")
        payment.write(f"{KEYS}/known_hosts", "video.example " + web.read("/etc/ssh/ssh_host_ed25519_key.pub"))
        self.trust()
        self.sshd = web.spawn("/usr/sbin/sshd", "-D", "-e")
        wait_until(lambda: payment.reaches((ADDRESS["web"], 22)), "sshd answers")
        payment.answer([BTCPAY_PORT], "127.0.0.1")

    def trust(self):
        """Root of the web machine lets the payment machine's key in, with the shipped line."""
        shipped = (REPOSITORY / "packaging/tunnel/autossh/authorized_keys").read_text()
        public = self.place.payment.read(f"{KEYS}/pay.key.pub").strip()
        line, replaced = re.subn(r"ssh-ed25519 AAAA.*", public, shipped)
        self.assertEqual(replaced, 1)
        self.place.web.write("/etc/ssh/hlsgate-tunnel.keys", line)

    def autossh(self):
        unit = (REPOSITORY / "packaging/tunnel/autossh/hlsgate-tunnel@.service").read_text()
        command = re.search(r"(?m)^ExecStart=(.*)$", unit)[1].replace("%i", "pay").split()
        environment = re.search(r"(?m)^Environment=(.*)$", unit)[1].split()
        return self.place.payment.spawn("env", "CREDENTIALS_DIRECTORY=/run/key", *environment, *command)

    def ssh(self, *arguments):
        """ssh with the tunnel's key and no forwarding of its own accord."""
        return self.place.payment.run(
            "ssh", "-F", "none", "-i", "/run/key/key", "-o", f"UserKnownHostsFile={KEYS}/known_hosts", "-o", "BatchMode=yes",
            "-o", "ExitOnForwardFailure=yes", "-o", "ConnectTimeout=5", *arguments, "hlsgate-tunnel@video.example", check=False, timeout=10)

    def lent(self):
        return self.place.web.hears("127.0.0.1", BTCPAY_PORT)

    def test_it_carries_and_heals_by_itself(self):
        place = self.place
        tunnel = self.autossh()
        with self.subTest("it carries"):
            wait_until(lambda: self.lent() == "payment", "the web machine asks BTCPay", pause=0.3)
            self.assertFalse(place.viewer.reaches((ADDRESS["web"], BTCPAY_PORT)), "lent to loopback alone")
        with self.subTest("the other end restarts"):
            place.web.run("pkill", "-x", "sshd")
            self.sshd = wait_until(self.restarted_sshd, "sshd can be started again")
            wait_until(lambda: self.lent() == "payment", "the tunnel is back after sshd's restart", 60, 0.3)
        with self.subTest("the line is cut and heals"):
            place.network.cut(place.payment)
            wait_until(lambda: self.lent() == "", "the dead line is noticed and its port freed", 40, 0.3)
            place.network.heal(place.payment)
            wait_until(lambda: self.lent() == "payment", "the tunnel is back after the cut", 60, 0.3)
        self.assertIsNone(tunnel.poll(), "one autossh went through all of it")

    def restarted_sshd(self):
        process = self.place.web.spawn("/usr/sbin/sshd", "-D", "-e")
        return wait_until(lambda: process if self.place.payment.reaches((ADDRESS["web"], 22)) else None, "sshd answers")

    def refused(self, *arguments):
        """Whether that attempt ends by itself, refused, within the time a working one would stay up."""
        try:
            done = self.ssh(*arguments)
        except subprocess.TimeoutExpired:
            return "it stayed up"
        return "refused" if done.returncode else f"it ended well: {done.stdout}"

    def test_what_the_key_may_not_do(self):
        """First with both limits in place, then with each of them alone."""
        web = self.place.web
        web.answer([5432], "127.0.0.1")
        everything = web.read("/etc/ssh/sshd_config.d/hlsgate-tunnel.conf")
        account = "Match User hlsgate-tunnel\n  AuthorizedKeysFile /etc/ssh/hlsgate-tunnel.keys\n"
        bare = self.place.payment.read(f"{KEYS}/pay.key.pub")
        for name, sshd_config, keys in [
            ("both", everything, None),
            ("sshd_config alone", everything, bare),
            ("the key's line alone", account, None),
        ]:
            web.write("/etc/ssh/sshd_config.d/hlsgate-tunnel.conf", sshd_config)
            self.trust() if keys is None else web.write("/etc/ssh/hlsgate-tunnel.keys", keys)
            web.run("pkill", "-HUP", "-o", "-x", "sshd")
            wait_until(lambda: self.place.payment.reaches((ADDRESS["web"], 22)), "sshd answers")
            with self.subTest(name, what="its own port works"):
                self.assertEqual(self.holds(f"{BTCPAY_PORT}:127.0.0.1:{BTCPAY_PORT}"), "lent")
            attempts = {
                "another port": ["-N", "-R", "127.0.0.1:9464:127.0.0.1:23000"],
                "every address": ["-N", "-R", "0.0.0.0:23000:127.0.0.1:23000"],
                "any port": ["-N", "-R", "0:127.0.0.1:23000"],
                "a socket": ["-N", "-R", "/tmp/lent.sock:127.0.0.1:23000"],
            }
            if name == "the key's line alone":
                del attempts["a socket"]    # `permitlisten` is about TCP only: here only sshd_config closes it
            for what, arguments in attempts.items():
                with self.subTest(name, what=what):
                    self.assertEqual(self.refused(*arguments), "refused")
            with self.subTest(name, what="a shell"):
                shell = self.place.payment.run(*self.command("id"), check=False)
                self.assertNotIn("uid=", shell.stdout)
                self.assertNotEqual(shell.returncode, 0)
            with self.subTest(name, what="files by sftp"):
                self.assertEqual(self.refused("-s", "-o", "RemoteCommand=sftp"), "refused")
            with self.subTest(name, what="the other direction"):
                # `-W` asks the far end to connect onwards, to a service of its loopback that does answer.
                self.assertNotIn("web", self.ssh("-W", "127.0.0.1:5432").stdout)

    def test_the_attempts_above_work_without_limits(self):
        """What the refusals are worth: an account without limits gets the other port and the other direction."""
        web = self.place.web
        web.answer([5432], "127.0.0.1")
        web.write("/etc/ssh/sshd_config.d/hlsgate-tunnel.conf", "Match User hlsgate-tunnel\n  AuthorizedKeysFile /etc/ssh/hlsgate-tunnel.keys\n")
        web.write("/etc/ssh/hlsgate-tunnel.keys", self.place.payment.read(f"{KEYS}/pay.key.pub"))
        web.run("usermod", "-s", "/bin/sh", "hlsgate-tunnel")
        web.run("pkill", "-HUP", "-o", "-x", "sshd")
        wait_until(lambda: self.place.payment.reaches((ADDRESS["web"], 22)), "sshd answers")
        self.assertIn("web", self.ssh("-W", "127.0.0.1:5432").stdout)
        self.assertEqual(self.holds("9464:127.0.0.1:23000", 9464), "lent")
        self.assertIn("uid=", self.place.payment.run(*self.command("id"), check=False).stdout)

    def command(self, *remote):
        return ["ssh", "-F", "none", "-i", "/run/key/key", "-o", f"UserKnownHostsFile={KEYS}/known_hosts", "-o", "BatchMode=yes",
                "hlsgate-tunnel@video.example", *remote]

    def holds(self, forward, port=BTCPAY_PORT):
        """Lends `forward` for a moment; "lent" if the web machine hears the payment machine through it."""
        tunnel = self.place.payment.spawn(*self.command()[:-1], "-N", "-o", "ExitOnForwardFailure=yes",
                                          "-R", f"127.0.0.1:{forward}", "hlsgate-tunnel@video.example")
        try:
            wait_until(lambda: self.place.web.hears("127.0.0.1", port) == "payment" or tunnel.poll() is not None, "lent or refused")
            return "lent" if tunnel.poll() is None else self.place.payment.log(tunnel)
        finally:
            self.place.payment.run("pkill", "-x", "ssh", check=False)
            tunnel.wait()

    def test_a_strange_host_key_is_refused(self):
        payment = self.place.payment
        payment.run("sh", "-c", f"ssh-keygen -q -t ed25519 -N '' -f /root/other && echo video.example $(cat /root/other.pub) > {KEYS}/known_hosts")
        tunnel = self.autossh()
        wait_until(lambda: "Host key verification failed" in payment.log(tunnel), "the strange host key is named")
        self.assertEqual(self.lent(), "")


class Units(unittest.TestCase):
    def test_systemd_finds_no_fault_with_them(self):
        for unit in sorted(pathlib.Path(REPOSITORY, "packaging/tunnel").glob("*/*@.*")):
            with self.subTest(unit.name):
                done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
                faults = [line for line in (done.stdout + done.stderr).splitlines()
                          if "/usr/local/lib/hlsgate/wg-endpoint is not executable" not in line]
                self.assertEqual(faults, [])

    def test_they_are_closed(self):
        for unit, tenths in {"autossh/hlsgate-tunnel@.service": 15, "wireguard/wg-endpoint@.service": 25}.items():
            with self.subTest(unit):
                done = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={tenths}",
                                       REPOSITORY / "packaging/tunnel" / unit], capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stdout[-300:])


if __name__ == "__main__":
    unittest.main()
