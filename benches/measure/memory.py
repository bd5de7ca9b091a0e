"""Memory: after a million requests and after ten, and what an idle connection holds."""

import resource

from .direct import Direct, ask, headers
from .lab import Lab, until
from .load import load
from .site import Site

MIB, KIB = 1 << 20, 1 << 10
MILLION = 1_000_000
CONNECTIONS = 64
IDLE = 10_000


def measure(options):
    """Prints resident memory of a daemon without revocations, as most sites run it."""
    with Lab() as lab:
        site = Site(lab, revocations=0)
        daemon = Direct(site, "daemon")
        print("| resident memory | MiB | wanted |\n| --- | ---: | --- |")
        say("at the start", daemon.child.memory(), "")
        requests = 0
        for millions, wanted in [(1, "at most 12"), (options.millions, "as after the first")]:
            while requests < millions * MILLION:
                requests += load(lab, daemon.url, headers(site.token), options.seconds, CONNECTIONS).requests
            say(f"after {requests / MILLION:.1f} million requests over {CONNECTIONS} connections", daemon.child.memory(), wanted)
        daemon.child.stop()

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        child = site.daemon("idle")
        before = child.memory()
        held = [ask(site.socket, site.token) for _ in range(IDLE)]
        after = until("memory is told", child.memory)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        print(f"| each of {IDLE} idle connections that were used, KiB | {(after - before) / IDLE / KIB:.1f} | at most 10 |")
        for connection in held:
            connection.close()


def say(when, amount, wanted):
    print(f"| {when} | {amount / MIB:.1f} | {wanted} |", flush=True)
