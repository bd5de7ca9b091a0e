"""A shop under load: 1,000 purchases claimed at once, a burst of webhooks, and the gate while 10,000 requests are held."""

import asyncio
import hashlib
import hmac
import http.client
import json
import secrets
import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from .direct import Direct, headers
from .lab import REPOSITORY, Lab, accepts, all_files_allowed, free_port, until
from .load import load
from .site import VIDEO, Site

BTCPAY_DOUBLE = REPOSITORY / "target/release/btcpay-double"
STORE = "9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776"
API_KEY = "0123456789abcdef0123456789abcdef01234567"
PURCHASES = 1000
HELD_EACH = 10  # the daemon holds at most 16 requests for one invoice
# While anybody waits, the daemon has BTCPay list what webhooks may have lost every 5 s: each look at the gate sees that once.
LOOK = 5  # seconds
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
        lab.start("btcpay", [BTCPAY_DOUBLE, "--listen", ":".join(map(str, self.btcpay))])
        until("the stand-in BTCPay listens", lambda: accepts(self.btcpay))
        for name, text in [("btcpay-api-key", API_KEY), ("btcpay-webhook-secret", self.secret)]:
            (self.site.folder / name).write_text(text)
        config = self.site.config.read_text()
        self.site.config.write_text('public_url = "https://site.example"\n' + config)
        address = "http://" + ":".join(map(str, self.btcpay))
        self.config = CONFIG.format(btcpay=address, store=STORE, folder=self.site.folder)
        self.daemon = Direct(self.site, "shop", self.config)

    def restart(self):
        """A daemon that knows of no purchase."""
        self.daemon.child.stop()
        self.daemon = Direct(self.site, "shop-again", self.config)

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


def measure(options, promises):
    """Prints three tables."""
    with all_files_allowed(), Lab() as lab:
        shop = Shop(lab)
        purchases = shop.buy(PURCHASES)
        held_beside_the_gate(options, shop, purchases, promises)
        webhooks(options, shop, purchases, promises)
        claims(shop, purchases, promises)


def claims(shop, purchases, promises):
    """Every purchase is paid, then all are claimed in the same moment: from the daemon that made them, and from a new one."""
    shop.pay([invoice for invoice, _ in purchases])

    async def claim(invoice, secret):
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", shop.daemon.port)
        writer.write(waiting(invoice, secret))
        answer = await reader.read()
        writer.close()
        body = json.loads(answer.split(b"\r\n\r\n", 1)[1])
        return time.perf_counter() - began, body.get("status") == "settled" and "token" in body

    async def all_at_once():
        return await asyncio.gather(*(claim(*purchase) for purchase in purchases))

    print(f"### {PURCHASES:,} paid invoices claimed at once\n\n| | median, s | the last, s | with a token |\n| --- | ---: | ---: | ---: |")
    for who, prepare in [("the daemon that made them", lambda: None), ("a daemon that was just started", shop.restart)]:
        prepare()
        seen = asyncio.run(all_at_once())
        times, tokens = [took for took, _ in seen], sum(got for _, got in seen)
        print(f"| {who} | {median(times):.2f} | {max(times):.2f} | {tokens} |")
        promises.at_least(8, f"tokens for {PURCHASES:,} claims at once, {who}", tokens, PURCHASES, "g")
    print(flush=True)


def webhooks(options, shop, purchases, promises):
    """Correctly signed deliveries: a thousand in one moment, each on a connection of its own, and 64 at once without a pause."""
    deliveries = [shop.delivery(invoice) for invoice, _ in purchases]
    bursts = [sorted(burst(shop.daemon.port, deliveries)) for _ in range(options.rounds)]
    steady = flood(shop, deliveries, options.seconds)
    middle, late = (median(times[len(times) * part // 100] for times in bursts) for part in (50, 99))
    print("### Webhooks\n\n| | deliveries | median, ms | p99, ms |\n| --- | ---: | ---: | ---: |")
    print(f"| all in one moment, medians of {options.rounds} bursts | {len(deliveries):,} | {middle * MILLI:.1f} | {late * MILLI:.1f} |")
    print(f"| 64 at once, without a pause | {steady.requests:,} | {steady.p50:.1f} | {steady.p99:.1f} |\n", flush=True)
    promises.at_most(8, f"p99 of a burst of {len(deliveries):,} webhooks, ms", late * MILLI, 50, ".1f")
    promises.at_most(8, "p99 of webhooks, 64 at once without a pause, ms", steady.p99, 50, ".1f")


def burst(port, deliveries):
    """Seconds until the answer of each delivery comes; it is read when all are there. The connections are open before, as
    nginx's would not be; what this side takes to send counts for the daemon."""
    poller, sent, times = select.epoll(), {}, []
    for body, signature in deliveries:
        connection = socket.create_connection(("127.0.0.1", port))
        head = (
            f"POST /hlsgate/webhooks/btcpay HTTP/1.1\r\nHost: hlsgate\r\nContent-Type: application/json\r\n"
            f"BTCPay-Sig: {signature}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        poller.register(connection, select.EPOLLIN | select.EPOLLONESHOT)
        sent[connection.fileno()] = [connection, (head + body).encode(), None]

    def note(timeout):
        for fd, _ in poller.poll(timeout):
            times.append(time.perf_counter() - sent[fd][2])

    for number, one in enumerate(sent.values()):
        one[2] = time.perf_counter()
        one[0].sendall(one[1])
        if number % 16 == 0:
            note(0)
    while len(times) < len(sent):
        note(None)
    for connection, _, _ in sent.values():
        answer = connection.recv(4096)
        connection.close()
        if not answer.startswith(b"HTTP/1.1 204 "):
            raise RuntimeError(f"a delivery is answered {answer[:40]!r}")
    return times


def flood(shop, deliveries, seconds):
    """The deliveries in turn and over again, by wrk: quicker than any BTCPay sends them."""
    quoted = ",\n".join(f"{{[==[{body}]==], '{signature}'}}" for body, signature in deliveries)
    script = (
        f"local deliveries = {{{quoted}}}\nlocal turn = 0\n"
        "request = function()\n    turn = turn % #deliveries + 1\n"
        "    return wrk.format('POST', nil, {['Content-Type'] = 'application/json', ['BTCPay-Sig'] = deliveries[turn][2]}, deliveries[turn][1])\n"
        "end\n"
    )
    return load(shop.lab, f"http://127.0.0.1:{shop.daemon.port}/hlsgate/webhooks/btcpay", {}, seconds, 64, script)


def held_beside_the_gate(options, shop, purchases, promises):
    """The gate's times with and without held requests, in turn; each turn holds them anew."""
    question = headers(shop.site.token)

    def gate():
        return load(shop.lab, shop.daemon.url, question, LOOK, 8)

    gate()
    idle, busy = [], []
    for _ in range(options.rounds):
        idle.append(gate())
        held = asyncio.run(hold(shop, purchases, lambda: busy.append(gate())))
    print("### The gate, 8 connections, while purchases wait\n\n| | p50, ms | p99, ms | requests/s |\n| --- | ---: | ---: | ---: |")
    for name, seen in [("nobody waits", idle), (f"{held:,} requests are held", busy)]:
        p50, p99, rate = (median(getattr(one, field) for one in seen) for field in ("p50", "p99", "rate"))
        print(f"| {name} | {p50:.3f} | {p99:.3f} | {rate:,.0f} |")
    print(flush=True)
    ratio = median(with_held.p99 / without.p99 for with_held, without in zip(busy, idle))
    promises.at_most(7, f"p99 of the gate, {held:,} held requests to none", ratio, 1.5)


async def hold(shop, purchases, then):
    """Opens the requests, waits until the daemon holds them all, does `then`, and lets go. Gives their number."""

    async def one(invoice, secret):
        reader, writer = await asyncio.open_connection("127.0.0.1", shop.daemon.port)
        writer.write(waiting(invoice, secret))
        await writer.drain()
        return reader, writer

    held = []
    for _ in range(HELD_EACH):
        held += await asyncio.gather(*(one(*purchase) for purchase in purchases))
    in_thread = asyncio.get_running_loop().run_in_executor

    def are_held(count):
        return shop.daemon.metric("hlsgate_held_requests") == count

    await in_thread(None, until, "all requests are held", lambda: are_held(len(held)))
    await in_thread(None, then)
    if not await in_thread(None, are_held, len(held)):
        raise RuntimeError("some requests were answered while the gate was measured")
    for _, writer in held:
        writer.close()
    await in_thread(None, until, "no request is held any more", lambda: are_held(0))
    return len(held)


def waiting(invoice, secret):
    return (
        f"GET /hlsgate/invoices/{invoice}?wait=50&seen=new HTTP/1.1\r\nHost: hlsgate\r\n"
        f"Authorization: Bearer {secret}\r\nConnection: close\r\n\r\n"
    ).encode()
