#!/usr/bin/env bash
# l402 0.5.1 (npm), l402-requests 0.9.0, l402kit 1.10.1 (PyPI): a challenge as the L402 specification has it is no challenge to them.
#
# One expects: clients of 2026 to pay `L402 version="0", token="…", invoice="…"`, the form of the specification since March 2026, and,
#   since parameters have names, not to mind their order.
# What happens: these three look for `macaroon` and pay nothing without it. `l402-requests` moreover wants `macaroon` and `invoice`
#   first and side by side: the same two behind `version` and `token` are no challenge. `@getalby/lightning-tools` 9.0.1 (npm) and
#   bolthub 0.7.0 (PyPI) take every form.
# Why it matters: a shop that follows the specification to the letter sells nothing to most machines, and no one sees an error.
# hlsgate: sends both names, `macaroon` and `invoice` first (src/shop/machine/l402.rs); tests/machines buys with each of these clients
#   ("Clients" in docs/machines.md).
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
from_npm @getalby/lightning-tools@9.0.1 l402@0.5.1 axios@1.7.9
from_pypi l402-requests==0.9.0 l402kit==1.10.1 bolthub==0.7.0 bolt11==2.2.0 bitstring==4.1.4

cat >"$place/shop.py" <<'PYTHON'
# A shop: each path challenges in a form of its own, and a payment is one request to /pay, which answers the preimage.
import base64
import selling
invoice = selling.invoice()
# A macaroon of version 2: location, identifier (version, payment hash, token id), end, signature.
name = bytes(2) + bytes.fromhex(selling.HASH) + bytes(32)
token = base64.b64encode(b"\x02\x01\x05films\x02\x42" + name + b"\x00\x00\x06\x20" + bytes(32)).decode()
forms = {
    "/usual": f'L402 macaroon="{token}", invoice="{invoice}"',
    "/draft": f'L402 version="0", token="{token}", invoice="{invoice}"',
    "/both-last": f'L402 version="0", token="{token}", macaroon="{token}", invoice="{invoice}"',
    "/both-first": f'L402 macaroon="{token}", invoice="{invoice}", version="0", token="{token}"',
}
class Shop(selling.Shop):
    def do_GET(self):
        paid = selling.PREIMAGE in self.headers.get("Authorization", "")
        self.answer(200 if paid else 402, '{"film": true}', {} if paid else {"WWW-Authenticate": forms[self.path]})
selling.serve(Shop)
PYTHON
background env PYTHONDONTWRITEBYTECODE=1 "PYTHONPATH=$(dirname "${BASH_SOURCE[0]}")" "$place/python/bin/python" "$place/shop.py" "$place/port"
await test -s "$place/port"
shop=http://127.0.0.1:$(cat "$place/port")

cat >"$place/buy.mjs" <<'JS'
const [name, shop, path] = process.argv.slice(2);
const pay = async (invoice) => (await fetch(`${shop}/pay`, { method: 'POST', body: invoice })).text();
const clients = {
  async alby() {
    const { fetch402 } = await import('@getalby/lightning-tools/402');
    return (await fetch402(shop + path, {}, { wallet: { payInvoice: async ({ invoice }) => ({ preimage: await pay(invoice) }) } })).status;
  },
  async l402() {
    const { default: axios } = await import('axios');
    const { MemoryTokenStore, PaymentResult, Wallet, setupL402Interceptor } = (await import('l402')).default;
    class Paying extends Wallet { async payInvoice(invoice) { return new PaymentResult(await pay(invoice), true); } }
    const client = axios.create();
    setupL402Interceptor(client, new Paying(), new MemoryTokenStore());
    return (await client.get(shop + path)).status;
  },
};
try { console.log((await clients[name]()) === 200 ? 'paid' : 'not paid'); } catch { console.log('not paid'); }
JS
cat >"$place/buy.py" <<'PYTHON'
import sys, urllib.request
name, shop, path = sys.argv[1:]
def pay(invoice):
    with urllib.request.urlopen(f"{shop}/pay", data=invoice.encode()) as answer:
        return answer.read().decode()
def l402_requests():
    from l402_requests import L402Client
    from l402_requests.wallets import WalletBase
    class Wallet(WalletBase):
        async def pay_invoice(self, bolt11): return pay(bolt11)
    return L402Client(wallet=Wallet())
def l402kit():
    from l402kit import L402Client, L402Wallet
    class Wallet(L402Wallet):
        def pay_invoice(self, bolt11): return pay(bolt11)
    return L402Client(wallet=Wallet())
def bolthub():
    from bolthub import L402Client
    class Wallet:
        def pay_invoice(self, bolt11): return pay(bolt11)
    return L402Client(Wallet(), budget_sats=1000)
try:
    print("paid" if globals()[name.replace("-", "_")]().get(shop + path).status_code == 200 else "not paid")
except Exception:
    print("not paid")
PYTHON
payers() {
  local client payers=()
  for client in alby l402; do [ "$(cd "$place" && node buy.mjs "$client" "$shop" "$1")" = "not paid" ] || payers+=("$client"); done
  for client in l402-requests l402kit bolthub; do [ "$("$place/python/bin/python" "$place/buy.py" "$client" "$shop" "$1")" = "not paid" ] || payers+=("$client"); done
  echo "${payers[*]}"
}
seen 'who pays L402 macaroon="T", invoice="I"' "$(payers /usual)" "alby l402 l402-requests l402kit bolthub"
seen 'who pays L402 version="0", token="T", invoice="I"' "$(payers /draft)" "alby bolthub"
seen 'who pays L402 version="0", token="T", macaroon="T", invoice="I"' "$(payers /both-last)" "alby l402 l402kit bolthub"
seen 'who pays L402 macaroon="T", invoice="I", version="0", token="T"' "$(payers /both-first)" "alby l402 l402-requests l402kit bolthub"
