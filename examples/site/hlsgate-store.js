/**
 * What a browser keeps: purchases, and purchases that wait for their payment. One storage key each, so that two tabs
 * never overwrite each other's. Where the browser forbids storage, memory stands in until the page is left.
 */

import { forgettable } from './hlsgate-purchase.js';

const PURCHASE = 'hlsgate:purchase:';
const PENDING = 'hlsgate:pending:';
const PROBE = 'hlsgate:probe';

export class Store {
  #storage;
  /** What could not be stored. */
  #memory = new Map();
  #changed;

  /** `storage`: a `Storage`, by default the page's localStorage. `changed`: called after every change, in any tab. */
  constructor(storage, changed) {
    this.#storage = readable(storage);
    this.remembers = writable(this.#storage);
    this.#changed = changed;
    globalThis.addEventListener?.('storage', ({ key, oldValue, newValue }) => {
      if (!key || key.startsWith(PURCHASE) || (key.startsWith(PENDING) && news(oldValue, newValue))) changed();
    });
  }

  purchases(now) {
    return this.#all(PURCHASE)
      .map((it) => describe(it))
      .filter(Boolean)
      .map((it) => ({ ...it, expired: it.expires_at !== undefined && it.expires_at <= now }))
      .sort((a, b) => b.bought_at - a.bought_at);
  }

  /** Adds or renews; what was known beside the token (claim, title) stays. */
  putPurchase(entry, now) {
    const id = inspect(entry.token)?.jti;
    if (!id) throw new TypeError('not a token');
    const known = this.#get(PURCHASE + id) ?? {};
    const merged = { ...known, ...defined(entry), refused: undefined };
    this.#put(PURCHASE + id, merged);
    const purchase = describe(merged);
    return { ...purchase, expired: purchase.expires_at !== undefined && purchase.expires_at <= now };
  }

  refuse(id, reason) {
    const known = this.#get(PURCHASE + id);
    if (known && known.refused !== reason) this.#put(PURCHASE + id, { ...known, refused: reason });
  }

  dropPurchase(id) {
    this.#drop(PURCHASE + id);
  }

  /** `certain`: `now` is the shop's time. By a clock of the viewer's own, which may be years wrong, nothing is thrown away. */
  pending(now, certain) {
    const all = this.#all(PENDING).filter((it) => typeof it.invoice === 'string' && typeof it.video === 'string');
    const idle = certain ? all.filter((it) => forgettable(it, now)) : [];
    for (const it of idle) this.#drop(PENDING + it.invoice);
    return all.filter((it) => !idle.includes(it)).sort((a, b) => b.shown_at - a.shown_at);
  }

  putPending(entry) {
    this.#put(PENDING + entry.invoice, entry);
    return entry;
  }

  dropPending(invoice) {
    this.#drop(PENDING + invoice);
  }

  #all(prefix) {
    return [...new Set([...keysOf(this.#memory), ...keysOf(this.#storage)])]
      .filter((key) => key.startsWith(prefix)).map((key) => this.#get(key)).filter(Boolean);
  }

  #get(key) {
    try {
      const found = JSON.parse(this.#text(key));
      return typeof found === 'object' ? found : null;
    } catch {
      return null; // not ours, or cut short: as good as absent
    }
  }

  #text(key) {
    return this.#memory.get(key) ?? this.#storage?.getItem(key) ?? null;
  }

  #put(key, value) {
    const text = JSON.stringify(value);
    const before = this.#text(key);
    if (before === text) return;
    try {
      this.#storage.setItem(key, text);
      this.#memory.delete(key);
    } catch {
      // Full, or forbidden: memory holds it while the page lives, and the page can say so.
      this.#memory.set(key, text);
      this.remembers = false;
    }
    if (news(before, text)) this.#changed();
  }

  #drop(key) {
    if (this.#text(key) === null) return;
    this.#memory.delete(key);
    this.#storage?.removeItem(key);
    this.#changed();
  }
}

/** True unless all that changed is when the shop was asked: nobody has to draw anything anew for that. */
function news(before, after) {
  const without = (text) => text?.replace(/"asked_at":\d+,?/, '');
  return without(before) !== without(after);
}

/** The claims of a token, unchecked (only the shop can check them), or null. */
export function inspect(token) {
  try {
    const payload = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(payload), (c) => c.charCodeAt(0))));
    const texts = [claims.jti, claims.sub, claims.tier];
    const times = [claims.iat, claims.exp ?? 0];
    return texts.every((it) => typeof it === 'string') && times.every((it) => Number.isSafeInteger(it)) ? claims : null;
  } catch {
    return null;
  }
}

/** A kept entry with what its token says. `video` is missing where a pass came without the video it was bought for. */
function describe(entry) {
  const claims = inspect(entry.token);
  if (!claims) return null;
  const { sub, tier, iat, exp, jti } = claims;
  const own = sub === '*' || sub.startsWith('pass:') ? entry.video : sub;
  return { ...entry, id: jti, covers: sub, video: own, tier, bought_at: iat, expires_at: exp };
}

const defined = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

const keysOf = (storage) => (storage instanceof Map ? [...storage.keys()]
  : Array.from({ length: storage?.length ?? 0 }, (_, index) => storage.key(index)).filter((key) => key !== null));

/** The page's storage, or null: reading the property itself throws where a viewer blocks site data. */
function readable(given) {
  try {
    return given ?? globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}

/** False where storage is blocked, full, or has no room at all. What it holds already can be read all the same. */
function writable(storage) {
  try {
    storage.setItem(PROBE, '1');
    storage.removeItem(PROBE);
    return true;
  } catch {
    return false;
  }
}
