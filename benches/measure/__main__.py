"""Figures of hlsgate beside others, in one run. `benches/run` installs and builds what this needs."""

import argparse
from pathlib import Path

from . import growth, memory, shop, start, table


def main():
    parser = argparse.ArgumentParser(prog="benches/run", description=__doc__)
    parser.add_argument("--floor", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5, help="rounds whose median counts (5)")
    parser.add_argument("--seconds", type=int, default=3, help="seconds of each way in each round (3)")
    parser.add_argument("--connections", type=int, default=64, help="connections of the load (64)")
    parser.add_argument("--rows", type=lambda text: text.split(","), help="only these: none,secure_link,njs,204,floor,hyper,hlsgate,cache,express")
    parser.add_argument("--memory", action="store_true", help="memory after a million requests and of idle connections")
    parser.add_argument("--millions", type=int, default=10, help="with --memory: requests in all, in millions (10)")
    parser.add_argument("--start", action="store_true", help="from exec to ready, and the size of the binary")
    parser.add_argument("--starts", type=int, default=25, help="with --start: how often (25)")
    parser.add_argument("--growth", action="store_true", help="the gate of a small site beside those of large ones")
    parser.add_argument("--shop", action="store_true", help="purchases claimed at once, webhooks, the gate beside held requests")
    options = parser.parse_args()
    chosen = [part for part in (memory, start, growth, shop) if getattr(options, part.__name__.rsplit(".", 1)[1])]
    for part in chosen or [table]:
        part.measure(options)


if __name__ == "__main__":
    main()
