#!/usr/bin/env bash
# mppx 0.11.0 (npm) and pympp 0.16.0 (PyPI): a payment that is answered 402 is made again, and again.
#
# One expects: a client that has paid, shows its credential and gets 402 all the same to stop: something is wrong at the shop.
# What happens: both take the new challenge for a new bill: three payments for one request.
# Why it matters: "402 and a fresh challenge" is what the drafts of the scheme ask for where a credential is not accepted. A shop with a
#   retired key, a clock that is wrong, or two backends with different keys takes the price three times and gives nothing.
# hlsgate: a credential that is presented and not accepted is 403 without a challenge; 402 is for what ended honestly ("The
#   resource" in docs/machines.md; tests/it/machines.rs).
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
from_npm mppx@0.11.0 viem@2.57.20
from_pypi pympp==0.16.0

cat >"$place/shop.py" <<'PYTHON'
# A shop that accepts no credential: 402 with a fresh challenge each time, as its drafts say, or 403.
import base64, http.server, itertools, json, sys
number = itertools.count()
class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        shown = "Payment" in self.headers.get("Authorization", "")
        request = json.dumps({"amount": "100", "currency": "sat", "methodDetails": {"invoice": f"lnbc1u{next(number)}"}}, separators=(",", ":"))
        request = base64.urlsafe_b64encode(request.encode()).decode().rstrip("=")
        status = 403 if shown and self.path == "/403" else 402
        self.send_response(status)
        if status == 402:
            self.send_header("WWW-Authenticate", f'Payment id="c{next(number)}", realm="films", method="lightning", intent="charge", request="{request}"')
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
print(server.server_port, file=open(sys.argv[1], "w"), flush=True)
server.serve_forever()
PYTHON
background python3 "$place/shop.py" "$place/port"
await test -s "$place/port"
shop=http://127.0.0.1:$(cat "$place/port")

# Each prints how often its wallet was asked to pay.
cat >"$place/buy.mjs" <<'JS'
import { Credential, Method, z } from 'mppx';
import { Mppx } from 'mppx/client';
let payments = 0;
const charge = Method.from({
  name: 'lightning', intent: 'charge',
  schema: { credential: { payload: z.object({ preimage: z.string() }) }, request: z.looseObject({ amount: z.string(), currency: z.string() }) },
});
const lightning = Method.toClient(charge, {
  async createCredential({ challenge }) {
    payments += 1;
    return Credential.serialize({ challenge, payload: { preimage: '07'.repeat(32) } });
  },
});
await Mppx.create({ methods: [lightning], polyfill: false }).fetch(process.argv[2]).catch(() => {});
console.log(payments);
JS
cat >"$place/buy.py" <<'PYTHON'
import asyncio, sys
from mpp import Credential
from mpp.client import ClientMethod, Method, Mpp
from pydantic import BaseModel
payments = 0
class Payload(BaseModel):
    preimage: str
class Request(BaseModel, extra="allow"):
    amount: str
async def create_credential(parameters):
    global payments
    payments += 1
    return Credential(challenge=parameters.challenge.to_echo(), payload={"preimage": "07" * 32}).to_authorization()
async def main():
    charge = Method(name="lightning", intent="charge", request_model=Request, payload_model=Payload)
    async with Mpp(methods=[ClientMethod(method=charge, create_credential=create_credential)]) as client:
        await client.fetch(sys.argv[1])
try:
    asyncio.run(main())
except Exception:
    pass  # that it was not served is no surprise
print(payments)
PYTHON
seen "payments of mppx where what was paid is answered 402" "$(cd "$place" && node buy.mjs "$shop/402")" 3
seen "payments of pympp" "$("$place/python/bin/python" "$place/buy.py" "$shop/402")" 3
seen "payments of mppx where what was paid is answered 403" "$(cd "$place" && node buy.mjs "$shop/403")" 1
seen "payments of pympp" "$("$place/python/bin/python" "$place/buy.py" "$shop/403")" 1
