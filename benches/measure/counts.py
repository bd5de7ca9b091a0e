"""What does not depend on how busy the machine is: instructions, heap allocations and system calls a question.

Each is the difference between a run with many questions and one with few, so that starting and ending drop out.
"""

import os
import re
import signal

from .direct import ask, question
from .growth import sizes
from .lab import HLSGATE, Lab, accepts, family, until
from .rows import FLOOR, PLAIN_HYPER
from .site import Site

FEW, MANY = 2_000, 12_000
SLOW = 300.0  # seconds; a daemon with a million revocations takes its time to start under valgrind


def measure(_, promises):
    """Prints a table of the services, and one of sites that grow."""
    with Lab() as lab:
        site = Site(lab)
        serve = [HLSGATE, "serve", "--config", site.config]
        services = {
            "the bare epoll loop": ([FLOOR, lab.folder / "floor.sock"], lab.folder / "floor.sock"),
            "plain hyper, one HMAC": ([PLAIN_HYPER, lab.folder / "hyper.sock", site.key.hex()], lab.folder / "hyper.sock"),
            "hlsgate": (serve, site.socket),
        }
        print("### Counted, a question\n\n| | instructions | heap allocations | system calls |\n| --- | ---: | ---: | ---: |")
        for name, (command, socket) in services.items():
            found = [each(counter, lab, command, socket, site.token) for counter in (instructions, allocations, calls)]
            print(f"| {name} | {found[0]:,.0f} | {found[1]:.2f} | {found[2]:.2f} |", flush=True)
        promises.at_most(4, "heap allocations of the whole daemon, a question", found[1], 0.005)

        print("\n| what the daemon knows | instructions a question |\n| --- | ---: |")
        for size, (grown, token) in sizes(lab).items():
            found = each(instructions, lab, [HLSGATE, "serve", "--config", grown.config], grown.socket, token)
            print(f"| {size} | {found:,.0f} |", flush=True)
        print(flush=True)


def each(counter, lab, command, socket, token):
    """What `counter` counts for one question."""
    few, many = (counter(lab, command, socket, token, questions) for questions in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def instructions(lab, command, socket, token, questions):
    log = lab.folder / "callgrind.log"
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log}"]
    asked([*tool, *command], lab, socket, token, questions)
    return number_after(r"Collected : ", log)


def allocations(lab, command, socket, token, questions):
    log = lab.folder / "memcheck.log"
    asked(["valgrind", "--undef-value-errors=no", f"--log-file={log}", *command], lab, socket, token, questions)
    return number_after(r"total heap usage: ", log)


def calls(lab, command, socket, token, questions):
    log = lab.folder / "strace.log"
    asked(["strace", "--follow-forks", "--summary-only", f"--output={log}", *command], lab, socket, token, questions)
    # Share, seconds, microseconds a call, calls, perhaps errors, name.
    return int(next(line.split()[3] for line in log.read_text().splitlines() if line.endswith(" total")))


def number_after(words, log):
    return int(re.search(words + r"([\d,]+)", log.read_text()).group(1).replace(",", ""))


def asked(command, lab, socket, token, questions):
    """Runs a service for so many questions over one kept connection, each after the answer to the one before."""
    socket.unlink(missing_ok=True)
    child = lab.start("counted", command)
    until("the service listens", lambda: accepts(socket), SLOW)
    connection, words = ask(socket, token), question(token)
    for _ in range(questions):
        connection.sendall(words)
        if not connection.recv(4096).startswith(b"HTTP/1.1 204 "):
            raise RuntimeError("a question was refused")
    connection.close()
    os.kill(family(child.pid)[-1], signal.SIGTERM)  # strace has the service as its child
    child.process.wait(SLOW)
    lab.children.remove(child)
