"""The systemd units: understood by systemd without a word, and with next to no rights."""
import re
import subprocess
import unittest

from support import COMMAND, ROOT, PublishTest

UNITS = ROOT / "examples" / "publish" / "systemd"
INSTALLED = "/usr/share/hlsgate/publish/publish"


class Units(PublishTest):
    def setUp(self) -> None:
        super().setUp()
        for unit in UNITS.iterdir():
            # systemd-analyze looks whether the program is there; it is at its installed place only on a server.
            (self.folder / unit.name).write_text(unit.read_text().replace(INSTALLED, str(COMMAND)))

    def analyze(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, cwd=self.folder)

    def test_verify_prints_nothing(self):
        for unit in UNITS.iterdir():
            done = self.analyze("verify", "--man=no", f"./{unit.name}")
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), unit.name)

    def test_the_service_has_next_to_no_rights(self):
        done = self.analyze("security", "--offline=true", "--threshold=10", "./hlsgate-publish.service")
        self.assertEqual(done.returncode, 0, done.stdout[-500:])

    def test_the_command_line_is_one_that_the_worker_takes(self):
        line = re.search(r"^ExecStart=(.*)$", (UNITS / "hlsgate-publish.service").read_text(), re.MULTILINE)[1]
        program, *arguments = line.replace(" $PUBLISH_OPTIONS", "").split()
        self.assertEqual(program, INSTALLED)
        local = [argument.replace("/srv/video", str(self.folder)) for argument in arguments]
        (self.folder / "inbox").mkdir()
        done = subprocess.run([str(COMMAND), *local], capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        watched = re.search(r"^DirectoryNotEmpty=(.*)$", (UNITS / "hlsgate-publish.path").read_text(), re.MULTILINE)[1]
        self.assertIn(watched, arguments)


if __name__ == "__main__":
    unittest.main()
