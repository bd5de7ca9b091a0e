"""Backups: what is in them, who can read them, what a receiving machine lets happen, and that the way back works."""

import hashlib
import io
import os
import pathlib
import re
import subprocess
import tarfile
import tempfile
import time
import unittest

from machines import REPOSITORY, Machine, wait_until

PROGRAM = REPOSITORY / "packaging/backup/hlsgate-backup"
RECEIVE = REPOSITORY / "packaging/backup/hlsgate-backup-receive"
PYTHON = "/usr/bin/python3"     # the one that the program runs with on a server


class Folder(unittest.TestCase):
    """A little server in a folder: configuration, keys and revocations, named the way hlsgate names them."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.etc, self.store = self.folder / "etc", self.folder / "store"
        (self.folder / "lib").mkdir()
        self.etc.mkdir()
        self.store.mkdir()
        (self.etc / "hlsgate.toml").write_text(
            f'[keys]\nfile = "keys.json"\n[revocations]\nfile = "{self.folder}/lib/revoked"\n[btcpay]\napi_key_file = "btcpay-api-key"\n')
        (self.etc / "btcpay-webhook-secret").write_text("secret-of-the-webhook")
        (self.etc / "keys.json").write_text('{"keys":[{"kid":"k1"}]}')
        (self.etc / "keys.json").chmod(0o600)
        (self.etc / "btcpay-api-key").write_text("secret-of-btcpay")
        (self.folder / "lib/revoked").write_text("jti-1\n")
        subprocess.run(["age-keygen", "-o", self.folder / "identity"], check=True, capture_output=True)
        self.recipient = subprocess.run(["age-keygen", "-y", self.folder / "identity"], check=True, capture_output=True, text=True).stdout.strip()

    def configure(self, text="", name="web", recipient=None, hlsgate=True):
        path = self.folder / f"{name}.toml"
        config = f'hlsgate_config = "{self.etc}/hlsgate.toml"\n' if hlsgate else ""
        path.write_text(f'recipients = ["{recipient or self.recipient}"]\n{config}{text}')
        return path

    def program(self, *arguments, status=0, stdin=b"", environment=()):
        done = subprocess.run([PYTHON, PROGRAM, *map(str, arguments)], input=stdin, capture_output=True,
                              env={**os.environ, **dict(environment)}, timeout=60)
        self.assertEqual(done.returncode, status, done.stderr.decode())
        return done

    def archive(self, **config):
        path = self.folder / "archive.age"
        path.write_bytes(self.program("create", self.configure(**config)).stdout)
        return path

    def under(self, root, path):
        return pathlib.Path(str(root) + str(path))


class Making(Folder):
    def test_all_that_the_configuration_names_comes_back(self):
        root = self.folder / "root"
        root.mkdir()
        self.program("restore", self.archive(), "-i", self.folder / "identity", "--root", root)
        for path in (self.etc / "hlsgate.toml", self.etc / "keys.json", self.etc / "btcpay-api-key", self.etc / "btcpay-webhook-secret", self.folder / "lib/revoked"):
            self.assertEqual(self.under(root, path).read_bytes(), path.read_bytes())
            self.assertEqual(self.under(root, path).stat().st_mode, path.stat().st_mode)

    def test_age_and_tar_alone_open_it(self):
        plain = subprocess.run(["age", "--decrypt", "-i", self.folder / "identity", self.archive()], check=True, capture_output=True).stdout
        self.assertEqual(tarfile.open(fileobj=io.BytesIO(plain)).extractfile(str(self.etc / "keys.json").lstrip("/")).read(), b'{"keys":[{"kid":"k1"}]}')

    def test_the_archive_shows_nothing(self):
        self.assertNotIn(b"secret-of-btcpay", self.archive().read_bytes())
        self.assertNotIn(b"keys.json", self.archive().read_bytes())

    def test_what_the_configuration_leaves_out_is_found_at_its_default(self):
        (self.etc / "hlsgate.toml").write_text("#[keys]\n[btcpay]\n")
        root = self.folder / "root"
        root.mkdir()
        self.program("restore", self.archive(), "-i", self.folder / "identity", "--root", root)
        kept = sorted(path.name for path in root.rglob("*") if path.is_file() and path.parent.name == "etc")
        self.assertEqual(kept, ["btcpay-api-key", "btcpay-webhook-secret", "hlsgate.toml", "keys.json"])

    def test_a_missing_key_file_is_no_backup(self):
        (self.etc / "keys.json").unlink()
        done = self.program("create", self.configure(), status=1)
        self.assertIn(b"keys.json is not there", done.stderr)

    def test_a_linked_key_file_is_kept_with_what_it_points_to(self):
        (self.etc / "keys.json").rename(self.folder / "elsewhere.json")
        (self.etc / "keys.json").symlink_to(self.folder / "elsewhere.json")
        root = self.folder / "root"
        root.mkdir()
        self.program("restore", self.archive(), "-i", self.folder / "identity", "--root", root)
        self.assertIn("k1", self.under(root, self.folder / "elsewhere.json").read_text())
        self.assertTrue(self.under(root, self.etc / "keys.json").is_symlink())

    def test_a_bad_configuration_names_every_problem(self):
        secret = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ"
        config = self.configure('paths = ["etc"]\ncolour = 1\n[[stores]]\nfolder = "mnt"\ncommand = "ssh"\n', recipient=secret)
        done = self.program("run", config, status=78)
        for problem in (b"has 6 problems", b"colour: no such setting", b"'etc' is not an absolute path", b"the secret half does not belong here",
                        b"stores[0].needs either", b"stores[0].command: a list of words", b"stores[0].folder: an absolute path"):
            self.assertIn(problem, done.stderr)
        self.assertNotIn(secret.encode(), done.stderr)

    def test_a_key_that_age_does_not_know_is_an_error(self):
        done = self.program("create", self.configure(recipient="age1" + "q" * 58), status=1)
        self.assertIn(b"age could not encrypt", done.stderr)


class Storing(Folder):
    def stored(self):
        return sorted(path.name for path in self.store.iterdir())

    def test_every_store_is_tried_and_a_failed_one_is_told(self):
        config = self.configure(f'[[stores]]\ncommand = ["false", "--password=hush"]\n[[stores]]\nfolder = "{self.store}"\n')
        done = self.program("run", config, status=1)
        self.assertEqual(len(self.stored()), 1)
        self.assertIn(b"1 of 2 stores have no new archive", done.stderr)
        self.assertNotIn(b"hush", done.stdout + done.stderr)

    def test_the_journal_names_the_archive_by_its_sha256(self):
        done = self.program("run", self.configure(f'[[stores]]\nfolder = "{self.store}"\n'))
        archive = self.store / self.stored()[0]
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        self.assertIn(digest.encode(), done.stdout)
        root = self.folder / "root"
        root.mkdir()
        arguments = ["restore", archive, "-i", self.folder / "identity", "--root", root, "--sha256"]
        self.program(*arguments, "0" * 64, status=1)
        self.assertEqual(list(root.iterdir()), [])
        self.program(*arguments, digest)

    def test_on_change_sends_once_and_again_after_a_change_or_a_failure(self):
        (self.folder / "state").mkdir()
        backup, gate = self.folder / "channel.backup", self.folder / "open"
        backup.write_bytes(b"one")
        config = self.configure(f'paths = ["{backup}"]\non_change = true\n[[stores]]\nfolder = "{self.store}"\n'
                                f'[[stores]]\ncommand = ["test", "-e", "{gate}"]\n', "channels", hlsgate=False)
        state = {"STATE_DIRECTORY": str(self.folder / "state")}.items()
        self.assertIn(b"1 of 2", self.program("run", config, environment=state, status=1).stderr)
        gate.touch()
        done = self.program("run", config, environment=state)
        self.assertIn(b"store 0", done.stdout.splitlines()[0])
        self.assertIn(b"has this already", done.stdout.splitlines()[0])
        self.assertIn(b"store 1 (test) took the archive", done.stdout)
        self.assertEqual(len(self.stored()), 1)
        backup.write_bytes(b"two")
        self.program("run", config, environment=state)
        self.assertEqual(len(self.stored()), 2)


class Receiving(Folder):
    def receive(self, content, *options, status=0):
        return self.receive_into(self.store, content, *options, status=status)

    def receive_into(self, folder, content, *options, status=0):
        done = subprocess.run([PYTHON, RECEIVE, folder, *options], input=content, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, status, done.stderr.decode())
        return done

    def names(self):
        return sorted(path.name for path in self.store.iterdir())

    def old(self, days, number=0):
        path = self.store / time.strftime(f"%Y%m%dT%H%M{number:02}.000000Z.tar.age", time.gmtime(time.time() - days * 86400))
        path.write_bytes(b"old")
        return path

    def test_several_in_one_second_all_stay_and_are_listed_in_their_order(self):
        archives = [self.archive().read_bytes() + bytes([number]) for number in range(12)]
        for archive in archives:
            self.receive(archive)
        self.assertEqual([(self.store / name).read_bytes() for name in self.names()], archives)

    def test_old_ones_go_but_never_the_newest_seven(self):
        archive = self.archive().read_bytes()
        old = [self.old(100, number) for number in range(10)]
        self.receive(archive)
        self.assertEqual(len(self.names()), 7)
        self.assertFalse(old[0].exists())
        self.assertTrue(old[-1].exists())

    def test_young_ones_stay_however_many(self):
        archive = self.archive().read_bytes()
        young = [self.old(89, number) for number in range(30)]
        self.receive(archive)
        self.assertTrue(all(path.exists() for path in young))

    def test_what_is_no_archive_is_refused(self):
        self.assertIn(b"not an age file", self.receive(b"plain text", status=1).stderr)
        self.assertEqual(self.names(), [])

    def test_one_that_was_cut_off_on_the_way_is_refused(self):
        """Without the key nothing tells it from a whole one, and the sender's failure is in the sender's journal only."""
        archive = self.archive().read_bytes()
        digest = hashlib.sha256(archive).hexdigest()
        self.assertIn(b"cut off or altered", self.receive(archive[:-100], "--sha256", digest, status=1).stderr)
        self.assertEqual(self.names(), [])
        self.receive(archive, "--sha256", digest)
        self.assertEqual(len(self.names()), 1)

    def test_a_full_disk_keeps_nothing_half(self):
        script = 'mount -t tmpfs -o size=64k small "$1" && shift && "$@" < "$0"; status=$?; ls -A "$3"; exit $status'
        whole = self.folder / "large.age"
        whole.write_bytes(b"age-encryption.org/v1\n" + os.urandom(1 << 20))
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, whole, self.store, PYTHON, RECEIVE, self.store],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn("No space left on device", done.stderr)

    def test_a_sender_that_fell_silent_is_noticed(self):
        self.assertIn(b"holds no archive", self.receive(b"", "--newest-within", "2", status=1).stderr)
        self.old(3)
        self.assertIn(b"3 days old", self.receive(b"", "--newest-within", "2", status=1).stderr)
        self.old(1)
        self.receive(b"", "--newest-within", "2")

    def test_a_flood_is_refused_and_pushes_nothing_out(self):
        archive, old = self.archive().read_bytes(), self.old(10)
        for number in range(100):
            (self.store / time.strftime(f"%Y%m%dT%H%M%S.{number:06}Z.tar.age", time.gmtime())).write_bytes(b"")
        self.assertIn(b"within a day already", self.receive(archive, status=1).stderr)
        self.assertTrue(old.exists())

    def test_other_files_in_the_folder_do_no_harm(self):
        for name in ("20269999T999999.000000Z.tar.age", "notes.txt", "20261123T030501.274113Z.tar.age.bak"):
            (self.store / name).touch()
        self.receive(self.archive().read_bytes())
        self.assertEqual(len(self.names()), 4)

    def test_an_absent_disk_is_named(self):
        done = self.receive_into(self.folder / "mnt", b"", status=1)
        self.assertIn(b"is the disk mounted?", done.stderr)


class Restoring(Folder):
    def setUp(self):
        super().setUp()
        self.root = self.folder / "root"
        self.root.mkdir()

    def restore(self, archive, *options, status=0, identity="identity"):
        return self.program("restore", archive, "-i", self.folder / identity, "--root", self.root, *options, status=status)

    def test_a_damaged_archive_unpacks_nothing(self):
        archive = self.archive()
        whole = archive.read_bytes()
        for what, content in {"cut off": whole[:-200], "altered": whole[:-50] + bytes([whole[-50] ^ 1]) + whole[-49:], "empty": b""}.items():
            with self.subTest(what):
                archive.write_bytes(content)
                self.assertIn(b"error: cannot open", self.restore(archive, status=1).stderr)
                self.assertEqual(list(self.root.iterdir()), [])

    def test_another_identity_opens_nothing(self):
        subprocess.run(["age-keygen", "-o", self.folder / "other"], check=True, capture_output=True)
        self.restore(self.archive(), identity="other", status=1)
        self.assertEqual(list(self.root.iterdir()), [])

    def test_present_files_are_kept(self):
        archive, present = self.archive(), self.under(self.root, self.etc / "keys.json")
        present.parent.mkdir(parents=True)
        present.write_text("other keys")
        done = self.restore(archive, status=1)
        self.assertIn(b"keys.json", done.stderr)
        self.assertEqual([present], [path for path in self.root.rglob("*") if path.is_file()])
        self.restore(archive, "--force")
        self.assertIn("k1", present.read_text())
        self.assertEqual(present.with_name("keys.json.before-restore").read_text(), "other keys")
        self.restore(archive)
        present.write_text("third keys")
        self.restore(archive, "--force")
        self.assertEqual(present.with_name("keys.json.before-restore").read_text(), "other keys")
        self.assertEqual(present.with_name("keys.json.before-restore-2").read_text(), "third keys")

    def hostile(self, *members):
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w") as tar:
            for name, kind, content in members:
                member = tarfile.TarInfo(name)
                member.type = kind
                member.linkname = content if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
                member.size = 0 if member.linkname or kind != tarfile.REGTYPE else len(content)
                tar.addfile(member, io.BytesIO(content.encode()) if member.size else None)
        path = self.folder / "hostile.age"
        path.write_bytes(subprocess.run(["age", "-r", self.recipient], input=plain.getvalue(), check=True, capture_output=True).stdout)
        return path

    def test_a_hostile_archive_gets_nowhere(self):
        """age says that an archive was not altered, and not who made it: the public key is no secret."""
        outside = self.folder / "outside"
        outside.mkdir()
        for what, members in {
            "above": [("../outside/x", tarfile.REGTYPE, "x")],
            "absolute": [(f"{outside}/x", tarfile.REGTYPE, "x")],
            "through a link": [("a", tarfile.SYMTYPE, str(outside)), ("a/x", tarfile.REGTYPE, "x")],
            "through a link below": [("b/a", tarfile.SYMTYPE, str(outside)), ("./b/a/x", tarfile.REGTYPE, "x")],
            "a hard link": [("a", tarfile.LNKTYPE, str(self.etc / "keys.json"))],
            "a device": [("a", tarfile.CHRTYPE, "")],
        }.items():
            with self.subTest(what):
                self.restore(self.hostile(*members), status=1)
                self.assertEqual(list(outside.iterdir()) + list(self.root.iterdir()), [])


class BySsh(Folder):
    def test_a_key_that_can_add_and_nothing_else(self):
        """The sender's key against an sshd of the test's own, with the shipped line."""
        with Machine("store") as machine:
            machine.run("useradd", "-m", "-s", "/bin/sh", "hlsgate-backup")
            machine.run("install", "-d", "-o", "hlsgate-backup", "-m", "700", "/srv/backup/web", "/home/hlsgate-backup/.ssh")
            machine.run("mkdir", "-p", "/etc/hlsgate-backup", "/run/sshd")
            machine.run("sh", "-ec", "rm -f /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; ssh-keygen -q -t ed25519 -N '' -f /etc/hlsgate-backup/ssh.key; "
                        "echo 127.0.0.1 backup.example >> /etc/hosts; echo backup.example $(cat /etc/ssh/ssh_host_ed25519_key.pub) > /etc/hlsgate-backup/known_hosts")
            # Not /usr/local/bin: /usr is this computer's own, and the machine shares it.
            machine.run("install", "-m", "755", RECEIVE, "/srv/hlsgate-backup-receive")
            public = machine.read("/etc/hlsgate-backup/ssh.key.pub").strip()
            line = (REPOSITORY / "packaging/backup/authorized_keys").read_text().replace("/usr/local/bin/", "/srv/")
            machine.write("/home/hlsgate-backup/.ssh/authorized_keys", line.replace("ssh-ed25519 AAAA… web machine", public), 0o600)
            machine.run("chown", "-R", "hlsgate-backup:", "/home/hlsgate-backup/.ssh")
            machine.write("/etc/ssh/sshd_config", "UsePAM yes\n")
            machine.install("packaging/backup/ssh.conf", "/etc/hlsgate-backup/ssh.conf")
            machine.spawn("/usr/sbin/sshd", "-D", "-e")
            wait_until(lambda: machine.reaches(("127.0.0.1", 22)), "sshd answers")

            ssh = ["ssh", "-F", "/etc/hlsgate-backup/ssh.conf"]
            shipped = (REPOSITORY / "packaging/backup/web.toml").read_text()
            config = self.configure(re.search(r"(?m)^\[\[stores\]\]\ncommand = .*ssh.*\n", shipped)[0])
            machine.run(PYTHON, PROGRAM, "run", config)
            names = machine.run("ls", "/srv/backup/web").stdout.split()
            self.assertEqual(len(names), 1)
            self.assertEqual(machine.run("stat", "-c", "%a %U", f"/srv/backup/web/{names[0]}").stdout.strip(), "600 hlsgate-backup")

            for what, attempt in {
                "read": [*ssh, "store", f"cat /srv/backup/web/{names[0]}"],
                "list": [*ssh, "store", "ls /srv/backup/web"],
                "delete": [*ssh, "store", f"rm /srv/backup/web/{names[0]}"],
                "cut off": ["sh", "-c", f"head -c 300 /srv/backup/web/{names[0]} | {' '.join(ssh)} store {'0' * 64}"],
                "a way through": [*ssh, "-W", "127.0.0.1:22", "store"],
            }.items():
                with self.subTest(what):
                    done = machine.run(*attempt, check=False, stdin=subprocess.DEVNULL)
                    self.assertNotIn("Traceback", done.stderr)
                    self.assertNotEqual(done.returncode, 0)
                    self.assertEqual(done.stdout, "")
            self.assertEqual(machine.run("ls", "/srv/backup/web").stdout.split(), names)

            with self.subTest("the store is out of reach"):
                machine.run("pkill", "-o", "-x", "sshd")
                done = machine.run(PYTHON, PROGRAM, "run", config, check=False)
                self.assertEqual(done.returncode, 1)
                self.assertIn("store 0 (ssh) did not take it: exit 255", done.stderr)


class Units(unittest.TestCase):
    def test_systemd_finds_no_fault_with_them(self):
        for unit in sorted((REPOSITORY / "packaging/backup").glob("*.[stp]*")):
            if unit.suffix not in (".service", ".timer", ".path"):
                continue
            with self.subTest(unit.name):
                done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
                faults = [line for line in (done.stdout + done.stderr).splitlines() if "/hlsgate-backup is not executable" not in line]
                self.assertEqual(faults, [])

    def test_the_service_is_closed(self):
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=22",
                               REPOSITORY / "packaging/backup/hlsgate-backup@.service"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-300:])


if __name__ == "__main__":
    unittest.main()
