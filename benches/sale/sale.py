"""A sale's figures beside BTCPay alone, or beside an earlier commit, in one run, as Markdown. Without a part: all of them."""

import argparse
import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from measure.lab import Lab, accepts, all_files_allowed, free_port, until
from measure.promises import Promises

STORE = "9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776"
API_KEY = "0123456789abcdef0123456789abcdef01234567"
VIDEO = "c05f2318"
BEFORE = "d09eade"  # the last commit before a sale was made quicker
# A real BTCPay 2.4.1 on two cores: 0.2 s for one creation, 7.2 s for 50 at once.
PACE = {"at_once": 2, "takes_ms": 280}
# One question to a real 2.0.8 on the same machine took 6 to 11 ms.
LATENCY_MS = 8
VIEWERS, TABS, OPEN, SALES = 200, 1000, 5000, 117
OLD_VERSIONS = ["2.0.8", "2.3.5"]
CONFIG = """
listen = "127.0.0.1:{port}"
admin_listen = "off"
public_url = "https://site.example"
[keys]
file = "{at}/keys.json"
[revocations]
file = "{at}/revoked"
[btcpay]
url = "http://127.0.0.1:{btcpay}"
store = "{store}"
api_key_file = "{at}/btcpay-api-key"
webhook_secret_file = "{at}/btcpay-webhook-secret"
payment_methods = ["BTC-LN", "BTC-CHAIN"]
[shop]
{limits}
[[offers]]
tier = "24h"
price = "1000"
currency = "SATS"
duration = "24h"
"""
NO_LIMITS = "invoices_per_minute = 1000000\ninvoices_at_once = 64"


class Shop:
    """A daemon that sells, and its stand-in BTCPay."""

    def __init__(self, lab, programs, name, version="2.4.1", limits=""):
        self.lab, self.programs, self.name, self.secret = lab, programs, name, secrets.token_hex(16)
        self.at = lab.folder / name
        self.at.mkdir()
        self.port, self.btcpay = free_port(), free_port()
        lab.start(f"{name}-btcpay", [programs.double, "--listen", f"127.0.0.1:{self.btcpay}", "--version", version])
        until("the stand-in BTCPay listens", lambda: accepts(("127.0.0.1", self.btcpay)))
        for file, text in [("btcpay-api-key", API_KEY), ("btcpay-webhook-secret", self.secret), ("revoked", "")]:
            (self.at / file).write_text(text)
        self.config = self.at / "hlsgate.toml"
        self.config.write_text(CONFIG.format(at=self.at, port=self.port, btcpay=self.btcpay, store=STORE, limits=limits))
        subprocess.run([programs.now, "init", "--config", self.config], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.start()

    def start(self):
        self.daemon = self.lab.start(f"{self.name}-{time.monotonic_ns()}", [self.programs.now, "serve", "--config", self.config])
        until("the daemon listens", lambda: accepts(("127.0.0.1", self.port)))

    def restart(self):
        """A daemon that knows of no purchase."""
        self.daemon.stop()
        self.start()

    async def fake(self, path, body=None):
        return (await ask(self.btcpay, "POST" if body is not None else "GET", f"/fake/{path}", body))[1]

    async def webhook(self, there):
        url = f"http://127.0.0.1:{self.port}/hlsgate/webhooks/btcpay"
        await self.fake("webhooks" if there else "webhooks/delete", {"url": url, "secret": self.secret} if there else {"url": url})

    async def buy(self):
        """As the page does: asks for an invoice, and for its order while others come first. The answer, and how it was made to wait."""
        order = secrets.token_urlsafe(24)
        status, answer = await ask(self.port, "POST", f"/hlsgate/videos/{VIDEO}/invoices", {"tier": "24h", "order": order})
        waited = 0
        while status == 202:
            waited += 1
            path = f"/hlsgate/order?wait=25&before={answer['before']}"
            status, answer = await ask(self.port, "GET", path, bearer=order)
        return status, answer, waited

    async def wait(self, purchase, query):
        path = f"/hlsgate/invoices/{purchase['invoice']}?{query}"
        return await ask(self.port, "GET", path, bearer=purchase["claim"])


async def ask(port, method, path, body=None, bearer=None, token=None):
    """One request on a connection of its own, as one viewer makes it. The status, and the JSON."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = json.dumps(body).encode() if body is not None else b""
    lines = [f"{method} {path} HTTP/1.1", "Host: site.example", "Connection: close", "Content-Type: application/json", f"Content-Length: {len(data)}"]
    if bearer or token:
        lines.append(f"Authorization: {'Bearer ' + bearer if bearer else 'token ' + token}")
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
    head, _, text = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(text) if text else None


async def some_at_once(limit, jobs):
    gate = asyncio.Semaphore(limit)

    async def one(job):
        async with gate:
            return await job

    return await asyncio.gather(*map(one, jobs))


def queue(options, programs, promises):
    """200 viewers in one moment, and the same creations by BTCPay alone."""

    async def alone(shop):
        body = {"amount": "0.00001", "currency": "BTC", "checkout": {"paymentMethods": ["BTC-LN", "BTC-CHAIN"]}}
        began, base = time.perf_counter(), f"/api/v1/stores/{STORE}/invoices"

        async def one():
            _, made = await ask(shop.btcpay, "POST", base, body, token=API_KEY)
            await ask(shop.btcpay, "GET", f"{base}/{made['id']}/payment-methods", token=API_KEY)
            return time.perf_counter() - began

        return await asyncio.gather(*(one() for _ in range(VIEWERS)))

    async def viewers(shop):
        began = time.perf_counter()

        async def one():
            status, answer, waited = await shop.buy()
            has_code = status in (200, 201) and bool(answer["lightning"]["bolt11"])
            return time.perf_counter() - began, has_code, waited

        return await asyncio.gather(*(one() for _ in range(VIEWERS)))

    async def rounds():
        seen = []
        with Lab() as lab:
            shop = Shop(lab, programs, "queue")
            await shop.fake("switches", {"create_pace": PACE})
            for number in range(options.rounds):
                if number:
                    await asyncio.sleep(60)  # shop.invoices_per_minute
                shop.restart()
                seen.append((await alone(shop), await viewers(shop)))
        return seen

    seen = asyncio.run(rounds())
    print(f"### {VIEWERS} viewers in one moment, medians of {options.rounds}\n\n| | median, s | the last, s | with a code |\n| --- | ---: | ---: | ---: |")
    direct = [times for times, _ in seen]
    taken = [[took for took, _, _ in those] for _, those in seen]
    codes = min(sum(has for _, has, _ in those) for _, those in seen)
    for name, all_times, count in [("BTCPay alone, all at once", direct, VIEWERS), ("through the shop", taken, codes)]:
        print(f"| {name} | {median(median(times) for times in all_times):.2f} | {median(max(times) for times in all_times):.2f} | {count} |")
    places = [waited for _, those in seen for _, _, waited in those]
    print(f"\nA viewer was told their place {median(places):.0f} times in the middle, {max(places)} at most.\n", flush=True)
    promises.at_least(9, f"viewers of {VIEWERS} at once who have a code", codes, VIEWERS, "g")
    promises.at_most(9, "the last one's code, to BTCPay alone", median(max(a) / max(b) for a, b in zip(taken, direct)), 1.2)


def tabs(options, programs, promises):
    """A thousand abandoned tabs, five thousand open invoices, and one who comes now."""

    async def leave_open(shop, purchase, refused):
        while True:
            status, answer = await shop.wait(purchase, "wait=50&seen=expired")
            if status != 200:
                refused.append(answer["reason"])
                await asyncio.sleep(1)

    async def measured():
        with Lab() as lab:
            shop = Shop(lab, programs, "tabs", limits=NO_LIMITS)
            bought = [answer for _, answer, _ in await some_at_once(20, [shop.buy() for _ in range(TABS)])]
            yesterday = int(time.time()) - 20 * 3600
            for path, more in [("expire", {}), ("tamper", {"createdTime": yesterday})]:
                await some_at_once(20, [shop.fake(path, {"invoice": one["invoice"], **more}) for one in bought])
            await shop.fake("invoices", {"amount": "0.0001", "currency": "BTC", "copies": OPEN})
            shop.restart()
            refused = []
            left_open = [asyncio.create_task(leave_open(shop, one, refused)) for one in bought]
            await asyncio.sleep(2)
            seen = {True: [], False: []}
            for webhook in [True, False] * options.rounds:
                await shop.webhook(webhook)
                _, purchase, _ = await shop.buy()
                waiting = asyncio.create_task(shop.wait(purchase, "wait=50&seen=new"))
                await asyncio.sleep(secrets.randbelow(4000) / 1000)  # no payment waits for a listing
                await shop.fake("pay", {"invoice": purchase["invoice"]})  # it is paid at the end of this call
                began = time.perf_counter()
                status, answer = await waiting
                assert (status, answer["status"]) == (200, "settled"), answer
                seen[webhook].append(time.perf_counter() - began)
                await shop.webhook(False)
            for task in left_open:
                task.cancel()
            return seen, refused

    seen, refused = asyncio.run(measured())
    print(f"### One who comes now, beside {TABS:,} abandoned tabs and {OPEN:,} open invoices, after a restart\n")
    print("| | from the payment to the token, median, s | the longest of all, s |\n| --- | ---: | ---: |")
    for webhook, name, bound in [(True, "with a webhook", 2), (False, "without", 5)]:
        print(f"| {name} | {median(seen[webhook]):.2f} | {max(seen[webhook]):.2f} |")
        promises.at_most(10, f"the longest from payment to token, {name}, s", max(seen[webhook]), bound)
    print(flush=True)
    unavailable = refused.count("btcpay-unavailable")
    promises.at_most(10, f"answers `btcpay-unavailable` while BTCPay is well (`busy`: {refused.count('busy')})", unavailable, 0, "g")


def frame(options, programs, promises):
    """From "paid" to the first frame."""
    ways = [f"{options.before}={programs.tree}={programs.before}", f"now={options.root}={programs.now}"]
    command = ["node", Path(__file__).with_name("first-frame.mjs"), str(options.rounds * 3), *ways]
    done = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True)
    before, now = json.loads(done.stdout.splitlines()[-1]).values()
    print(f"### From “paid” to the first frame, medians of {len(now)}, ms\n\n| | {options.before} | now |\n| --- | ---: | ---: |")
    for part in now[0]:
        print(f"| {part} | {median(one[part] for one in before):.0f} | {median(one[part] for one in now):.0f} |")
    print(flush=True)
    whole = "paid → first frame"
    promises.at_most(11, f"{whole}, to {options.before}", median(one[whole] for one in now) / median(one[whole] for one in before), 0.5)


def sales(options, programs, promises):
    """`hlsgate sales` where BTCPay lists no payments."""

    async def sell(shop):
        bought = await some_at_once(8, [shop.buy() for _ in range(SALES)])
        await some_at_once(8, [shop.fake("pay", {"invoice": answer["invoice"]}) for _, answer, _ in bought])
        await shop.fake("switches", {"latency_ms": LATENCY_MS})

    def run(program, shop):
        began = time.perf_counter()
        done = subprocess.run([program, "sales", "--csv", "--config", shop.config], check=True, stdout=subprocess.PIPE, text=True)
        return time.perf_counter() - began, len(done.stdout.splitlines()) - 1

    print(f"### `hlsgate sales` of {SALES} sales, medians of {options.rounds * 3}, s\n\n| BTCPay | {options.before} | now | to it |\n| --- | ---: | ---: | ---: |")
    for version in OLD_VERSIONS:
        with Lab() as lab:
            shop = Shop(lab, programs, "sales", version, NO_LIMITS)
            asyncio.run(sell(shop))
            pairs = [(run(programs.before, shop), run(programs.now, shop)) for _ in range(options.rounds * 3)]
        if any(count != SALES for pair in pairs for _, count in pair):
            raise RuntimeError(f"not every sale is listed: {pairs}")
        before, now = (median(took for took, _ in side) for side in zip(*pairs))
        print(f"| {version} | {before:.2f} | {now:.2f} | {now / before:.2f} |")
        promises.at_most(12, f"`sales` with {version}, to {options.before}", now / before, 0.4)
    print(flush=True)


PARTS = {"queue": queue, "tabs": tabs, "frame": frame, "sales": sales}


class Programs:
    def __init__(self, options):
        work = options.root / "target/benches/sale"
        self.now, self.double = work / "hlsgate-now", work / "btcpay-double"
        self.before, self.tree = work / f"hlsgate-{options.before}", work / f"tree-{options.before}"


def main():
    parser = argparse.ArgumentParser(prog="benches/sale/run", description=__doc__, epilog="Exit status 1: a promise is not kept.")
    for name, part in PARTS.items():
        parser.add_argument(f"--{name}", action="store_true", help=part.__doc__)
    parser.add_argument("--before", default=BEFORE, help=f"the earlier commit ({BEFORE})")
    parser.add_argument("--rounds", type=int, default=3, help="rounds whose median counts (3)")
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--only-say-before", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_say_before:
        return print(options.before)
    print(f"{os.cpu_count()} processors, Linux {os.uname().release}, load before the run {os.getloadavg()[0]:.1f}, debug builds\n", flush=True)
    promises, programs = Promises(), Programs(options)
    with all_files_allowed():
        for name, part in PARTS.items():
            if getattr(options, name) or not any(getattr(options, other) for other in PARTS):
                part(options, programs, promises)
    if not promises.show():
        sys.exit("a promise is not kept")


if __name__ == "__main__":
    main()
