"""What the gate costs on a small site and on large ones: videos, keys, revocations."""

import base64
import json
import os
from statistics import median

from .direct import Direct, headers
from .lab import Lab
from .load import load
from .site import Site

MICRO = 1e6
CONNECTIONS = 8


def measure(options):
    """Prints the same figures for each size, taken in turn."""
    with Lab() as lab:
        videos = 10_000
        listed = ", ".join(f'"film-{number}"' for number in range(videos))
        shelves = "".join(f"[videos.film-{number}]\noffers = []\n" for number in range(videos))
        sizes = {
            "1 key, nothing revoked, no video named": start(lab, "small", keys=1, revocations=0),
            f"{videos:,} videos named, all in a pass": start(lab, "videos", 1, 0, f"[passes.all]\nvideos = [{listed}]\n{shelves}"),
            "100 keys": start(lab, "keys", keys=100, revocations=0),
            "1,000,000 revocations": start(lab, "revocations", keys=1, revocations=1_000_000),
        }
        seen = {size: [] for size in sizes}
        for turn in range(options.rounds + 1):
            for size, (daemon, token) in sizes.items():
                before = daemon.child.cpu()
                result = load(lab, daemon.url, headers(token), options.seconds, CONNECTIONS)
                if turn:  # the first round only warms up
                    seen[size].append((daemon.child.cpu() - before, result))
        print("| what the daemon knows | CPU, µs/question | p50, ms | p99, ms |\n| --- | ---: | ---: | ---: |")
        for size, results in seen.items():
            cpu = median(cpu / result.requests * MICRO for cpu, result in results)
            p50, p99 = (median(getattr(result, field) for _, result in results) for field in ("p50", "p99"))
            print(f"| {size} | {cpu:.2f} | {p50:.3f} | {p99:.3f} |")
        print(flush=True)


def start(lab, name, keys, revocations, more=""):
    """A daemon of this size and a token that it takes: made with its last key, the one that is found last."""
    site = Site(lab, name, revocations)
    made = [
        {"kty": "oct", "alg": "HS256", "kid": f"k{number}", "k": base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")}
        for number in range(keys)
    ]
    file = site.folder / "keys.json"
    # The first key signs: the token is made while the last one is the first.
    file.write_text(json.dumps({"keys": made[::-1]}))
    token = site.issue()
    file.write_text(json.dumps({"keys": made}))
    return Direct(site, f"{name}-daemon", more), token
