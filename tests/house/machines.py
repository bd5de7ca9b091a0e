"""Several small computers on one: what the tests of the house run their servers in.

A `Machine` shares this computer's programs and nothing else: network, processes and host name are its own (Linux
namespaces), and whatever it writes to /etc, /var, /root, /home and /srv lands in an overlay that goes away with it. So a
test can use the paths and ports of a real server. Needs root; a kernel without these namespaces is an error, not a skip.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DEADLINE = 30.0
"""Seconds that a condition may take to come true, unless the test says otherwise."""

_SETUP = r"""
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$1"
for folder in etc var root home srv; do
  mkdir -p "$1/$folder/upper" "$1/$folder/work"
  mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$1/$folder/upper,workdir=$1/$folder/work" "/$folder"
done
mount -t tmpfs -o mode=755 tmpfs /run
hostname "$2"
ip link set lo up
echo ready
exec sleep infinity
"""

_PROBE = r"""
import concurrent.futures, json, socket, sys
def is_open(target):
    try:
        socket.create_connection(target, 0.7).close()
        return True
    except OSError:
        return False
targets = [tuple(t) for t in json.load(sys.stdin)]
with concurrent.futures.ThreadPoolExecutor(max(1, len(targets))) as pool:
    print(json.dumps(list(pool.map(is_open, targets))))
"""

_ANSWER = r"""
import selectors, socket, sys
name, address, ports = sys.argv[1], sys.argv[2], map(int, sys.argv[3:])
ready = selectors.DefaultSelector()
for port in ports:
    every = address == "*"
    listener = socket.create_server(("::" if every else address, port), family=socket.AF_INET6 if every else socket.AF_INET,
                                    dualstack_ipv6=every, reuse_port=True)
    ready.register(listener, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in ready.select():
        peer, _ = key.fileobj.accept()
        try:
            peer.sendall(name.encode())
        except OSError:
            pass
        peer.close()
"""


def wait_until(condition, what, deadline=DEADLINE, pause=0.1):
    """Returns the first true value of `condition()`; an AssertionError that says `what` once `deadline` seconds are over."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:g} s: {what}")
        time.sleep(pause)


class Machine:
    """One computer. Use it as a context manager, or call `stop`: both end every process in it."""

    def __init__(self, name):
        self.name = name
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"hlsgate-{name}-"))
        self._spawned = []
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
             "sh", "-c", _SETUP, "sh", self.folder, name],
            stdout=subprocess.PIPE, text=True)
        if self._holder.stdout.readline() != "ready\n":
            raise RuntimeError(f"{name}: the kernel gave no namespaces or overlays; the message above says which")
        children = pathlib.Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        self.pid = int(children.read_text().split()[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends the machine and every process in it. May be called twice."""
        self._holder.kill()
        self._holder.wait()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._holder.stdout.close()
        for process in self._spawned:
            process.wait()
            process.output.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _inside(self, command):
        return ["nsenter", "-t", str(self.pid), "-m", "-n", "-u", "-p", "--", *map(str, command)]

    def run(self, *command, check=True, **options):
        """Runs one command to its end; gives back the CompletedProcess, texts captured. An AssertionError if it fails and `check`."""
        options.setdefault("timeout", 60)
        done = subprocess.run(self._inside(command), capture_output=True, text=True, **options)
        if check and done.returncode:
            raise AssertionError(f"{self.name}: {' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def spawn(self, *command, **options):
        """Starts a process that goes on by itself; its output is in `log(process)`."""
        output = tempfile.TemporaryFile("w+")
        process = subprocess.Popen(self._inside(command), stdout=output, stderr=subprocess.STDOUT, text=True, **options)
        process.output = output
        self._spawned.append(process)
        return process

    @staticmethod
    def log(process):
        process.output.seek(0)
        return process.output.read()

    def write(self, path, text, mode=0o644):
        """Writes a file of this machine (parents included)."""
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && rm -f "$1" && (umask 077 && cat > "$1") && chmod "$2" "$1"',
                 "sh", path, f"{mode:o}", input=text)

    def read(self, path):
        return self.run("cat", path).stdout

    def install(self, source, path, mode=0o644):
        """Puts a file of the repository where an operator would."""
        self.write(path, (REPOSITORY / source).read_text(), mode)

    def answer(self, ports, address="*"):
        """Listens on `ports`; whoever connects reads this machine's name."""
        process = self.spawn("python3", "-c", _ANSWER, self.name, address, *ports)
        wait_until(lambda: "ready" in self.log(process), f"{self.name} listens on {list(ports)}")
        return process

    def reaches(self, *targets):
        """Which of the `(address, port)` take a TCP connection, as a set."""
        done = self.run("python3", "-c", _PROBE, input=json.dumps(targets))
        return {target for target, opened in zip(targets, json.loads(done.stdout)) if opened}

    def hears(self, address, port):
        """What the listener at `address` says first; an empty text if it cannot be reached."""
        code = "import socket,sys; s=socket.create_connection((sys.argv[1], int(sys.argv[2])), 1); print(s.recv(64).decode(), end='')"
        return self.run("python3", "-c", code, address, port, check=False).stdout


class Network:
    """A switch with machines on it; a cable can be cut without either end noticing."""

    def __init__(self):
        self.switch = Machine("switch")
        self.switch.run("ip", "link", "add", "bridge", "type", "bridge")
        self.switch.run("ip", "link", "set", "bridge", "up")

    def plug(self, machine, *addresses):
        """Gives `machine` an interface `eth0` with `addresses` (with their prefix length)."""
        subprocess.run(["ip", "link", "add", machine.name[:15], "netns", str(self.switch.pid),
                        "type", "veth", "peer", "name", "eth0", "netns", str(machine.pid)], check=True)
        self.switch.run("ip", "link", "set", machine.name[:15], "master", "bridge", "up")
        machine.run("ip", "link", "set", "eth0", "up")
        for address in addresses:
            # Nobody else has it: an IPv6 address need not ask first.
            machine.run("ip", "address", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))

    def cut(self, machine):
        """Packets from and to `machine` vanish from now on; its interface stays up, as when a line fails far away."""
        self.switch.run("bridge", "link", "set", "dev", machine.name[:15], "state", "0")

    def heal(self, machine):
        self.switch.run("bridge", "link", "set", "dev", machine.name[:15], "state", "3")
