#!/usr/bin/env bash
# mppx 0.11.0 and @getalby/lightning-tools 9.0.1 (npm): the challenge that a client of the "Payment" scheme echoes is not the one it was given.
#
# One expects: "echo" to mean that the parameters of the challenge come back as they went, so that a shop without a memory can bind them by
#   an HMAC in `id`, as the draft recommends.
# What happens: mppx decodes `request` and writes its JSON anew, with the members in order and without blanks: any other form comes
#   back changed. The client of lightning-tools leaves out `description` and `opaque`, the parameter that was made for a shop's state.
# Why it matters: the HMAC no longer fits, and a payment that was made is refused as forged.
# hlsgate: `request` is in canonical form (RFC 8785), holds all that a check needs, and neither `description` nor `opaque` is sent
#   (src/shop/machine/payment.rs; tests/machines buys with mppx; "Clients" in docs/machines.md).
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
from_npm mppx@0.11.0 viem@2.57.20 @getalby/lightning-tools@9.0.1
from_pypi bolt11==2.2.0 bitstring==4.1.4

cat >"$place/shop.py" <<'PYTHON'
# A shop that answers a paid request with what came back otherwise than it was given.
import base64, json, time
import selling
invoice = selling.invoice()
def base64url(text): return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
details = {"amount": "100", "currency": "sat", "methodDetails": {"invoice": invoice, "network": "mainnet"}}
requests = {
    "/sorted": json.dumps(details, sort_keys=True, separators=(",", ":")),
    "/spaced": json.dumps(details, sort_keys=True),
    "/unsorted": json.dumps(dict(reversed(details.items())), separators=(",", ":")),
}
class Shop(selling.Shop):
    def do_GET(self):
        given = {"id": "abc", "realm": "films", "method": "lightning", "intent": "charge", "request": base64url(requests[self.path]),
                 "expires": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(time.time()) + 600)),
                 "description": "A film", "opaque": base64url('{"order":"7"}')}
        shown = self.headers.get("Authorization", "")
        if not shown:
            return self.answer(402, "", {"WWW-Authenticate": "Payment " + ", ".join(f'{name}="{value}"' for name, value in given.items())})
        text = shown.split(" ")[1]
        echoed = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))["challenge"]
        changed = [name for name in given if name != "expires" and echoed.get(name) != given[name]]
        self.answer(200, " ".join(f"{name}:{'changed' if name in echoed else 'dropped'}" for name in changed) or "nothing")
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
    return fetch402(shop + path, {}, { wallet: { payInvoice: async ({ invoice }) => ({ preimage: await pay(invoice) }) } });
  },
  async mppx() {
    const { Credential, Method, z } = await import('mppx');
    const { Mppx } = await import('mppx/client');
    const charge = Method.from({
      name: 'lightning', intent: 'charge',
      schema: { credential: { payload: z.object({ preimage: z.string() }) }, request: z.looseObject({ amount: z.string(), currency: z.string() }) },
    });
    const lightning = Method.toClient(charge, {
      async createCredential({ challenge }) {
        return Credential.serialize({ challenge, payload: { preimage: await pay(challenge.request.methodDetails.invoice) } });
      },
    });
    return Mppx.create({ methods: [lightning], polyfill: false }).fetch(shop + path);
  },
};
const answer = await clients[name]();
console.log(answer.status === 200 ? await answer.text() : answer.status);
JS
changed() { (cd "$place" && node buy.mjs "$1" "$shop" "$2"); }
seen "what mppx changes of a challenge whose request is canonical JSON" "$(changed mppx /sorted)" nothing
seen "… whose JSON has blanks" "$(changed mppx /spaced)" "request:changed"
seen "… whose JSON is in another order" "$(changed mppx /unsorted)" "request:changed"
seen "what lightning-tools changes of a challenge whose request is canonical JSON" "$(changed alby /sorted)" "description:dropped opaque:dropped"
