/**
 * The ways in which an invoice can be paid, as the page shows them; pure. What is to be paid is always what a way still asks for
 * (`due`), never the price: a store may ask a network fee, and part may have been paid.
 */

/** The way that suits any wallet: one code for both. */
export const BOTH = 'both';
const SATS = 100_000_000n;

/** A decimal string of bitcoin as satoshis, or null. Nothing is rounded: eight decimals are all there are. */
export function satsOf(amount) {
  const found = /^(\d+)(?:\.(\d{1,8})0*)?$/.exec(amount ?? '');
  return found ? BigInt(found[1]) * SATS + BigInt((found[2] ?? '').padEnd(8, '0')) : null;
}

/** Satoshis as a decimal string of bitcoin, as wallets take it: `0.00005`. */
export function bitcoinOf(sats) {
  const whole = sats / SATS;
  const rest = String(sats % SATS).padStart(8, '0').replace(/0+$/, '');
  return rest ? `${whole}.${rest}` : String(whole);
}

/** Millisatoshis that a letter of BOLT11's amount stands for; `p` is a tenth of one. */
const MULTIPLIERS = { m: 100_000_000n, u: 100_000n, n: 100n, '': 100_000_000_000n };

/** The amount that a BOLT11 invoice asks for, in satoshis rounded up, or null: it may have none. */
function bolt11Sats(bolt11) {
  const found = /^ln[a-z]+?(\d+)([munp]?)1/i.exec(bolt11 ?? '');
  if (!found) return null;
  const [, number, letter] = found;
  const msat = letter === 'p' ? BigInt(number) / 10n : BigInt(number) * MULTIPLIERS[letter.toLowerCase()];
  return (msat + 999n) / 1000n;
}

/**
 * Every way to pay, the one for any wallet first: `{ key, kind, name, uri, destination, sats, due, currency }`. `kind` is `both`,
 * `lightning`, `bitcoin`, `lnurl` or `other`; `sats` a BigInt or null, `due` a decimal string in `currency` where it is no bitcoin.
 */
export function waysOf(invoice) {
  const ways = (invoice.methods ?? olderMethods(invoice)).filter((it) => !(Number(it.due) <= 0)).map((it) => ({
    key: it.id, kind: it.kind, name: it.name ?? it.id, uri: it.uri ?? null, destination: it.destination ?? null,
    sats: it.currency === 'BTC' || !it.currency ? satsOf(it.due) ?? bolt11Sats(it.destination) : null, due: it.due, currency: it.currency ?? 'BTC',
  }));
  const lightning = ways.find((it) => it.kind === 'lightning' && it.uri);
  const bitcoin = ways.find((it) => it.kind === 'bitcoin' && it.uri);
  if (!invoice.unified || !lightning || !bitcoin) return ways;
  return [{ ...bitcoin, key: BOTH, kind: 'both', name: null, uri: invoice.unified, destination: null, parts: [lightning, bitcoin] }, ...ways];
}

/** What an answer without `methods` says of them. */
function olderMethods({ lightning, onchain }) {
  return [
    lightning && { id: 'BTC-LN', kind: 'lightning', name: 'Lightning', destination: lightning.bolt11, uri: lightning.uri },
    onchain && { id: 'BTC-CHAIN', kind: 'bitcoin', name: 'Bitcoin', destination: onchain.address, uri: onchain.uri, due: amountIn(onchain.uri) },
  ].filter(Boolean);
}

const amountIn = (uri) => /[?&]amount=([\d.]+)/.exec(uri)?.[1];

/** The way that is shown: the viewer's choice if there is one, else the first that has a code. */
export function chosen(ways, key) {
  return ways.find((it) => it.key === key) ?? ways.find((it) => it.kind === key) ?? ways.find((it) => it.uri) ?? ways[0] ?? null;
}

/**
 * What a QR code holds. Bech32 may be written in capitals, which QR codes hold in far fewer modules (BIP 173); a `lightning:` link
 * as a whole. The keys of a BIP 21 URI stay small, for wallets lose the amount otherwise; and one that is on-chain alone stays as it is,
 * for those wallets that refuse mixed letters.
 */
export function qrText({ kind, uri, parts }) {
  if (kind === 'lightning' || kind === 'lnurl') return uri.toUpperCase();
  if (kind !== 'both') return uri;
  const bech32 = parts.map((it) => it.destination).filter((it) => /^(bc|tb|bcrt)1|^ln/.test(it ?? ''));
  return bech32.reduce((text, part) => text.replace(part, part.toUpperCase()), uri);
}

/** A long text by its two ends, which is what can be compared with a wallet's: `lnbc50u1p5x…7k2q9d`. */
export const shortened = (text, ends = 10) => (text.length > 3 * ends ? `${text.slice(0, ends + 2)}…${text.slice(-ends + 2)}` : text);
