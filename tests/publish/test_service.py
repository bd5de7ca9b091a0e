"""The shipped units under a real systemd: a Debian of this machine's /usr boots in a folder, and a file comes into its inbox."""
import contextlib
import json
import os
import shutil
import subprocess
import unittest
from pathlib import Path

from support import COMMAND, ROOT, PublishTest, film, revision_of

UNITS = ROOT / "examples" / "publish" / "systemd"
USER_ID = 990
ETC = ("passwd", "group", "nsswitch.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "pam.d", "security")
MASKED = ("systemd-udevd", "systemd-networkd", "systemd-resolved", "systemd-timesyncd", "systemd-logind")


@unittest.skipUnless(os.getuid() == 0, "booting a machine in a folder needs root")
class Service(PublishTest):
    def setUp(self) -> None:
        super().setUp()
        self.root = self.folder / "root"
        self.video = self.root / "srv" / "video"
        self._system()
        self._boot()

    def _system(self) -> None:
        for name in ("etc/hlsgate", "etc/systemd/system/basic.target.wants", "var/lib", "run", "tmp", "proc", "sys", "dev",
                     "root", "usr", "srv/video/inbox", "srv/video/.new"):
            (self.root / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (self.root / name).symlink_to(f"usr/{name}")
        for name in ETC:
            source = Path("/etc", name)
            if source.is_dir():
                shutil.copytree(source, self.root / "etc" / name, symlinks=True)
            elif source.exists():
                shutil.copy2(source, self.root / "etc" / name)
        shutil.copy("/etc/os-release", self.root / "etc" / "os-release")
        (self.root / "etc" / "machine-id").touch()
        with (self.root / "etc" / "passwd").open("a") as passwd:
            passwd.write(f"hlsgate-publish:x:{USER_ID}:{USER_ID}::/nonexistent:/usr/sbin/nologin\n")
        units = self.root / "etc" / "systemd" / "system"
        for unit in UNITS.iterdir():
            shutil.copy(unit, units)
        (units / "default.target").symlink_to("/usr/lib/systemd/system/basic.target")
        (units / "basic.target.wants" / "hlsgate-publish.path").symlink_to("../hlsgate-publish.path")
        for name in MASKED:
            (units / f"{name}.service").symlink_to("/dev/null")
        (self.root / "etc" / "hlsgate" / "publish.env").write_text(
            "PUBLISH_OPTIONS=--preset ultrafast --chunk 6 --settle 0.5 --encrypt --loudness\n")
        for folder in (self.video, self.video / "inbox"):
            shutil.chown(folder, USER_ID, "www-data")
            folder.chmod(0o2750)
        # Beside this machine's /usr, at the place that the unit names.
        shutil.copytree(COMMAND.parent, self.folder / "usr" / "share" / "hlsgate" / "publish",
                        ignore=shutil.ignore_patterns("__pycache__"))

    def _boot(self) -> None:
        self.log = (self.folder / "boot.log").open("w")
        self.addCleanup(self.log.close)
        self.machine = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--boot", f"--directory={self.root}", f"--machine=publish-{os.getpid()}",
             "--register=no", "--keep-unit", "--private-network", "--console=read-only",
             f"--overlay-ro=/usr:{self.folder}/usr:/usr"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        self.addCleanup(self._halt)
        self.await_true(lambda: self._inner() or self.machine.poll() is not None, "the machine has begun")
        self.assertIsNone(self.machine.poll(), (self.folder / "boot.log").read_text())
        self.await_true(lambda: self.inside("systemctl", "is-active", "hlsgate-publish.path").stdout == "active\n",
                        "the path unit is active")

    def _inner(self) -> str:
        return subprocess.run(["pgrep", "-P", str(self.machine.pid)], capture_output=True, text=True, check=False).stdout.strip()

    def inside(self, *command: str) -> subprocess.CompletedProcess:
        return subprocess.run(["nsenter", "-t", self._inner(), "-m", "-u", "-i", "-n", "-p", "--", f"/usr/bin/{command[0]}",
                               *command[1:]], capture_output=True, text=True, check=False)

    def _halt(self) -> None:
        if self.machine.poll() is None:
            self.inside("systemctl", "--force", "poweroff")  # without a login daemon to ask
            try:
                self.machine.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.machine.kill()
                self.machine.wait()
        for payload in Path("/sys/fs/cgroup").glob("*/payload"):  # nspawn leaves them behind, empty
            for folder in [*sorted(payload.rglob("*/"), reverse=True), payload]:
                with contextlib.suppress(OSError):  # in use by another machine
                    folder.rmdir()

    def deliver(self, source: Path, name: str) -> None:
        """As an upload program does: under another name first."""
        shutil.copy(source, self.video / ".new" / name)
        (self.video / ".new" / name).rename(self.video / "inbox" / name)

    def test_what_comes_is_published_and_a_stop_loses_nothing(self):
        nonsense = self.folder / "nonsense.mp4"
        nonsense.write_text("no video")
        self.deliver(nonsense, "bad.mp4")
        self.deliver(film(name="long.mp4", seconds=27), "film.mp4")
        chunks = lambda: list(self.video.glob("hls/.publish/*/chunks/?????"))  # noqa: E731
        self.await_true(chunks, f"a chunk is finished; {self.journal()}")
        # The path unit first, or it would start the service again for what is still in the inbox.
        self.inside("systemctl", "stop", "hlsgate-publish.path", "hlsgate-publish.service")
        self.assertEqual(self.inside("systemctl", "is-failed", "hlsgate-publish.service").stdout, "inactive\n", self.journal())
        self.assertTrue(chunks(), self.journal())
        self.assertFalse((self.video / "videos.json").exists())
        self.inside("systemctl", "start", "hlsgate-publish.path")
        self.await_true((self.video / "published" / "film.mp4").exists, "the film is published")
        entry, = json.loads((self.video / "videos.json").read_text())["videos"]
        self.conforms(self.video / "hls" / entry["id"])
        self.assertIn("going on where an earlier run was interrupted", self.journal())
        self.assertIn("not a video", (self.video / "refused" / "bad.mp4.why.txt").read_text())
        key = (revision_of(self.video / "hls" / entry["id"]) / "key").stat()
        self.assertEqual((key.st_uid, key.st_mode & 0o777), (USER_ID, 0o640), "nginx's group reads the key, and others do not")
        self.assertEqual(self.inside("systemctl", "is-active", "hlsgate-publish.path").stdout, "active\n")

    def journal(self) -> str:
        # What it said a moment ago may still be on its way.
        self.inside("journalctl", "--sync")
        return self.inside("journalctl", "-u", "hlsgate-publish", "--no-pager", "-o", "cat", "-n", "40").stdout


if __name__ == "__main__":
    unittest.main()
