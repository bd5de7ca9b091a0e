"""The laboratory: a temporary folder, child processes in it, and what the kernel tells of them."""

import contextlib
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
# A copy, for `cargo bench` puts a binary with the features of the benches in the place of the one that is released.
HLSGATE = REPOSITORY / "target/benches/hlsgate"
DEADLINE = 20.0  # seconds for anything that should happen at once


class Lab:
    """Owns everything that a measurement starts. Leaving the `with` ends the children and removes the folder."""

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="hlsgate-bench-"))
        self.folder.chmod(0o755)  # nginx's workers have a user of their own
        # A folder in memory, for what a site has in /run: on a disk each file that nginx keeps waits for the others who write there.
        self.in_memory = Path(tempfile.mkdtemp(prefix="hlsgate-bench-", dir="/dev/shm"))
        self.in_memory.chmod(0o755)
        self.children = []
        return self

    def __exit__(self, failed, *_):
        for child in reversed(self.children):
            child.stop()
        shutil.rmtree(self.in_memory, ignore_errors=True)
        if failed is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(f"what was left behind: {self.folder}")

    def start(self, name, command, batch=False, **options):
        """Starts a child whose output goes to `NAME.log`. With `batch` it is scheduled by SCHED_BATCH, so that its
        wake-ups do not interrupt others and what is measured is its work."""

        def before():
            if batch:
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

        log = open(self.folder / f"{name}.log", "wb")
        child = Child(name, subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, preexec_fn=before, **options))
        self.children.append(child)
        return child


    def trim_logs(self):
        """Empties nginx's access logs: a run writes some gigabytes of them."""
        for log in self.folder.glob("*/access.log"):
            os.truncate(log, 0)


class Child:
    """A process with its figures, those of its threads and children included."""

    def __init__(self, name, process):
        self.name, self.process = name, process

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def cpu(self):
        """Seconds on a processor so far."""
        return sum(
            int(thread.joinpath("schedstat").read_text().split()[0]) / 1e9
            for pid in family(self.pid)
            for thread in Path(f"/proc/{pid}/task").iterdir()
        )

    def memory(self):
        """Resident bytes."""
        return sum(status(pid, "VmRSS") for pid in family(self.pid))


def family(pid):
    """The process and its children's children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [member for child in children for member in family(int(child))]


def status(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


def free_port():
    """Below those that the system lends to outgoing connections (32768 and up), one of which might take it meanwhile."""
    while True:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(10_000, 32_000))) as free:
            return free.getsockname()[1]


def until(what, condition, deadline=DEADLINE):
    """Waits until `condition` holds."""
    began = time.monotonic()
    while True:
        try:
            if value := condition():
                return value
        except OSError:
            pass
        if time.monotonic() - began > deadline:
            raise TimeoutError(f"{what}: not within {deadline:.0f} s")
        time.sleep(0.005)


@contextlib.contextmanager
def all_files_allowed():
    """As many open files as the system allows, for this process and what it starts meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def accepts(place):
    """Whether somebody listens at a path or a (host, port)."""
    family = socket.AF_UNIX if isinstance(place, (str, Path)) else socket.AF_INET
    with socket.socket(family) as probe:
        probe.connect(str(place) if family == socket.AF_UNIX else place)
        return True


def run(command, **options):
    """The standard output of a command that has to succeed."""
    return subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True, **options).stdout
