/** A purchase outside the browser: a code, a link, a file, and back. Pure text; what it is worth only the shop can say. */

import { inspect } from './hlsgate-store.js';
import { HlsgateError } from './hlsgate-shop.js';

/** The longest text, in characters, and the most purchases that are looked for in a backup. */
const LONGEST = 4_000_000;
const MOST = 1000;

/** A token and, where known, the claim behind it, for each. */
export const codeOf = (purchases) => purchases.flatMap(({ token, id, claim }) => (claim ? [token, `${id}~${claim}`] : [token])).join(',');

/** The same as a link. It stands in the fragment, which browsers keep to themselves: no server log sees it. */
export function linkOf(purchases, page) {
  const url = new URL(page, document.baseURI);
  url.hash = `restore=${codeOf(purchases)}`;
  return url.href;
}

/** The same as a file: JSON, readable by a person. */
export function fileOf(purchases) {
  const entries = purchases.map(({ id, claim, token, video, tier, title, expires_at }) => ({
    title, video, tier, expires_at, token, claim: claim && `${id}~${claim}`,
  }));
  return new File([JSON.stringify({ hlsgate: 1, site: location.origin, purchases: entries }, null, 2)],
    `purchases-${location.hostname}.json`, { type: 'application/json' });
}

/** What a text holds: a Map of an id to `{ token?, claim? }`. Throws `nothing-found` or `too-large`. */
export function findIn(text) {
  if (text.length > LONGEST) throw new HlsgateError('too-large');
  const found = new Map();
  // Each pattern begins only where a word begins, so that the time it takes grows no faster than a hostile text.
  for (const [token] of text.matchAll(/(?<![\w-])eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/g)) {
    const id = inspect(token)?.jti;
    if (id) found.set(id, { token });
  }
  for (const [, id, claim] of text.matchAll(/(?<![\w-])([A-Za-z0-9]{8,64})~([\w-]{64})(?![\w-])/g)) found.set(id, { ...found.get(id), claim });
  if (found.size === 0) throw new HlsgateError('nothing-found');
  if (found.size > MOST) throw new HlsgateError('too-large');
  return found;
}
