"""Memory: after a million requests and after ten, and what an idle connection holds."""

from .direct import Direct, ask, headers
from .lab import Lab, all_files_allowed
from .load import load
from .site import Site

MIB, KIB = 1 << 20, 1 << 10
MILLION = 1_000_000
CONNECTIONS = 64
IDLE = 10_000


def measure(options, promises):
    """Resident memory of a daemon without revocations, as most sites run it."""
    with Lab() as lab:
        site = Site(lab, revocations=0)
        daemon = Direct(site, "daemon")
        print("### Memory\n\n| resident | MiB |\n| --- | ---: |")
        say("at the start", daemon.child.memory())
        requests, seen = 0, []
        for millions in [1, options.millions]:
            while requests < millions * MILLION:
                requests += load(lab, daemon.url, headers(site.token), options.seconds, CONNECTIONS).requests
            seen.append(daemon.child.memory())
            say(f"after {requests / MILLION:.1f} million requests over {CONNECTIONS} connections", seen[-1])
        daemon.child.stop()
        each = idle(site)
        print(f"\n{IDLE:,} idle connections that were used: {each / KIB:.2f} KiB each\n", flush=True)
        promises.at_most(5, "MiB after a million requests over 64 connections", seen[0] / MIB, 12, ".1f")
        promises.at_most(5, f"memory after {options.millions} millions to that after the first", seen[1] / seen[0], 1.05)
        promises.at_most(5, "KiB of each of 10,000 idle connections", each / KIB, 10)


def idle(site):
    """Bytes of the daemon for each connection that asked once and stays."""
    with all_files_allowed():
        child = site.daemon("idle")
        before = child.memory()
        held = [ask(site.socket, site.token) for _ in range(IDLE)]
        after = child.memory()
        for connection in held:
            connection.close()
    return (after - before) / IDLE


def say(when, amount):
    print(f"| {when} | {amount / MIB:.1f} |", flush=True)
