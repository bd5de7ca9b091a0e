"""The shipped units as systemd really runs them, with all their restrictions in force. In one booted container."""

import re
import unittest

from booted import Booted
from machines import REPOSITORY, wait_until

CHANNELS = "/var/lib/lnd/data/chain/bitcoin/mainnet/channel.backup"


class Units(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.machine = Booted(cls.install)
        cls.addClassCleanup(cls.machine.stop)

    @staticmethod
    def install(machine):
        for program in ("hlsgate-backup", "hlsgate-backup-receive"):
            machine.install(f"packaging/backup/{program}", f"/usr/local/bin/{program}", 0o755)
        for unit in ("hlsgate-backup@.service", "hlsgate-backup@.timer", "hlsgate-channel-backup.path", "hlsgate-channel-backup.timer"):
            machine.install(f"packaging/backup/{unit}", f"/etc/systemd/system/{unit}")
        machine.install("packaging/tunnel/autossh/hlsgate-tunnel@.service", "/etc/systemd/system/hlsgate-tunnel@.service")
        machine.install("packaging/tunnel/autossh/sysusers.conf", "/etc/sysusers.d/hlsgate-tunnel.conf")
        machine.install("packaging/tunnel/autossh/sshd_config.conf", "/etc/ssh/sshd_config.d/hlsgate-tunnel.conf")
        machine.install("packaging/tunnel/autossh/pay.conf", "/etc/hlsgate-tunnel/pay.conf")
        machine.install("packaging/tunnel/wireguard/hardening.conf", "/etc/systemd/system/wg-quick@.service.d/hlsgate.conf")
        machine.install("packaging/tunnel/wireguard/wg-endpoint", "/usr/local/lib/hlsgate/wg-endpoint", 0o755)
        for unit in ("wg-endpoint@.service", "wg-endpoint@.timer"):
            machine.install(f"packaging/tunnel/wireguard/{unit}", f"/etc/systemd/system/{unit}")
        machine.write("/etc/hosts", "127.0.0.1 localhost video.example\n")

    def active(self, unit):
        return self.machine.run("systemctl", "is-active", unit, check=False).stdout.strip()

    def test_a_changed_channel_backup_is_kept_within_seconds(self):
        """A file that stands in for LND's, replaced by renaming as LND does."""
        machine = self.machine
        shipped = (REPOSITORY / "packaging/backup/channels.toml").read_text()
        machine.run("sh", "-ec", f"install -d -m 700 $(dirname {CHANNELS}) /root/identity; install -d -m 755 /mnt/store; "
                    "useradd -r lnd; echo one > /tmp/one; install -o lnd -m 600 /tmp/one " + CHANNELS + "; chown lnd $(dirname " + CHANNELS + "); "
                    "age-keygen -o /root/identity/age.key")
        recipient = machine.run("age-keygen", "-y", "/root/identity/age.key").stdout.strip()
        config = re.sub(r"(?s)\[\[stores\]\].*", '[[stores]]\nfolder = "/mnt/store"\n', shipped).replace("age1…", recipient)
        machine.write("/etc/hlsgate-backup/channels.toml", config, 0o600)
        # Only the event: the timer, which would come to the same, stays off.
        machine.run("systemctl", "start", "hlsgate-channel-backup.path")
        stored = lambda: sorted(machine.run("ls", "/mnt/store").stdout.split())
        for number, content in enumerate(("two", "three"), 1):
            machine.run("sh", "-ec", f"cd $(dirname {CHANNELS}); echo {content} > temp-dont-use.backup; chown lnd temp-dont-use.backup; chmod 600 temp-dont-use.backup; mv temp-dont-use.backup channel.backup")
            try:
                wait_until(lambda: len(stored()) == number, f"archive {number} is stored")
            except AssertionError as late:
                self.fail(f"{late}\n{machine.journal('-u', 'hlsgate-backup@channels', '-u', 'hlsgate-channel-backup.path')}")
            wait_until(lambda: self.active("hlsgate-backup@channels.service") == "inactive", "the service is done")
            machine.run("mkdir", f"/root/restore-{number}")
            machine.run("hlsgate-backup", "restore", f"/mnt/store/{stored()[-1]}", "-i", "/root/identity/age.key", "--root", f"/root/restore-{number}")
            self.assertEqual(machine.run("cat", f"/root/restore-{number}{CHANNELS}").stdout, f"{content}\n")
            self.assertEqual(machine.run("stat", "-c", "%U %a", f"/root/restore-{number}{CHANNELS}").stdout, "lnd 600\n")
        machine.run("systemctl", "start", "hlsgate-backup@channels.service")
        self.assertIn("has this already", machine.journal("-u", "hlsgate-backup@channels.service"))
        self.assertEqual(len(stored()), 2)

    def test_a_failed_backup_is_a_failed_unit(self):
        self.machine.write("/etc/hlsgate-backup/broken.toml", 'recipients = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]\npaths = ["/nowhere"]\n[[stores]]\nfolder = "/mnt"\n')
        done = self.machine.run("systemctl", "start", "hlsgate-backup@broken.service", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(self.active("hlsgate-backup@broken.service"), "failed")
        self.assertIn("/nowhere is not there", self.machine.journal("-u", "hlsgate-backup@broken.service"))

    def test_the_timers_can_be_enabled(self):
        for unit in ("hlsgate-backup@web.timer", "hlsgate-channel-backup.timer", "hlsgate-channel-backup.path"):
            self.machine.run("systemctl", "enable", unit)
        self.machine.run("systemctl", "start", "hlsgate-backup@web.timer")
        self.assertEqual(self.active("hlsgate-backup@web.timer"), "active")

    def test_the_ssh_tunnel_comes_back_whatever_dies(self):
        """Both ends in one machine: it lends itself a port under another number."""
        machine = self.machine
        machine.run("systemd-sysusers")
        machine.run("sh", "-ec", """
            ssh-keygen -q -t ed25519 -N '' -f /etc/hlsgate-tunnel/pay.key
            echo video.example $(cat /etc/ssh/ssh_host_ed25519_key.pub) > /etc/hlsgate-tunnel/known_hosts
            sed -i 's/RemoteForward .*/RemoteForward 127.0.0.1:23000 127.0.0.1:22/' /etc/hlsgate-tunnel/pay.conf
            echo "restrict,port-forwarding,permitlisten=\\"127.0.0.1:23000\\" $(cat /etc/hlsgate-tunnel/pay.key.pub)" > /etc/ssh/hlsgate-tunnel.keys
            systemctl restart ssh
            systemctl start hlsgate-tunnel@pay""")
        lent = lambda: "SSH-2.0" in machine.run("timeout", "2", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/23000 && head -n1 <&3", check=False).stdout
        main = lambda: machine.run("systemctl", "show", "-p", "MainPID", "--value", "hlsgate-tunnel@pay").stdout.strip()
        wait_until(lent, "the tunnel stands")
        self.assertNotEqual(machine.run("stat", "-c", "%U", f"/proc/{main()}").stdout.strip(), "root")
        with self.subTest("ssh dies"):
            machine.run("sh", "-c", f"kill -9 $(pgrep -P {main()})")
            wait_until(lent, "the tunnel is back", 40)
        with self.subTest("autossh dies"):
            before = main()
            machine.run("kill", "-9", before)
            wait_until(lambda: main() not in (before, "0") and lent(), "the tunnel is back", 40)
        with self.subTest("the other end restarts"):
            machine.run("systemctl", "restart", "ssh")
            machine.run("pkill", "-f", "sshd: hlsgate-tunnel", check=False)
            wait_until(lent, "the tunnel is back", 40)

    def test_wireguard_comes_up_in_its_restricted_unit(self):
        machine = self.machine
        # The userspace implementation, so that it works on a kernel without WireGuard as well.
        machine.write("/etc/systemd/system/wg-quick@.service.d/userspace.conf", "[Service]\nEnvironment=WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD=1\n")
        machine.run("sh", "-ec", "systemctl daemon-reload; umask 077; wg genkey > /etc/wireguard/wg-pay.key; wg genkey | wg pubkey > /etc/wireguard/peer.pub")
        machine.install("packaging/tunnel/wireguard/wg-pay.payment.conf", "/etc/wireguard/wg-pay.conf", 0o600)
        machine.run("sh", "-ec", "sed -i \"s|WEB_PUBLIC_KEY|$(cat /etc/wireguard/peer.pub)|\" /etc/wireguard/wg-pay.conf")
        started = machine.run("systemctl", "start", "wg-quick@wg-pay", check=False)
        self.assertEqual(started.returncode, 0, machine.journal("-u", "wg-quick@wg-pay"))
        self.assertIn("10.77.1.2/32", machine.run("ip", "address", "show", "wg-pay").stdout)
        machine.run("systemctl", "start", "wg-endpoint@wg-pay.service")
        self.assertIn("looking up video.example:51820 again", machine.journal("-u", "wg-endpoint@wg-pay"))
        machine.run("systemctl", "stop", "wg-quick@wg-pay")
        self.assertNotIn("wg-pay", machine.run("ip", "link").stdout)


if __name__ == "__main__":
    unittest.main()
