#!/usr/bin/env python3
"""Finds a film at a shop, pays for it within a budget, and saves a link that every player plays.

Python's standard library alone, so that all of it can be read. What a wallet can do is left to a command of yours, which gets a
Lightning invoice and prints the proof of its payment. See README.md beside this file.
"""

import argparse
import base64
import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT = 30  # seconds, for each question to the shop
WALLET_TIMEOUT = 120  # seconds: a payment may try several ways
MAX_ANSWER = 4 << 20  # bytes
CLAIM_WAIT = 25  # seconds that the shop holds one question for a payment
CLAIM_PATIENCE = 60  # seconds for a payment of which the wallet gave no proof
STATE = pathlib.Path(os.environ.get("XDG_STATE_HOME", pathlib.Path.home() / ".local/state")) / "hlsgate-agent"


class Refused(Exception):
    """Why nothing was bought, in one line."""


def main():
    options = arguments()
    try:
        film = find(options.shop, options.film)
        offer = choose(options.shop, film["id"], options.tier)
        with purchases() as kept:
            access = buy(options, film, offer, kept)
        save(options.out, film, access)
    except Refused as err:
        sys.exit(f"error: {err}")
    except (OSError, ValueError, KeyError) as err:
        sys.exit(f"error: {options.shop} does not answer as a shop does: {err!r}")
    print(f"saved {options.out}: mpv {shlex.quote(str(options.out))}")


def arguments():
    parser = argparse.ArgumentParser(description="Buys a film and saves a link to it.")
    parser.add_argument("shop", help="the site, such as https://video.example", type=lambda text: text.rstrip("/"))
    parser.add_argument("film", help="its id, or a part of its title")
    parser.add_argument("--budget", type=int, required=True, metavar="SATS", help="most satoshis for all purchases of this agent together")
    parser.add_argument("--wallet", required=True, metavar="COMMAND", help="pays: {} stands for the invoice, and its output holds the preimage")
    parser.add_argument("--tier", help="which offer; without it the cheapest that has a price in bitcoin")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("film.m3u"), help="where the link goes (film.m3u)")
    return parser.parse_args()


# --- What there is ---------------------------------------------------------------------------------------------------------


def find(shop, wanted):
    """The one film with this id, or with this text in its title."""
    _, _, listed = ask(f"{shop}/videos.json")
    films = [film for film in listed["videos"] if isinstance(film.get("id"), str)]
    exact = [film for film in films if film["id"] == wanted]
    found = exact or [film for film in films if wanted.casefold() in str(film.get("title", "")).casefold()]
    if len(found) != 1:
        names = ", ".join(f"{film['id']} ({film.get('title', '')})" for film in (found or films)[:20])
        raise Refused(f"{len(found)} films fit {wanted!r}; there are {names}")
    return found[0]


def choose(shop, video, tier):
    """The offer to buy: prices in bitcoin alone can be held against a budget before anything is asked for."""
    _, _, told = ask(f"{shop}/hlsgate/videos/{urllib.parse.quote(video)}")
    offers = [offer for offer in told["offers"] if tier is None or offer["tier"] == tier]
    priced = [(sats(offer), offer) for offer in offers if sats(offer) is not None]
    if not priced:
        raise Refused(f"{video} has no such offer in bitcoin; it has {told['offers']}")
    return min(priced, key=lambda pair: pair[0])[1]


def sats(offer):
    if offer["currency"] == "SATS":
        return int(offer["price"])
    if offer["currency"] == "BTC":
        whole, _, part = offer["price"].partition(".")
        return int(whole) * 10**8 + int((part + "0" * 8)[:8])
    return None


# --- Buying ----------------------------------------------------------------------------------------------------------------


def buy(options, film, offer, kept):
    """The answer that holds the token. What was begun before is finished, not begun again: a run that broke off costs nothing twice."""
    query = urllib.parse.urlencode({"tier": offer["tier"], **({"covers": offer["covers"]} if offer["covers"] != film["id"] else {})})
    url = f"{options.shop}/hlsgate/videos/{urllib.parse.quote(film['id'])}/access?{query}"
    begun = kept.of(url)
    access = begun and redeem(url, begun, options.shop)
    if access:
        return access
    # Paid and over, or no longer payable: another invoice. Else the same one, which a wallet pays once only.
    if not begun or begun["preimage"] or begun["expires"] < time.time():
        begun = challenge(url)
        spent = kept.spent()
        if begun["sats"] > sats(offer):
            raise Refused(f"the invoice asks for {begun['sats']} sats, and the offer costs {sats(offer)}")
        if spent + begun["sats"] > options.budget:
            raise Refused(f"{begun['sats']} sats are beyond the budget: {spent} of {options.budget} are spent")
        # Before the money moves: what is paid for can be fetched after any crash.
        kept.note(url, begun)
    begun["preimage"] = pay(options.wallet, begun["invoice"], begun["hash"])
    kept.note(url, begun)
    access = redeem(url, begun, options.shop, CLAIM_PATIENCE)
    if not access:
        raise Refused(f"the wallet gave no proof and the shop knows of no payment; run this again. Order {begun['order']}")
    return access


def challenge(url):
    """What a 402 asks for."""
    status, headers, body = ask(url, accept=(402,))
    if status != 402:
        raise Refused(f"{url} answers {status}, not 402")
    lines = {line.split(" ")[0]: dict(re.findall(r'(\w+)="([^"]*)"', line)) for line in headers.get_all("WWW-Authenticate") or []}
    l402, payment = lines["L402"], lines["Payment"]
    expires = datetime.datetime.fromisoformat(payment["expires"].replace("Z", "+00:00")).timestamp()
    # A macaroon of version 2 begins with its identifier, and that of L402 with the payment's hash.
    payment_hash = base64.b64decode(l402["macaroon"])[5:37].hex()
    return {"macaroon": l402["macaroon"], "invoice": l402["invoice"], "sats": amount(l402["invoice"]), "hash": payment_hash, "preimage": "",
            "order": body["order"], "claim": body["claim"], "expires": expires}


def amount(bolt11):
    """Satoshis that a BOLT11 asks for, rounded up: the budget goes by the invoice, not by what is said about it."""
    match = re.match(r"ln(?:bcrt|tbs|bc|tb)(\d+)([munp]?)1", bolt11)
    if not match:
        raise Refused("the invoice names no amount")
    picobitcoin = int(match[1]) * {"": 10**12, "m": 10**9, "u": 10**6, "n": 10**3, "p": 1}[match[2]]
    return -(-picobitcoin // 10**4)


def pay(command, invoice, payment_hash):
    """The preimage, wherever the wallet prints it: it is the text whose SHA-256 the invoice names. Empty if it prints none."""
    words = [word.replace("{}", invoice) for word in shlex.split(command)]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=WALLET_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return ""
    proofs = (text for text in re.findall(r"\b[0-9a-fA-F]{64}\b", done.stdout) if hashlib.sha256(bytes.fromhex(text)).hexdigest() == payment_hash)
    return next(proofs, "")


def redeem(url, begun, shop, patience=0):
    """The answer for a payment: by its preimage, or by the claim where the wallet shows none. None if nothing was paid, or it is over."""
    if begun["preimage"]:
        status, _, access = ask(url, accept=(402,), headers={"Authorization": f"L402 {begun['macaroon']}:{begun['preimage']}"})
        return access if status == 200 else None
    status_url, deadline, seen = f"{shop}/hlsgate/invoices/{urllib.parse.quote(begun['order'])}", time.monotonic() + patience, ""
    while True:
        query = f"?wait={CLAIM_WAIT}&seen={seen}" if seen else ""
        _, _, told = ask(status_url + query, headers={"Authorization": f"Bearer {begun['claim']}"}, timeout=CLAIM_WAIT + TIMEOUT)
        if "token" in told:
            status, _, access = ask(url, accept=(402,), headers={"Authorization": f"Bearer {told['token']}"})
            return access if status == 200 else None
        if told["status"] in ("expired", "invalid") or time.monotonic() >= deadline:
            return None
        seen = told["status"]


def save(file, film, access):
    """A playlist of one entry. The address in it opens the film for whoever has it, so it is for its owner alone."""
    title = re.sub(r"[\x00-\x1f]", " ", str(film.get("title", film["id"])))
    text = f"#EXTM3U\n#EXTINF:-1,{title}\n{access['playlist']}\n"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)


# --- What is kept ----------------------------------------------------------------------------------------------------------


class Purchases:
    """Every purchase that was begun, in a file of its owner's alone. Held by one run at a time."""

    def __init__(self, file):
        self.file = file
        file.seek(0)
        text = file.read()
        self.all = json.loads(text) if text else {}

    def of(self, url):
        return self.all.get(url)

    def spent(self):
        """What was paid, and what may have been: an invoice that was handed to the wallet counts."""
        return sum(each["sats"] for each in self.all.values())

    def note(self, url, purchase):
        before = self.all.get(url)
        if before and before["order"] != purchase["order"]:
            self.all[f"{url}#{before['order']}"] = before
        self.all[url] = purchase
        self.file.seek(0)
        self.file.truncate()
        json.dump(self.all, self.file, indent=1)
        self.file.flush()
        os.fsync(self.file.fileno())


@contextlib.contextmanager
def purchases():
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(STATE / "purchases.json", os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield Purchases(file)


# --- HTTP ------------------------------------------------------------------------------------------------------------------


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A credential goes to the shop that it was bought at, and to nobody else."""

    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(NoRedirect)


def ask(url, accept=(), headers=(), timeout=TIMEOUT):
    """Status, headers and JSON of an answer; statuses other than 200 and `accept` are a `Refused`."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise Refused(f"{url} is no web address")
    request = urllib.request.Request(url, headers=dict(headers))
    try:
        answer = OPENER.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        status, text = answer.status, answer.read(MAX_ANSWER)
    if status != 200 and status not in accept:
        # Nothing of the body is shown: it may hold a secret.
        wait = answer.headers.get("Retry-After")
        raise Refused(f"{urllib.parse.urlsplit(url).path} answers {status}" + (f"; try again in {wait} s" if wait else ""))
    return status, answer.headers, json.loads(text)


if __name__ == "__main__":
    main()
