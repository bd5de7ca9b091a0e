"""A clean Debian that boots in a container, for tests of the package as an administrator meets it. Needs root.

The system is made once by mmdebstrap and kept in /var/tmp/hlsgate-package; each `Machine` runs on an overlay of it in memory and
leaves nothing behind. It has no network but its own loopback.
"""

import contextlib
import hashlib
import os
import pathlib
import secrets
import shutil
import subprocess
import tempfile
import time

PACKAGES = ["systemd", "systemd-sysv", "dbus", "ca-certificates", "procps", "init-system-helpers", "nginx-light"]
CACHE = pathlib.Path("/var/tmp/hlsgate-package")
CGROUPS = pathlib.Path("/sys/fs/cgroup")


def base(release):
    """The folder of the built system."""
    root = CACHE / f"{release}-{hashlib.sha256(' '.join(PACKAGES).encode()).hexdigest()[:12]}"
    if not root.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        part = pathlib.Path(tempfile.mkdtemp(dir=CACHE, prefix="part-"))
        try:
            done = subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", release, part / "root"],
                                  capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"mmdebstrap failed:\n{done.stderr[-2000:]}")
            (part / "root").rename(root)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return root


def why_not():
    """Why no machine can boot here, or None."""
    if os.geteuid() != 0:
        return "it needs root"
    if not (CGROUPS / "systemd").is_dir() and not (CGROUPS / "cgroup.controllers").exists():
        return "systemd-nspawn needs control groups, and none are mounted at /sys/fs/cgroup"
    CACHE.mkdir(parents=True, exist_ok=True)
    layers = "mount -t tmpfs tmpfs $1; cd $1; mkdir lower upper work root; mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root"
    tried = subprocess.run(["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "sh", "-euc", layers, "sh", CACHE],
                           capture_output=True, text=True)
    return f"namespaces and overlays are not to be had: {tried.stderr.strip()}" if tried.returncode else None


def wait_until(condition, what, seconds=30):
    """Waits for a truthy value and gives it back."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{seconds} s passed, and still not: {what}")
        time.sleep(0.05)
    return value


class Machine:
    """One machine, off at first: `folder` is its root and may be written to before `boot`."""

    def __init__(self, release):
        self._scratch = pathlib.Path(tempfile.mkdtemp(prefix="hlsgate-package-"))
        self.folder = self._scratch / "root"
        self._layers = self._scratch / "layers"
        self._process = None
        self._groups = set(self._payloads())
        for folder in (self.folder, self._layers):
            folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self._layers], check=True)
        for layer in ("upper", "work"):
            (self._layers / layer).mkdir(mode=0o755)
        options = f"lowerdir={base(release)},upperdir={self._layers}/upper,workdir={self._layers}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, self.folder], check=True)
        # Nothing may wait for a name server.
        (self.folder / "etc/hosts").write_text("127.0.0.1 localhost video.example\n")
        (self.folder / "etc/resolv.conf").write_text("")
        (self.folder / "etc/hostname").write_text("box\n")

    def boot(self):
        self._console = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "-b", "-D", self.folder, "-M", f"package-{secrets.token_hex(4)}", "--register=no", "--keep-unit",
             "--private-network", "--console=read-only"], stdin=subprocess.DEVNULL, stdout=self._console, stderr=subprocess.STDOUT)
        wait_until(self._is_up, "the machine has booted", 120)

    def reboot(self):
        self.run("systemctl", "reboot", check=False)
        # With --keep-unit systemd-nspawn leaves starting again to others, and says so by this exit code.
        if (code := self._process.wait(120)) != 133:
            raise AssertionError(f"the machine went down with exit code {code}, and not to boot again")
        self.boot()

    def run(self, *command, check=True, timeout=180, **options):
        """Runs a command on the machine, without standard input unless `input` is given."""
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run(["nsenter", "-t", self._init(), "-m", "-u", "-i", "-n", "-p", "--", *map(str, command)],
                              capture_output=True, text=True, timeout=timeout, **options)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def shell(self, script, **options):
        return self.run("sh", "-euc", script, **options)

    def here(self, *command, **options):
        """Starts a program of this machine in the other one's network."""
        return subprocess.Popen(["nsenter", "-t", self._init(), "-n", "--", *map(str, command)], stdin=subprocess.DEVNULL, text=True, **options)

    def write(self, path, text, mode=0o644):
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"', "sh", path, f"{mode:o}", input=text)

    def journal(self, *arguments):
        # What a unit said a moment ago may still be on its way.
        self.run("journalctl", "--sync", check=False)
        return self.run("journalctl", "--no-pager", "--output=cat", *arguments, check=False).stdout

    def off(self):
        if self._process and self._process.poll() is None:
            with contextlib.suppress(AssertionError, subprocess.SubprocessError):
                self.run("systemctl", "poweroff", "--force", check=False)
                self._process.wait(20)
            self._process.kill()
            self._process.wait()
        for mounted in (self.folder, self._layers):
            subprocess.run(["umount", "--lazy", mounted], check=False)
        shutil.rmtree(self._scratch, ignore_errors=True)
        # systemd-nspawn leaves its control groups behind.
        for group in sorted(set(self._payloads()) - self._groups, reverse=True):
            for folder, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)

    def _init(self):
        """Process id of the machine's init, as text."""
        children = pathlib.Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return children[0] if children else None

    def _is_up(self):
        if self._process.poll() is not None:
            self._console.seek(0)
            raise AssertionError(f"the machine ended while booting:\n{self._console.read()[-3000:]}")
        if self._init() is None:
            return False
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.run("systemctl", "is-system-running", check=False, timeout=10).stdout.strip() in ("running", "degraded")
        return False

    @staticmethod
    def _payloads():
        return CGROUPS.glob("**/payload")
