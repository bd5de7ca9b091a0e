#!/usr/bin/env bash
# bip21 3.0.0 (npm): a payment URI in capitals is a payment of any amount.
#
# One expects: a URI in capitals, as QR codes want it (a third fewer bits), to mean what it means in small letters: scheme and bech32
#   ignore case, and BIP 321, which replaces BIP 21, says the same of the keys.
# What happens: the address is read, and `AMOUNT` and `LIGHTNING` are options that no caller asks for. No error: the amount is not there.
# Why it matters: a wallet that reads a shop's QR code with it lets the buyer type an amount, on-chain, in spite of the Lightning
#   invoice beside it. Half a price buys nothing.
# hlsgate: of a unified QR code the page writes only address and invoice in capitals, the keys stay small (examples/site/paywall-ways.js,
#   src/shop/bill.rs; tests/browser/money.test.mjs).
. "$(dirname "${BASH_SOURCE[0]}")/place.bash"
from_npm bip21@3.0.0
cat >"$place/read.mjs" <<'JS'
import * as bip21 from 'bip21';
const uri = 'bitcoin:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4?amount=0.0002&lightning=lnbc1examplexample';
const forms = { small: uri, capitals: uri.toUpperCase(), values: uri.replace(/bc1[^?]*|lnbc.*/g, (part) => part.toUpperCase()) };
const { address, options } = bip21.decode(forms[process.argv[2]]);
console.log(`${address.toLowerCase().slice(0, 8)} ${options.amount} ${options.lightning?.toLowerCase()}`);
JS
seen "address, amount, invoice of a URI in small letters" "$(node "$place/read.mjs" small)" "bc1qw508 0.0002 lnbc1examplexample"
seen "the same URI in capitals" "$(node "$place/read.mjs" capitals)" "bc1qw508 undefined undefined"
seen "only address and invoice in capitals" "$(node "$place/read.mjs" values)" "bc1qw508 0.0002 lnbc1examplexample"
