"""What the gate costs on a small site and on large ones: videos, keys, revocations. `shop` has the open purchases."""

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
VIDEOS = 10_000
SMALL = "1 key, nothing revoked, no video named"
SMALL_AGAIN = "such a site once more: what the machine's noise makes of it"
# "grows with nothing", within what two equal daemons differ by on a busy machine.
SAME = 1.1


def measure(options, promises):
    """Prints the same figures for each size, taken in turn."""
    with Lab() as lab:
        daemons = {size: (Direct(site, f"{site.folder.name}-daemon"), token) for size, (site, token) in sizes(lab).items()}
        seen = {size: [] for size in daemons}
        for turn in range(options.rounds + 1):
            for size, (daemon, token) in daemons.items():
                before = daemon.child.cpu()
                result = load(lab, daemon.url, headers(token), options.seconds, CONNECTIONS)
                if turn:  # the first round only warms up
                    seen[size].append(((daemon.child.cpu() - before) / result.requests * MICRO, result))
        print("### What grows with a site\n\n| what the daemon knows | CPU, µs/question | p50, ms | p99, ms |\n| --- | ---: | ---: | ---: |")
        for size, results in seen.items():
            cpu = median(cpu for cpu, _ in results)
            p50, p99 = (median(getattr(result, field) for _, result in results) for field in ("p50", "p99"))
            print(f"| {size} | {cpu:.2f} | {p50:.3f} | {p99:.3f} |")
            ratio = median(large / small for (large, _), (small, _) in zip(results, seen[SMALL]))
            text = f"CPU a question to that of a small site: {size}"
            if size == SMALL_AGAIN:
                promises.compare(7, text, ratio)
            elif size != SMALL:
                promises.at_most(7, text, ratio, SAME)
        print(flush=True)


def sizes(lab):
    """Sites, each with a token for a question that has the most to look up there."""
    listed = ", ".join(f'"film-{number}"' for number in range(VIDEOS))
    shelves = "".join(f"[videos.film-{number}]\noffers = []\n" for number in range(VIDEOS))
    catalogue = f'[passes.all]\nvideos = [{listed}, "c05f2318"]\n{shelves}'
    return {
        SMALL: site(lab, "small"),
        SMALL_AGAIN: site(lab, "small-again"),
        f"{VIDEOS:,} videos named, the token's pass holds all": site(lab, "videos", more=catalogue, scope=("--pass", "all")),
        "100 keys, the token's is the last": site(lab, "keys", keys=100),
        "1,000,000 revocations": site(lab, "revocations", revocations=1_000_000),
    }


def site(lab, name, keys=1, revocations=0, more="", scope=()):
    """A site of this size and a token that opens its video, by its last key."""
    site = Site(lab, name, revocations, more)
    made = [
        {"kty": "oct", "alg": "HS256", "kid": f"k{number}", "k": base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")}
        for number in range(keys)
    ]
    file = site.folder / "keys.json"
    # The first key signs: the token is made while the last one is the first.
    file.write_text(json.dumps({"keys": made[::-1]}))
    token = site.issue(*scope)
    file.write_text(json.dumps({"keys": made}))
    return site, token
