"""The power fails: loopd, LND and bitcoind go in that order, each only when the one before it is gone. In a booted container."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from booted import Booted
from machines import REPOSITORY, wait_until

STAND_IN = r'''
"""A daemon of the node. To stop it needs the one below it, and some seconds."""
import os, signal, socket, sys, time
name, below, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
os.makedirs("/run/stand-in", exist_ok=True)
def note(text):
    with open("/var/log/order", "a") as log:
        log.write(f"{name}: {text}\n")
        log.flush()
        os.fsync(log.fileno())
def answers(daemon):
    try:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(f"/run/stand-in/{daemon}")
        return True
    except OSError:
        return False
def stop(*_):
    time.sleep(seconds)     # the work of stopping
    note("stopped" if below == "-" else f"stopped, {below} " + ("answered" if answers(below) else "was gone"))
    os.unlink(f"/run/stand-in/{name}")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
if os.path.exists(f"/run/stand-in/{name}"):
    os.unlink(f"/run/stand-in/{name}")
listener = socket.socket(socket.AF_UNIX)
listener.bind(f"/run/stand-in/{name}")
listener.listen()
os.system("systemd-notify --ready")
while True:
    listener.accept()
'''
NODE = {"bitcoind": ("-", 3), "lnd": ("bitcoind", 1), "loopd": ("lnd", 0.5)}
"""Who needs whom, and how long each takes to stop: bitcoind longer than the limit that the test sets for all."""
IN_ORDER = ["loopd: stopped, lnd answered", "lnd: stopped, bitcoind answered", "bitcoind: stopped"]


class Units(unittest.TestCase):
    def test_systemd_finds_no_fault_with_the_drop_ins(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in NODE:
                pathlib.Path(folder, f"{name}.service").write_text("[Service]\nExecStart=/bin/true\n")
                shutil.copytree(REPOSITORY / f"packaging/power/{name}.service.d", pathlib.Path(folder, f"{name}.service.d"))
            for name in NODE:
                done = subprocess.run(["systemd-analyze", "verify", "--man=no", f"{folder}/{name}.service"], capture_output=True, text=True,
                                      env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"})
                self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))


class Power(unittest.TestCase):
    def boot(self, drop_ins=True, prepare=lambda machine: None):
        def install(machine):
            machine.write("/usr/local/lib/stand-in", STAND_IN)
            # As on many a machine, impatient: what the drop-ins allow bitcoind is not the default.
            machine.write("/etc/systemd/system.conf.d/impatient.conf", "[Manager]\nDefaultTimeoutStopSec=2s\n")
            for name, (below, seconds) in NODE.items():
                machine.write(f"/etc/systemd/system/{name}.service",
                              "[Service]\nType=notify\nNotifyAccess=all\nRestart=always\n"
                              f"ExecStart=/usr/bin/python3 /usr/local/lib/stand-in {name} {below} {seconds}\n"
                              "[Install]\nWantedBy=multi-user.target\n")
                wants = machine.root / "etc/systemd/system/multi-user.target.wants"
                wants.mkdir(parents=True, exist_ok=True)
                (wants / f"{name}.service").symlink_to(f"/etc/systemd/system/{name}.service")
                if drop_ins:
                    machine.install(f"packaging/power/{name}.service.d/hlsgate.conf", f"/etc/systemd/system/{name}.service.d/hlsgate.conf")
            machine.install("packaging/power/node-shutdown", "/usr/local/sbin/node-shutdown", 0o755)
            machine.install("packaging/power/apcupsd-doshutdown", "/etc/apcupsd/doshutdown", 0o755)
            prepare(machine)

        machine = Booted(install)
        self.addCleanup(machine.stop)
        for name in NODE:
            machine.run("systemctl", "is-active", f"{name}.service")
        return machine

    def goes_off(self, machine):
        wait_until(machine.is_off, "the machine is off", 40)
        return machine.read("/var/log/order").splitlines()

    def test_without_the_drop_ins_the_order_is_wrong(self):
        machine = self.boot(drop_ins=False)
        machine.run("systemctl", "poweroff", check=False)
        self.assertNotEqual(self.goes_off(machine), IN_ORDER)

    def test_a_plain_poweroff_keeps_the_order(self):
        machine = self.boot()
        machine.run("systemctl", "poweroff", check=False)
        self.assertEqual(self.goes_off(machine), IN_ORDER)

    def test_nut_says_that_the_battery_is_low(self):
        """A UPS of NUT's own making (dummy-ups) goes on battery and then low; upsmon does the rest."""
        def nut(machine):
            machine.write("/etc/nut/nut.conf", "MODE=standalone\n")
            machine.write("/etc/nut/ups.conf", "[ups]\ndriver = dummy-ups\nport = ups.dev\nmode = dummy-once\n", 0o640)
            machine.write("/etc/nut/ups.dev", "ups.status: OL\nbattery.charge: 100\n")
            machine.write("/etc/nut/upsd.conf", "LISTEN 127.0.0.1 3493\n", 0o640)
            machine.write("/etc/nut/upsd.users", "[monitor]\npassword = p\nupsmon primary\nactions = SET\n", 0o640)
            shipped = (REPOSITORY / "packaging/power/upsmon.conf").read_text()
            machine.write("/etc/nut/upsmon.conf", f"MONITOR ups@127.0.0.1 1 monitor p primary\nMINSUPPLIES 1\nPOLLFREQ 1\nPOLLFREQALERT 1\n{shipped}", 0o640)
            for name in ("ups.conf", "upsd.conf", "upsd.users", "upsmon.conf"):
                machine.own(f"/etc/nut/{name}", "root", "nut")
        machine = self.boot(prepare=nut)
        wait_until(lambda: machine.run("upsc", "ups@127.0.0.1", "ups.status", check=False).stdout.strip() == "OL", "the UPS is on line")
        wait_until(lambda: machine.run("systemctl", "is-active", "nut-monitor", check=False).stdout.strip() == "active", "upsmon runs")
        machine.run("upsrw", "-s", "ups.status=OB", "-u", "monitor", "-p", "p", "ups@127.0.0.1")
        wait_until(lambda: "on battery" in machine.journal("-u", "nut-monitor"), "upsmon has seen that the power failed")
        machine.run("systemctl", "is-active", *NODE)
        machine.run("upsrw", "-s", "ups.status=OB LB", "-u", "monitor", "-p", "p", "ups@127.0.0.1")
        self.assertEqual(self.goes_off(machine), IN_ORDER)

    def test_apcupsd_shuts_the_machine_down(self):
        """apcupsd calls its own apccontrol, that calls our hook, and shuts down when it has returned."""
        machine = self.boot()
        machine.run("/etc/apcupsd/apccontrol", "doshutdown", "ups", "1", "1", check=False)
        self.assertEqual(self.goes_off(machine), IN_ORDER)

    def test_the_hook_tells_how_it_went(self):
        machine = self.boot()
        told = machine.run("/usr/local/sbin/node-shutdown", "--stay").stderr
        for name in NODE:
            self.assertRegex(told, rf"{name}\.service: .*Result=success")
            self.assertEqual(machine.run("systemctl", "is-active", name, check=False).stdout.strip(), "inactive")
        self.assertRegex(told, r"the node stopped in \d+ s")
        self.assertFalse(machine.is_off())
        with self.subTest("a part that is not here is left out"):
            machine.run("sh", "-c", "rm -r /etc/systemd/system/loopd.service*; systemctl daemon-reload; systemctl start lnd; : > /var/log/order")
            told = machine.run("/usr/local/sbin/node-shutdown", "--stay").stderr
            self.assertIn("stopping lnd.service bitcoind.service", told)
            self.assertEqual(machine.read("/var/log/order").splitlines(), IN_ORDER[1:])


if __name__ == "__main__":
    unittest.main()
