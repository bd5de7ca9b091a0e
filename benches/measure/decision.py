"""A decision alone, by the bench `decision`."""

import re

from .lab import REPOSITORY, run

MICROSECONDS = {"ns": 1e-3, "µs": 1, "ms": 1e3}


def measure(options, promises):
    """Prints what divan prints in the middle one of the rounds, and notes the median of `decision` there and its allocations."""
    command = ["cargo", "bench", "--quiet", "--locked", "--bench", "decision", "--", "--color", "never"]
    rounds = sorted((run(command, cwd=REPOSITORY) for _ in range(options.rounds)), key=middle)
    shown = rounds[len(rounds) // 2]
    print(
        f"### A decision: token in a cookie, 3 keys, 100,000 revocations; the middle one of {options.rounds} rounds\n\n"
        f"```text\n{shown.strip()}\n```\n",
        flush=True,
    )
    promises.at_most(4, "a decision, µs", middle(shown), 1.5)
    promises.at_most(4, "its heap allocations", allocations(shown), 0, "g")


def middle(shown):
    """The median of `decision`, in microseconds."""
    median, unit = re.search(r"─ decision +(?:[\d.]+ \S+ +│ ){2}([\d.]+) (\S+)", shown).groups()
    return float(median) * MICROSECONDS[unit]


def allocations(shown):
    """The allocations that divan counted below `decision`; it prints none where there were none."""
    below = shown.split("─ decision", 1)[1].split("─ question", 1)[0]
    counted = re.search(r"[^\w]alloc:.*?\n[^\d]*([\d.]+)", below)
    return float(counted.group(1)) if counted else 0
