"""A decision alone, by the bench `decision`."""

import re

from .lab import REPOSITORY, run

MICROSECONDS = {"ns": 1e-3, "µs": 1, "ms": 1e3}


def measure(_, promises):
    """Prints what divan prints, and notes the median of `decision` and its allocations."""
    shown = run(["cargo", "bench", "--quiet", "--locked", "--bench", "decision", "--", "--color", "never"], cwd=REPOSITORY)
    print(f"### A decision: token in a cookie, 3 keys, 100,000 revocations\n\n```text\n{shown.strip()}\n```\n", flush=True)
    median, unit = re.search(r"─ decision +(?:[\d.]+ \S+ +│ ){2}([\d.]+) (\S+)", shown).groups()
    promises.at_most(4, "a decision, µs", float(median) * MICROSECONDS[unit], 1.5)
    promises.at_most(4, "its heap allocations", allocations(shown), 0, "g")


def allocations(shown):
    """The allocations that divan counted below `decision`; it prints none where there were none."""
    below = shown.split("─ decision", 1)[1].split("─ question", 1)[0]
    counted = re.search(r"[^\w]alloc:.*?\n[^\d]*([\d.]+)", below)
    return float(counted.group(1)) if counted else 0
