"""A shop under load: 1,000 purchases claimed at once, a burst of webhooks, and the gate while 10,000 requests are held."""

import asyncio
import hashlib
import hmac
import http.client
import json
import resource
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from .direct import Direct, headers
from .lab import REPOSITORY, Lab, accepts, free_port, until
from .load import load
from .site import VIDEO, Site

FAKE_BTCPAY = REPOSITORY / "target/release/examples/fake_btcpay"
STORE = "9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776"
API_KEY = "0123456789abcdef0123456789abcdef01234567"
PURCHASES = 1000
HELD_EACH = 10  # the daemon holds at most 16 requests for one invoice
MILLI = 1e3
CONFIG = """
[btcpay]
url = "{btcpay}"
store = "{store}"
api_key_file = "{folder}/btcpay-api-key"
webhook_secret_file = "{folder}/btcpay-webhook-secret"
[shop]
invoices_per_minute = 1000000
invoices_at_once = 64
[[offers]]
tier = "24h"
price = "100"
currency = "SATS"
duration = "24h"
"""


class Shop:
    """A daemon that sells, beside a stand-in BTCPay without a webhook: deliveries are sent by hand."""

    def __init__(self, lab):
        self.lab, self.site, self.secret = lab, Site(lab, revocations=0), secrets.token_hex(16)
        self.btcpay = ("127.0.0.1", free_port())
        lab.start("btcpay", [FAKE_BTCPAY, "--listen", ":".join(map(str, self.btcpay))])
        until("the stand-in BTCPay listens", lambda: accepts(self.btcpay))
        for name, text in [("btcpay-api-key", API_KEY), ("btcpay-webhook-secret", self.secret)]:
            (self.site.folder / name).write_text(text)
        config = self.site.config.read_text()
        self.site.config.write_text('public_url = "https://site.example"\n' + config)
        address = "http://" + ":".join(map(str, self.btcpay))
        self.daemon = Direct(self.site, "shop", CONFIG.format(btcpay=address, store=STORE, folder=self.site.folder))

    def buy(self, count):
        """Makes invoices; gives (invoice, claim) of each."""

        def one(_):
            answer = call(self.daemon.port, "POST", f"/hlsgate/videos/{VIDEO}/invoices", {"tier": "24h"})
            return answer["invoice"], answer["claim"]

        with ThreadPoolExecutor(8) as workers:
            return list(workers.map(one, range(count)))

    def pay(self, invoices):
        for invoice in invoices:
            call(self.btcpay[1], "POST", "/fake/pay", {"invoice": invoice})

    def metadata(self, invoice):
        return call(self.btcpay[1], "GET", f"/fake/invoices/{invoice}")["metadata"]

    def delivery(self, invoice):
        """The body of BTCPay's `InvoiceSettled` and its signature."""
        delivery = secrets.token_urlsafe(16)
        body = json.dumps(
            {
                "deliveryId": delivery, "webhookId": "bench", "originalDeliveryId": delivery, "isRedelivery": False,
                "type": "InvoiceSettled", "timestamp": int(time.time()), "storeId": STORE, "invoiceId": invoice,
                "metadata": self.metadata(invoice), "manuallyMarked": False, "overPaid": False,
            }
        )  # fmt: skip
        return body, "sha256=" + hmac.new(self.secret.encode(), body.encode(), hashlib.sha256).hexdigest()


def call(port, method, path, body=None):
    """One JSON request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path.rsplit('/', 1)[0]}/…: {answer.status} {text[:200]!r}")
    return json.loads(text) if text else None


def measure(options):
    """Prints the three tables."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Lab() as lab:
        shop = Shop(lab)
        began = time.perf_counter()
        purchases = shop.buy(PURCHASES)
        print(f"{PURCHASES} invoices made in {time.perf_counter() - began:.1f} s, by 8 buyers at once\n")
        held_beside_the_gate(options, shop, purchases)
        webhooks(options, shop, purchases)
        claims(shop, purchases)


def claims(shop, purchases):
    """Every purchase is paid, then all are claimed in the same moment."""
    shop.pay([invoice for invoice, _ in purchases])

    async def claim(invoice, secret):
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", shop.daemon.port)
        writer.write(waiting(invoice, secret, "processing"))
        answer = await reader.read()
        writer.close()
        status, body = json.loads(answer.split(b"\r\n\r\n", 1)[1])["status"], answer
        if status != "settled" or b'"token":"' not in body:
            raise RuntimeError(f"a paid invoice is told as {status}")
        return time.perf_counter() - began

    async def all_at_once():
        return sorted(await asyncio.gather(*(claim(*purchase) for purchase in purchases)))

    seen = asyncio.run(all_at_once())
    print("| 1,000 paid invoices claimed at once | s |\n| --- | ---: |")
    print(f"| median until the token | {median(seen):.2f} |\n| the last one | {seen[-1]:.2f} |\n")


def webhooks(options, shop, purchases):
    """Correctly signed deliveries, one for each invoice and then again, 64 at once, by wrk: quicker than any BTCPay sends them."""
    bodies = [shop.delivery(invoice) for invoice, _ in purchases]
    quoted = ",\n".join(f"{{[==[{body}]==], '{signature}'}}" for body, signature in bodies)
    script = (
        f"local deliveries = {{{quoted}}}\nlocal turn = 0\n"
        "request = function()\n    turn = turn % #deliveries + 1\n"
        "    return wrk.format('POST', nil, {['Content-Type'] = 'application/json', ['BTCPay-Sig'] = deliveries[turn][2]}, deliveries[turn][1])\n"
        "end\n"
    )
    url = f"http://127.0.0.1:{shop.daemon.port}/hlsgate/webhooks/btcpay"
    seen = load(shop.lab, url, {}, options.seconds, 64, script)
    print("| webhooks, 64 at once | | wanted |\n| --- | ---: | --- |")
    print(f"| deliveries answered | {seen.requests} | a burst is 1,000 |")
    print(f"| median, ms | {seen.p50:.1f} | |\n| p99, ms | {seen.p99:.1f} | under 50 |\n", flush=True)


def held_beside_the_gate(options, shop, purchases):
    """The gate's times with and without held requests, in turn; each turn holds them anew."""
    question = headers(shop.site.token)
    gate = lambda: load(shop.lab, shop.daemon.url, question, options.seconds, 8)
    gate()
    idle, busy = [], []
    for _ in range(options.rounds):
        idle.append(gate())
        held = asyncio.run(hold(shop, purchases, lambda: busy.append(gate())))
    ratio = median(one.p99 for one in busy) / median(one.p99 for one in idle)
    print(f"| the gate, 8 connections | p50, ms | p99, ms | requests/s |\n| --- | ---: | ---: | ---: |")
    for name, seen in [("nobody waits", idle), (f"{held:,} requests are held", busy)]:
        p50, p99, rate = (median(getattr(one, field) for one in seen) for field in ("p50", "p99", "rate"))
        print(f"| {name} | {p50:.3f} | {p99:.3f} | {rate:,.0f} |")
    print(f"\np99 with held requests to p99 without: {ratio:.2f} (wanted: at most 1.5)\n", flush=True)


async def hold(shop, purchases, then):
    """Opens the requests, waits until the daemon holds them all, does `then`, and lets go. Gives their number."""

    async def one(invoice, secret):
        reader, writer = await asyncio.open_connection("127.0.0.1", shop.daemon.port)
        writer.write(waiting(invoice, secret, "new"))
        await writer.drain()
        return reader, writer

    held = []
    for _ in range(HELD_EACH):
        held += await asyncio.gather(*(one(*purchase) for purchase in purchases))
    in_thread = asyncio.get_running_loop().run_in_executor
    all_held = lambda: shop.daemon.metric("hlsgate_held_requests") == len(held)
    await in_thread(None, until, "all requests are held", all_held)
    await in_thread(None, then)
    if not await in_thread(None, all_held):
        raise RuntimeError("some requests were answered while the gate was measured")
    for _, writer in held:
        writer.close()
    return len(held)


def waiting(invoice, secret, seen):
    return (
        f"GET /hlsgate/invoices/{invoice}?wait=50&seen={seen} HTTP/1.1\r\nHost: hlsgate\r\n"
        f"Authorization: Bearer {secret}\r\nConnection: close\r\n\r\n"
    ).encode()
