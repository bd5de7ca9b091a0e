"""Figures of hlsgate beside others, in one run, as Markdown. Without a part: the table of ways and its ratios."""

import argparse
import contextlib
import io
import os
import sys
from pathlib import Path

from . import counts, decision, growth, memory, shop, start, table
from .promises import Promises

# Where `--into` puts the results, and what it replaces there.
RESULTS = Path("benches/RESULTS.md")
BEGIN, END = "<!-- results of benches/run -->\n", "<!-- end of the results -->\n"
PARTS = {
    "table": (table, "every way side by side, for 1 KB and 1 MB, and the ratios of points 1 to 3"),
    "decision": (decision, "a decision alone: time and allocations (point 4)"),
    "memory": (memory, "memory after a million requests and more, and of idle connections (point 5)"),
    "start": (start, "from exec to ready, and the size of the binary (point 6)"),
    "growth": (growth, "the gate of a small site beside those of large ones (point 7)"),
    "shop": (shop, "purchases claimed at once, bursts of webhooks, the gate beside held requests (points 7 and 8)"),
    "counts": (counts, "instructions, allocations and system calls a question: slow, repeatable, not part of --all"),
}


def main():
    options = arguments()
    if options.only_read_options:
        return
    try:
        kept = measure(options)
    except (RuntimeError, TimeoutError) as err:
        sys.exit(f"error: {err}")
    if not kept:
        sys.exit("a promise is not kept")


def measure(options):
    """Every chosen part; whether all promises are kept."""
    chosen = [name for name in PARTS if getattr(options, name) or (options.all and name != "counts")] or ["table"]
    with result_into(options.into):
        machine()
        promises = Promises()
        for name in chosen:
            PARTS[name][0].measure(options, promises)
        return promises.show()


def arguments():
    parser = argparse.ArgumentParser(prog="benches/run", description=__doc__, epilog="Exit status 1: a promise is not kept, or a way failed.")
    parser.add_argument("--all", action="store_true", help="every part but --counts: about 20 minutes")
    for name, (_, text) in PARTS.items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    parser.add_argument("--rounds", type=positive, default=11, help="rounds whose median counts (11)")
    parser.add_argument("--seconds", type=positive, default=1, help="seconds of each way in each round (1)")
    parser.add_argument("--connections", type=positive, default=64, help="connections of the load of the table (64)")
    parser.add_argument("--rows", type=way_names, help=f"only these of {','.join(table.WAYS)}, for the table")
    parser.add_argument("--millions", type=positive, default=10, help="for --memory: requests in all, in millions (10)")
    parser.add_argument("--starts", type=positive, default=25, help="for --start: how often (25)")
    parser.add_argument("--into", type=Path, nargs="?", const=RESULTS, metavar="FILE",
                        help=f"replace the results in this Markdown file, between its two comments (without a name: {RESULTS})")
    # Before anything is installed and built.
    parser.add_argument("--only-read-options", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def way_names(text):
    names = text.split(",")
    if unknown := [name for name in names if name not in table.WAYS]:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(table.WAYS)}")
    return names


def machine():
    with open("/proc/cpuinfo") as lines:
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    print(f"{model}, {os.cpu_count()} processors, Linux {os.uname().release}, load before the run {os.getloadavg()[0]:.1f}\n", flush=True)


class Tee(io.TextIOBase):
    """Standard output, kept as well."""

    def __init__(self):
        self.kept, self.shown = io.StringIO(), sys.stdout

    def write(self, text):
        self.shown.write(text)
        return self.kept.write(text)

    def flush(self):
        self.shown.flush()


def places(file):
    """What is before the results of a page, the results, and what is behind them."""
    try:
        before, rest = file.read_text().split(BEGIN)
        results, after = rest.split(END)
    except (OSError, ValueError):
        raise RuntimeError(f"{file} has no place for results: a line {BEGIN.strip()} and below it {END.strip()}") from None
    return before, results, after


@contextlib.contextmanager
def result_into(file):
    """Puts what is printed into the file's place for it, if nothing fails meanwhile."""
    if file is None:
        yield
        return
    before, _, after = places(file)
    with contextlib.redirect_stdout(Tee()) as tee:
        yield
    command = " ".join(["benches/run", *sys.argv[1:]])
    file.write_text(f"{before}{BEGIN}\n`{command}`\n\n{tee.kept.getvalue()}{END}{after}")


if __name__ == "__main__":
    main()
