"""The web machine burns down, or moves: on a new server the tokens of the old one open. Real daemon, real nginx, two machines."""

import subprocess
import unittest

from machines import REPOSITORY, wait_until
from webserver import HLSGATE, VIDEOS, WebServer

FILM = f"/hls/{VIDEOS[0]}/master.m3u8"


class Server(WebServer):
    """With the programs of the house in its path."""

    def install_programs(self):
        self.run("mkdir", "-p", "/root/bin")
        for program in (REPOSITORY / "packaging/backup/hlsgate-backup", REPOSITORY / "packaging/move/hlsgate-move", HLSGATE):
            self.run("ln", "-s", program, f"/root/bin/{program.name}")

    def shell(self, command, **options):
        return self.run("env", "PATH=/root/bin:/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-ec", command, **options)


class TwoServers(unittest.TestCase):
    def setUp(self):
        self.old, self.new = Server("old"), None
        self.addCleanup(self.old.stop)
        self.new = Server("new")
        self.addCleanup(self.new.stop)
        for server in (self.old, self.new):
            server.install_programs()
        self.old.set_up()
        self.old.films()
        self.old.write("/etc/letsencrypt/live/video.example/privkey.pem", "a certificate's key\n", 0o600)
        self.old.start()
        self.forever = self.old.token("--video", VIDEOS[0])
        self.summer = self.old.token("--all", "--for", "1h")
        self.refunded = self.old.token("--video", VIDEOS[0], "--jti", "refunded")
        self.old.hlsgate("revoke", "refunded")
        self.old.hlsgate("keys", "rotate")
        # The daemon looks at its files every half second.
        newer = self.old.token("--video", VIDEOS[0])
        wait_until(lambda: self.opens(self.old, newer), "the daemon follows its keys")

    def carry(self, path, target=None):
        """One file from the old server to the new."""
        data = subprocess.run(self.old._inside(["cat", path]), check=True, capture_output=True).stdout
        subprocess.run(self.new._inside(["sh", "-c", 'cat > "$1"', "sh", target or path]), input=data, check=True)

    def opens(self, server, token, path=FILM):
        return server.get(f"{path}?token={token}") == 200

    def test_moving_house(self):
        recipient = self.new.shell("hlsgate-move prepare").stdout.strip()
        for unit in ("hlsgate-backup@.service", "hlsgate-backup@.timer"):
            self.old.install(f"packaging/backup/{unit}", f"/etc/systemd/system/{unit}")
        self.old.shell("cd /etc/systemd/system; mkdir -p timers.target.wants; ln -s ../hlsgate-backup@.timer timers.target.wants/hlsgate-backup@web.timer;"
                       "find . -path '*.wants/*' -name 'nftables*' -delete -o -path '*.wants/*' -name 'fail2ban*' -delete -o -path '*.wants/*' -name 'ufw*' -delete")
        packed = self.old.shell(f"hlsgate-move pack {recipient} /srv/site > /root/house.age")
        self.assertIn("packed /srv/site", packed.stderr)
        self.carry("/root/house.age")
        self.new.write("/etc/nginx/sites-enabled/other", "server { listen 80 default_server; }\n")
        unpacked = self.new.shell("hlsgate-move unpack /root/house.age").stdout
        with self.subTest("backups do not stop unnoticed"):
            self.assertIn("systemctl enable --now hlsgate-backup@web.timer \n", unpacked)
            self.assertIn("[Timer]", self.new.read("/etc/systemd/system/hlsgate-backup@.timer"))
        self.new.films()
        self.new.start()
        with self.subTest("what viewers hold opens on the new server"):
            self.assertTrue(self.opens(self.new, self.forever))
            self.assertTrue(self.opens(self.new, self.summer, f"/hls/{VIDEOS[1]}/0.ts"))
        with self.subTest("and what must not, does not"):
            self.assertFalse(self.opens(self.new, self.refunded))
            self.assertEqual(self.new.get(FILM), 403)
        with self.subTest("the old one goes on meanwhile, and takes what the new one issues"):
            self.assertTrue(self.opens(self.old, self.forever))
            self.assertTrue(self.opens(self.old, self.new.token("--video", VIDEOS[0])))
        with self.subTest("modes and links are the same"):
            self.assertEqual(self.new.run("stat", "-c", "%a", "/etc/hlsgate/keys.json", "/etc/letsencrypt/live/video.example/privkey.pem").stdout, "600\n600\n")
            self.assertEqual(self.new.run("readlink", "/etc/nginx/sites-enabled/video").stdout.strip(), "/etc/nginx/sites-available/video")
        with self.subTest("what stood there is kept, out of the way"):
            self.assertIn("default_server", self.new.read("/etc/nginx.before-move/sites-enabled/other"))
            self.assertEqual(self.new.run("test", "-e", "/etc/nginx/sites-enabled/other", check=False).returncode, 1)
        with self.subTest("the journey's key is gone, and no file lies about"):
            self.assertEqual(self.new.run("sh", "-c", "ls -d /root/hlsgate-move.key /etc/.hlsgate-move-* /run/hlsgate-move 2>/dev/null", check=False).stdout, "")

    def test_a_pack_for_another_server_changes_nothing(self):
        self.new.shell("hlsgate-move prepare")
        other = self.old.shell("age-keygen -o /root/other 2>/dev/null; age-keygen -y /root/other").stdout.strip()
        self.old.shell(f"hlsgate-move pack {other} > /root/house.age")
        self.carry("/root/house.age")
        before = self.new.shell("find /etc/nginx /etc -maxdepth 1 | sort").stdout
        done = self.new.shell("hlsgate-move unpack /root/house.age", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("cannot open", done.stderr)
        self.assertEqual(self.new.shell("find /etc/nginx /etc -maxdepth 1 | sort").stdout, before)

    def test_a_path_that_is_not_there_is_told(self):
        done = self.old.shell(f"hlsgate-move pack age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p /srv/none > /root/house.age", check=False)
        self.assertEqual((done.returncode, done.stderr), (1, "error: /srv/none is not there\n"))

    def test_restore_drill(self):
        """The old server is gone; there is a backup, the operator's identity, and a fresh machine."""
        self.new.shell("mkdir /root/paper; age-keygen -o /root/paper/identity 2>/dev/null")
        recipient = self.new.shell("age-keygen -y /root/paper/identity").stdout.strip()
        shipped = (REPOSITORY / "packaging/backup/web.toml").read_text()
        config = shipped[:shipped.index("# Another machine")].replace("age1…", recipient)
        socket = "/etc/systemd/system/hlsgate.socket.d/override.conf"
        self.old.write(socket, "[Socket]\nSocketGroup=nginx\n")
        self.old.run("mkdir", "/srv/backup")
        self.old.write("/etc/hlsgate-backup/web.toml", config + '[[stores]]\nfolder = "/srv/backup"\n')
        self.old.shell("hlsgate-backup run /etc/hlsgate-backup/web.toml")
        name = self.old.run("ls", "/srv/backup").stdout.strip()
        self.carry(f"/srv/backup/{name}", "/root/last.age")
        self.old.stop()

        self.new.run("sh", "-c", "rm -rf /etc/nginx")
        self.new.shell("hlsgate-backup restore /root/last.age -i /root/paper/identity")
        with self.subTest("what `systemctl edit` changed and the certificates are there too"):
            self.assertIn("SocketGroup=nginx", self.new.read(socket))
            self.assertEqual(self.new.read("/etc/letsencrypt/live/video.example/privkey.pem"), "a certificate's key\n")
        self.new.films()
        self.new.start()
        self.assertTrue(self.opens(self.new, self.forever))
        self.assertFalse(self.opens(self.new, self.refunded))
        self.assertEqual(self.new.get(FILM), 403)


if __name__ == "__main__":
    unittest.main()
