"""Buys with a client from PyPI and prints what came: client.py NAME WALLET URL [URL…] [+film].

WALLET is an address that takes a BOLT11 by POST and answers the preimage; it also speaks as much of LND's REST API as paying takes.
`+film` stands for the playlist that the last answer named, and every file below it. One line of JSON an URL: status, text.
"""
import asyncio
import json
import sys
import urllib.parse
import urllib.request
from types import SimpleNamespace as Answer


def pay(wallet: str, bolt11: str) -> str:
    with urllib.request.urlopen(wallet, data=bolt11.encode(), timeout=30) as answer:
        return answer.read().decode()


def l402_requests(wallet):
    from l402_requests import L402Client
    from l402_requests.wallets import WalletBase

    class Wallet(WalletBase):
        async def pay_invoice(self, bolt11):
            return pay(wallet, bolt11)
    return plain(L402Client(wallet=Wallet()))


def l402kit(wallet):
    from l402kit import L402Client, L402Wallet

    class Wallet(L402Wallet):
        def pay_invoice(self, bolt11):
            return pay(wallet, bolt11)
    return plain(L402Client(wallet=Wallet()))


def bolthub(wallet):
    from bolthub import L402Client

    class Wallet:
        def pay_invoice(self, bolt11):
            return pay(wallet, bolt11)
    return plain(L402Client(Wallet(), budget_sats=1000))


def l402sdk(wallet):
    from l402 import Budget, L402Client
    client = L402Client.with_lnd_rest(wallet.rstrip("/"), "00", budget=Budget(total_max=1000))

    def get(url):
        answer = client.get(url)
        return Answer(status=answer.status, text=answer.text())
    return get


def lightning_enable_mcp(wallet):
    from lightning_enable_mcp.tools import _ssrf_guard
    # It goes to no address of this machine, which is where the shop of the tests is.
    _ssrf_guard.is_blocked_ip = lambda address: False
    from lightning_enable_mcp.l402_client import L402Client, L402Error

    class Wallet:
        async def pay_invoice(self, bolt11, *_, **__):
            return await asyncio.to_thread(pay, wallet, bolt11)
    runner = asyncio.Runner()

    async def made():
        return L402Client(Wallet())
    client = runner.run(made())

    def get(url):
        try:
            text, _, _ = runner.run(client.fetch(url))
            return Answer(status=200, text=text)
        except L402Error as err:
            return Answer(status=403 if "403" in str(err) else 0, text=str(err))
    return get


def routeweiler(wallet):
    from routeweiler import Routeweiler
    from routeweiler.funding.lightning import LightningFundingSource

    class Node:
        async def pay_invoice(self, bolt11, *, max_fee_msat):
            return bytes.fromhex(await asyncio.to_thread(pay, wallet, bolt11))

        async def get_node_pubkey(self):
            return "02" * 33
    runner = asyncio.Runner()

    async def made():
        return Routeweiler(funding=[await LightningFundingSource.create(Node(), "bitcoin-regtest")])
    client = runner.run(made())

    def get(url):
        answer = runner.run(client.get(url))
        return Answer(status=answer.status_code, text=answer.text)
    return get


def pympp(wallet):
    from mpp import Credential
    from mpp.client import ClientMethod, Method, Mpp
    from pydantic import BaseModel

    class Payload(BaseModel):
        preimage: str

    class Request(BaseModel, extra="allow"):
        amount: str

    async def create_credential(parameters):
        challenge = parameters.challenge
        preimage = await asyncio.to_thread(pay, wallet, challenge.request["methodDetails"]["invoice"])
        return Credential(challenge=challenge.to_echo(), payload={"preimage": preimage}).to_authorization()

    charge = Method(name="lightning", intent="charge", request_model=Request, payload_model=Payload)
    lightning = ClientMethod(method=charge, create_credential=create_credential)
    runner = asyncio.Runner()
    client = runner.run(Mpp(methods=[lightning]).__aenter__())

    def get(url):
        answer = runner.run(client.fetch(url))
        return Answer(status=answer.status_code, text=answer.text)
    return get


def plain(client):
    def get(url):
        answer = client.get(url)
        return Answer(status=answer.status_code, text=answer.text)
    return get


def told(get, url):
    answer = get(url)
    print(json.dumps({"status": answer.status, "text": answer.text}), flush=True)
    return answer.text


def film(get, url):
    """A playlist and every file that it names, each by the client itself."""
    for line in told(get, url).splitlines():
        if line and not line.startswith("#"):
            named = urllib.parse.urljoin(url, line)
            if named.endswith(".m3u8"):
                film(get, named)
            else:
                told(get, named)


CLIENTS = {"l402-requests": l402_requests, "l402kit": l402kit, "bolthub": bolthub, "l402sdk": l402sdk,
           "lightning-enable-mcp": lightning_enable_mcp, "routeweiler": routeweiler, "pympp": pympp}


def main(name, wallet, *urls):
    get, last = CLIENTS[name](wallet), ""
    for url in urls:
        if url == "+film":
            film(get, json.loads(last)["playlist"])
        else:
            last = told(get, url)


main(*sys.argv[1:])
