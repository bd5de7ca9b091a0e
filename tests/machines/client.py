"""Buys one URL with a client from PyPI and prints what came: client.py NAME WALLET URL [URL…].

WALLET is an address that takes a BOLT11 by POST and answers the preimage. One line of JSON an URL: status, text.
"""
import asyncio
import json
import sys
import urllib.request


def pay(wallet: str, bolt11: str) -> str:
    with urllib.request.urlopen(wallet, data=bolt11.encode(), timeout=30) as answer:
        return answer.read().decode()


def l402_requests(wallet, urls):
    from l402_requests import L402Client
    from l402_requests.wallets import WalletBase

    class Wallet(WalletBase):
        async def pay_invoice(self, bolt11):
            return pay(wallet, bolt11)
    client = L402Client(wallet=Wallet())
    return [client.get(url) for url in urls]


def l402kit(wallet, urls):
    from l402kit import L402Client, L402Wallet

    class Wallet(L402Wallet):
        def pay_invoice(self, bolt11):
            return pay(wallet, bolt11)
    client = L402Client(wallet=Wallet())
    return [client.get(url) for url in urls]


def bolthub(wallet, urls):
    from bolthub import L402Client

    class Wallet:
        def pay_invoice(self, bolt11):
            return pay(wallet, bolt11)
    client = L402Client(Wallet(), budget_sats=1000)
    return [client.get(url) for url in urls]


def pympp(wallet, urls):
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

    async def fetch():
        async with Mpp(methods=[lightning]) as client:
            return [await client.fetch(url) for url in urls]
    return asyncio.run(fetch())


def main(name, wallet, *urls):
    for answer in {"l402-requests": l402_requests, "l402kit": l402kit, "bolthub": bolthub, "pympp": pympp}[name](wallet, urls):
        print(json.dumps({"status": answer.status_code, "text": answer.text}))


main(*sys.argv[1:])
