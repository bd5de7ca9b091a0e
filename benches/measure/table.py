"""The table: every way in turn, round after round, each with processes of its own; medians of the rounds."""

from dataclasses import dataclass
from statistics import median

from .lab import Lab
from .load import load
from .rows import WAYS, start
from .site import FILES, Site

MICRO = 1e6
MIB = 1 << 20
# (point, what, the upper way, the lower one, figure, direction, bound)
RATIOS = [
    (1, "CPU of hlsgate to that of the bare epoll loop", "hlsgate", "floor", "service", "at most", 2.0),
    (1, "CPU of plain hyper with one HMAC to that of the bare epoll loop", "hyper", "floor", "service", None, None),
    (2, "requests/s with hlsgate to those with nginx `return 204`", "hlsgate", "204", "rate", "at least", 0.95),
    (3, "p99 with cache to that without", "cache", "hlsgate", "p99", "at most", 1.2),
    (3, "requests/s with cache to those without", "cache", "hlsgate", "rate", None, None),
    (3, "requests/s with cache to those with no gate", "cache", "none", "rate", None, None),
    (3, "requests/s with cache to those with a kept yes at its leanest", "cache", "leanest", "rate", None, None),
    (3, "requests/s with cache and files held open to those without", "held", "hlsgate", "rate", "at least", 1.1),
    (3, "requests/s with cache and files held open to those with no gate", "held", "none", "rate", "at least", 0.8),
]
PROMISED_FOR = "1 KB"
# In each round. Those of one ratio stand side by side: ten seconds later a shared machine may be another one.
TURNS = ["secure_link", "njs", "express", "open", "leanest", "none", "held", "cache", "hlsgate", "204", "floor", "hyper"]
# A site has more than one viewer, and nginx keeps an answer for each: these are measured with many in turn as well.
VIEWERS = 1000
FOR_MANY = ["none", "hlsgate", "cache", "held"]


@dataclass
class Round:
    """One way in one round: CPU in microseconds a request, times in milliseconds, memory in bytes."""

    nginx: float
    service: float
    rate: float
    p50: float
    p99: float
    memory: int


def measure(options, promises):
    """Prints a table for each file, and notes the ratios that the project promises to keep."""
    names = options.rows or list(WAYS)
    many = f"{PROMISED_FOR}, {VIEWERS:,} viewers in turn"
    seen = {size: {name: [] for name in names} for size in FILES}
    seen[many] = {name: [] for name in names if name in FOR_MANY}
    for _ in range(options.rounds):
        titles = a_round(names, seen, many, options)
    for size, results in seen.items():
        if not results:
            continue
        show(f"{size}, {options.connections} connections, medians of {options.rounds} rounds of {options.seconds} s", titles, results)
    note_ratios(seen[PROMISED_FOR], promises)


def a_round(names, seen, many, options):
    """Every way in turn, by processes that are started for it: where its memory came to lie makes one faster than the next for
    all of its life, by up to a third. Gives the ways' titles."""
    with Lab() as lab:
        site = Site(lab)
        ways = start(site, names)
        for way in ways.values():
            way.prove(site)
        turns = sorted(ways, key=TURNS.index)
        for name in turns:  # to warm up
            one(lab, site, ways[name], FILES[PROMISED_FOR], options)
        for size, file in FILES.items():
            for name in turns:
                seen[size][name].append(one(lab, site, ways[name], file, options))
        for name in turns:
            if name in seen[many]:
                seen[many][name].append(one(lab, site, ways[name], FILES[PROMISED_FOR], options, VIEWERS))
        return {name: way.name for name, way in ways.items()}


def one(lab, site, way, file, options, viewers=1):
    parts = [way.nginx, way.service]
    before = [part.cpu() if part else 0 for part in parts]
    url = f"http://127.0.0.1:{way.port}{site.path(file)}{way.query(file)}"
    try:
        seen = load(lab, url, {"Cookie": site.cookie}, options.seconds, options.connections, in_turn(site, viewers), site.size(file))
    except RuntimeError as err:
        raise RuntimeError(f"{way.name}: {err}") from None
    after = [part.cpu() if part else 0 for part in parts]
    nginx, service = ((end - begin) / seen.requests * MICRO for begin, end in zip(before, after))
    return Round(nginx, service, seen.rate, seen.p50, seen.p99, sum(part.memory() for part in parts if part))


def in_turn(site, viewers):
    """wrk's requests by as many viewers, who differ by another cookie of the site: to nginx's cache each is one of their own."""
    if viewers == 1:
        return ""
    return (
        "local turn = 0\n"
        f"request = function() turn = (turn + 1) % {viewers}\n"
        f'    return wrk.format("GET", nil, {{["Cookie"] = "visit=" .. turn .. "; {site.cookie}"}}) end\n'
    )


def show(title, titles, seen):
    print(f"### {title}\n")
    print("| | CPU in nginx, µs/request | CPU in the service | together | requests/s | p50, ms | p99, ms | memory, MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, rounds in seen.items():
        middle = Round(*(median(getattr(result, field) for result in rounds) for field in Round.__dataclass_fields__))
        nginx, service = (f"{part:.1f}" if part else "–" for part in (middle.nginx, middle.service))
        print(
            f"| {titles[name]} | {nginx} | {service} | {middle.nginx + middle.service:.1f} | {middle.rate:,.0f} "
            f"| {middle.p50:.2f} | {middle.p99:.2f} | {middle.memory / MIB:.0f} |"
        )
    print(flush=True)


def note_ratios(seen, promises):
    """Of two ways in the same round, for both had the same machine then; the median of the rounds."""
    for point, text, above, below, field, direction, bound in RATIOS:
        if above not in seen or below not in seen:
            continue
        ratio = median(getattr(up, field) / getattr(low, field) for up, low in zip(seen[above], seen[below]))
        match direction:
            case "at most":
                promises.at_most(point, text, ratio, bound)
            case "at least":
                promises.at_least(point, text, ratio, bound)
            case None:
                promises.compare(point, text, ratio)
