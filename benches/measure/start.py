"""From exec to ready, and the size of the binary."""

import os
import socket
import time
from statistics import median

from .lab import DEADLINE, HLSGATE, Lab
from .site import Site

MILLI = 1e3
MIB = 1 << 20
PROMISED_FOR = "3 keys, nothing revoked"


def measure(options, promises):
    """`READY=1` is what the service manager waits for (sd_notify(3)): the socket accepts by then."""
    with Lab() as lab:
        times = {name: [] for name in (PROMISED_FOR, "3 keys, 100,000 revocations")}
        sites = [Site(lab, "small", revocations=0), Site(lab, "large")]
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.settimeout(DEADLINE)
        manager.bind(str(lab.folder / "notify"))
        for _ in range(options.starts):
            for (name, seen), site in zip(times.items(), sites):
                began = time.perf_counter()
                command = [HLSGATE, "serve", "--config", site.config]
                child = lab.start("start", command, env=os.environ | {"NOTIFY_SOCKET": manager.getsockname()})
                while b"READY=1" not in manager.recv(4096).split(b"\n"):
                    pass
                seen.append(time.perf_counter() - began)
                child.stop()
                lab.children.remove(child)
                while b"STOPPING=1" not in manager.recv(4096).split(b"\n"):
                    pass
        print("### From exec to ready\n\n| | median, ms | slowest |\n| --- | ---: | ---: |")
        for name, seen in times.items():
            print(f"| {name} | {median(seen) * MILLI:.1f} | {max(seen) * MILLI:.1f} |")
            text = f"ms from exec to ready, {name}"
            if name == PROMISED_FOR:
                promises.at_most(6, text, median(seen) * MILLI, 20, ".1f")
            else:
                promises.compare(6, text, median(seen) * MILLI, ".1f")
        print(flush=True)
        promises.at_most(6, "MiB of the stripped binary", HLSGATE.stat().st_size / MIB, 8, ".1f")
