"""The table: every way in turn, round after round, medians of the rounds."""

import os
from dataclasses import dataclass
from statistics import median

from .lab import Lab
from .load import load
from .rows import rows
from .site import FILES, Site

MICRO = 1e6
MIB = 1 << 20


@dataclass
class Round:
    """One way in one round: CPU in microseconds a request, memory in bytes."""

    nginx: float
    service: float
    rate: float
    p50: float
    p99: float
    memory: int


def measure(options):
    """Prints a table for each file, and the ratios that the project promises to keep."""
    with Lab() as lab:
        site = Site(lab)
        ways = rows(site, options.floor, options.rows)
        machine()
        for size, file in FILES.items():
            seen = {way: [] for way in ways}
            for turn in range(options.rounds + 1):
                for way, row in ways.items():
                    seconds = options.seconds if turn else 1  # the first round only warms up
                    result = one(lab, site, row, file, seconds, options.connections)
                    if turn:
                        seen[way].append(result)
            medians = {way: middle(results) for way, results in seen.items()}
            show(f"{size}, {options.connections} connections, medians of {options.rounds} rounds of {options.seconds} s", ways, medians)
            if size == "1 KB":
                promises(medians)


def one(lab, site, row, file, seconds, connections):
    query = row.query(file) if row.query else ""
    parts = [row.nginx, row.service]
    before = [part.cpu() if part else 0 for part in parts]
    seen = load(lab, f"http://127.0.0.1:{row.port}{site.path(file)}{query}", {"Cookie": site.cookie}, seconds, connections)
    after = [part.cpu() if part else 0 for part in parts]
    nginx, service = ((end - start) / seen.requests * MICRO for start, end in zip(before, after))
    return Round(nginx, service, seen.rate, seen.p50, seen.p99, sum(part.memory() for part in parts if part))


def middle(results):
    return Round(*(median(getattr(result, field) for result in results) for field in Round.__dataclass_fields__))


def machine():
    with open("/proc/cpuinfo") as lines:
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    print(f"{model}, {os.cpu_count()} processors, Linux {os.uname().release}, load {os.getloadavg()[0]:.1f}\n", flush=True)


def show(title, ways, medians):
    print(f"### {title}\n")
    print("| | CPU in nginx, µs/request | CPU in the service | together | requests/s | p50, ms | p99, ms | memory, MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for way, seen in medians.items():
        nginx, service = (f"{part:.1f}" if part else "–" for part in (seen.nginx, seen.service))
        print(
            f"| {ways[way].name} | {nginx} | {service} | {seen.nginx + seen.service:.1f} | {seen.rate:,.0f} "
            f"| {seen.p50:.2f} | {seen.p99:.2f} | {seen.memory / MIB:.0f} |"
        )
    print(flush=True)


def promises(medians):
    """The ratios of one run that hlsgate is built to keep."""
    lines = [
        ("CPU of hlsgate to the bare epoll loop's", "hlsgate", "floor", "service", "at most 2.0"),
        ("CPU of plain hyper to the bare epoll loop's", "hyper", "floor", "service", "for comparison"),
        ("requests/s of hlsgate to those of `return 204`", "hlsgate", "204", "rate", "at least 0.95"),
        ("requests/s with cache to those without", "cache", "hlsgate", "rate", "at least 1.1"),
        ("requests/s with cache to those of no gate", "cache", "none", "rate", "at least 0.75"),
    ]
    print("| ratio | measured | wanted |\n| --- | ---: | --- |")
    for text, above, below, field, wanted in lines:
        if above in medians and below in medians:
            print(f"| {text} | {getattr(medians[above], field) / getattr(medians[below], field):.2f} | {wanted} |")
    print(flush=True)
