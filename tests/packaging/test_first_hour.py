"""The first hour on a machine: what the scripts say to somebody who has too old a Rust, and the demo as a person uses it."""

import json
import os
import pathlib
import pty
import re
import select
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "examples/demo/run"
DEADLINE = 300
"""Seconds until the demo is ready. What is built already takes none of it."""


class TooOldRust(unittest.TestCase):
    def test_the_first_line_says_so_and_what_to_install(self):
        with tempfile.TemporaryDirectory() as folder:
            # Whatever else they would do first would show: nothing is installed and nothing built without these.
            for name in ("cargo", "rustc"):
                self.program(folder, name, f"echo '{name} 1.65.0 (Debian)'")
            for name in ("apt-get", "dpkg-query", "npm", "node"):
                self.program(folder, name, f"echo 'ran {name}'; exit 1")
            for script in ("tests/run", "examples/demo/run", "packaging/build-deb"):
                with self.subTest(script):
                    done = subprocess.run([REPOSITORY / script], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL,
                                          env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})
                    self.assertEqual(done.returncode, 1)
                    self.assertEqual(done.stdout, "")
                    self.assertRegex(done.stderr, r"^error: \S+/cargo is version 1\.65\.0, and hlsgate needs 1\.\d+; .*rustup.*\n$")

    @staticmethod
    def program(folder, name, script):
        file = pathlib.Path(folder, name)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)


class Demo(unittest.TestCase):
    def test_a_person_looks_around_and_closes_the_window(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            self.child, self.terminal = pty.fork()
            if self.child == 0:
                os.environ.update(TMPDIR=folder, SSH_CONNECTION="192.0.2.7 50000 198.51.100.4 22")
                # As sshd starts it: when the window closes, the demo is told by the kernel, and once more by its shell.
                os.execlp("bash", "bash", "--norc", "--noprofile", "-i")
            os.write(self.terminal, f"{DEMO} --port {port}\n".encode())
            said = self.until("Ctrl-C ends everything")
            site = f"http://127.0.0.1:{port}"

            with self.subTest("somebody who is logged in from elsewhere is told of the tunnel"):
                self.assertRegex(said, rf"ssh -N -L {port}:127\.0\.0\.1:{port} \S+@198\.51\.100\.4")
            with self.subTest("the page to pay on is behind the same port"):
                request = urllib.request.Request(f"{site}/hlsgate/videos/clock/invoices", b'{"tier":"24h"}', {"Content-Type": "application/json"})
                checkout = json.load(urllib.request.urlopen(request))["checkout_url"]
                self.assertTrue(checkout.startswith(f"{site}/"), checkout)
                page = urllib.request.urlopen(checkout).read().decode()
                self.assertRegex(page, rf'action="{site}/\S+/pay"')
            with self.subTest("the commands that it names are this demo's, and content"):
                path = re.search(r"export PATH=(\S+):\$PATH", said)[1]
                done = subprocess.run(["hlsgate", "check"], capture_output=True, text=True, env={**os.environ, "PATH": f"{path}:{os.environ['PATH']}"})
                self.assertEqual((done.returncode, [line for line in done.stdout.splitlines() if line.startswith(("  ✗", "  ?"))]), (0, []))

            self.assertNotEqual(os.listdir(folder), [])
            os.close(self.terminal)
            os.waitpid(self.child, 0)
            # The shell does not wait for it.
            deadline = time.monotonic() + 60
            while subprocess.run(["pgrep", "-f", f"{DEMO} --port {port}"], capture_output=True).stdout:
                self.assertLess(time.monotonic(), deadline, "the demo goes on")
                time.sleep(0.05)
            with self.subTest("nothing is left, no key and no process"):
                self.assertEqual(os.listdir(folder), [])
                self.assertEqual(subprocess.run(["pgrep", "-af", folder], capture_output=True, text=True).stdout, "")

    def until(self, words):
        said, deadline = "", time.monotonic() + DEADLINE
        while words not in said:
            ready, _, _ = select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))
            self.assertTrue(ready, f"not within {DEADLINE} s: {words}\n{said}")
            try:
                said += os.read(self.terminal, 4096).decode(errors="replace")
            except OSError:
                self.fail(f"the demo ended by itself:\n{said}")
        return said


if __name__ == "__main__":
    unittest.main()
