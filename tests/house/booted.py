"""A Debian that boots, in a container: for tests of units as systemd really runs them. Needs root.

The first use builds the system with mmdebstrap (under a minute) and keeps it in /var/tmp/hlsgate-house; each `Booted` runs on an
overlay of it and leaves nothing behind.
"""

import contextlib
import hashlib
import os
import pathlib
import secrets
import shutil
import subprocess
import tempfile

from machines import REPOSITORY, wait_until

PACKAGES = ["systemd", "systemd-sysv", "dbus", "python3", "age", "openssh-server", "autossh", "nut-server", "nut-client",
            "wireguard-tools", "wireguard-go", "iproute2", "bsdutils", "nginx"]
CACHE = pathlib.Path("/var/tmp/hlsgate-house")
CGROUPS = pathlib.Path("/sys/fs/cgroup")


def system():
    """The folder of the built system, with apcupsd's own scripts unpacked into it (the package excludes NUT's)."""
    root = CACHE / f"debian-{hashlib.sha256(' '.join(PACKAGES).encode()).hexdigest()[:12]}"
    if not root.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        part = pathlib.Path(tempfile.mkdtemp(dir=CACHE, prefix="part-"))
        try:
            built = subprocess.run(["nice", "mmdebstrap", "--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io", f"--include={','.join(PACKAGES)}",
                                    "bookworm", part / "root"], capture_output=True, text=True)
            if built.returncode:
                raise RuntimeError(f"mmdebstrap failed:\n{built.stderr[-2000:]}")
            subprocess.run(["sh", "-ec", 'cd "$1" && chmod 755 . && apt-get download -qq apcupsd 2>&1 && dpkg-deb -x apcupsd_*.deb apcupsd '
                            '&& cp -r apcupsd/etc/apcupsd root/etc/', "sh", part], check=True, capture_output=True)
            (part / "root").rename(root)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return root


class Booted:
    """One boot. `prepare(root)` may write into the system's folder before it starts."""

    def __init__(self, prepare):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hlsgate-booted-"))
        self.root = self.folder / "root"
        layers = self.folder / "layers"
        for folder in (self.root, layers):
            folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", layers], check=True)
        for folder in ("upper", "work"):
            (layers / folder).mkdir(mode=0o755)
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                        f"lowerdir={system()},upperdir={layers}/upper,workdir={layers}/work", self.root], check=True)
        self._process = None
        try:
            # There is no network but loopback, so nothing may wait for a name server.
            self.write("/etc/hosts", "127.0.0.1 localhost\n")
            self.write("/etc/resolv.conf", "")
            prepare(self)
            self._console = tempfile.TemporaryFile("w+")
            self._process = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "-b", "-D", self.root, "-M", f"house-{secrets.token_hex(4)}", "--register=no", "--keep-unit",
                 "--private-network", "--console=read-only"], stdout=self._console, stderr=subprocess.STDOUT)
            wait_until(self._is_up, "the container has booted")
        except BaseException:
            self.stop()
            raise

    def _is_up(self):
        if self._process.poll() is not None:
            self._console.seek(0)
            raise AssertionError(f"the container ended while booting:\n{self._console.read()[-3000:]}")
        children = pathlib.Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        if not children:
            return False
        self.pid = children[0]
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def run(self, *command, check=True, **options):
        options.setdefault("timeout", 60)
        done = subprocess.run(["nsenter", "-t", self.pid, "-m", "-u", "-i", "-n", "-p", "--", *map(str, command)],
                              capture_output=True, text=True, **options)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def write(self, path, text, mode=0o644):
        """Writes a file, before the boot or after it."""
        if self._process:
            self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"', "sh", path, f"{mode:o}", input=text)
            return
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def install(self, source, path, mode=0o644):
        self.write(path, (REPOSITORY / source).read_text(), mode)

    def own(self, path, user, group):
        """Gives a file to a user and group of the machine, before the boot."""
        subprocess.run(["chroot", self.root, "chown", f"{user}:{group}", path], check=True)

    def read(self, path):
        """Reads a file, also after the machine went off."""
        return (self.root / path.lstrip("/")).read_text()

    def journal(self, *arguments):
        # What a unit said a moment ago may still be on its way.
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", "--output=cat", *arguments).stdout

    def is_off(self):
        return self._process.poll() is not None

    def stop(self):
        if self._process and self._process.poll() is None:
            with contextlib.suppress(AssertionError, subprocess.SubprocessError):
                self.run("systemctl", "poweroff", "--force", check=False)
                self._process.wait(15)
            self._process.kill()
            self._process.wait()
        if self._process:
            self._console.close()
        for mounted in (self.root, self.folder / "layers"):
            subprocess.run(["umount", "--lazy", mounted], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
        for group in CGROUPS.glob("**/payload"):
            # The last process may take a moment to leave; those of another container stay, and so does their group.
            with contextlib.suppress(AssertionError):
                wait_until(lambda: self._remove_if_empty(group), f"{group} is empty", 3)

    @staticmethod
    def _remove_if_empty(group):
        """Removes a control group that systemd-nspawn made and left, if no process is in it. Says whether it is gone."""
        folders = [pathlib.Path(folder) for folder, _, _ in os.walk(group, topdown=False)]
        try:
            if not any((folder / "cgroup.procs").read_text() for folder in folders):
                for folder in folders:
                    folder.rmdir()
        except OSError:
            return False
        return not group.exists()
