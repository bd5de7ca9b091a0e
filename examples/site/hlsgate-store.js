/**
 * What a browser keeps: purchases, and purchases that wait for their payment. One storage key each, so that two tabs
 * never overwrite each other's. Where the browser forbids storage, memory stands in until the page is left.
 */

const PURCHASE = 'hlsgate:purchase:';
const PENDING = 'hlsgate:pending:';
/** Seconds for which an unpaid purchase is kept; the shop's own cookie for it lasts as long. */
const PENDING_KEPT = 7 * 86400;

export class Store {
  #storage;
  #changed;

  /** `storage`: a `Storage`, by default the page's localStorage. `changed`: called after every change, in any tab. */
  constructor(storage, changed) {
    const usable = usableStorage(storage);
    this.remembers = usable !== null;
    this.#storage = usable ?? new MemoryStorage();
    this.#changed = changed;
    addEventListener('storage', (event) => {
      if (!event.key || event.key.startsWith(PURCHASE) || event.key.startsWith(PENDING)) changed();
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
  putPurchase(entry) {
    const id = inspect(entry.token)?.jti;
    if (!id) throw new TypeError('not a token');
    const known = this.#get(PURCHASE + id) ?? {};
    const merged = { ...known, ...defined(entry), refused: undefined };
    this.#put(PURCHASE + id, merged);
    return { ...describe(merged), expired: false };
  }

  refuse(id, reason) {
    const known = this.#get(PURCHASE + id);
    if (known && known.refused !== reason) this.#put(PURCHASE + id, { ...known, refused: reason });
  }

  dropPurchase(id) {
    this.#drop(PURCHASE + id);
  }

  pending(now) {
    const all = this.#all(PENDING);
    for (const it of all) if (it.made_at + PENDING_KEPT < now) this.#drop(PENDING + it.invoice);
    return all.filter((it) => it.made_at + PENDING_KEPT >= now).sort((a, b) => b.shown_at - a.shown_at);
  }

  putPending(entry) {
    this.#put(PENDING + entry.invoice, entry);
    return entry;
  }

  dropPending(invoice) {
    this.#drop(PENDING + invoice);
  }

  #all(prefix) {
    const keys = Array.from({ length: this.#storage.length }, (_, index) => this.#storage.key(index));
    return keys.filter((key) => key?.startsWith(prefix)).map((key) => this.#get(key)).filter(Boolean);
  }

  #get(key) {
    try {
      return JSON.parse(this.#storage.getItem(key));
    } catch {
      return null; // not ours, or cut short: as good as absent
    }
  }

  #put(key, value) {
    const text = JSON.stringify(value);
    if (this.#storage.getItem(key) === text) return;
    try {
      this.#storage.setItem(key, text);
    } catch {
      // Full, or forbidden since: memory holds it while the page lives, and the page can say so.
      this.#storage = MemoryStorage.from(this.#storage);
      this.#storage.setItem(key, text);
      this.remembers = false;
    }
    this.#changed();
  }

  #drop(key) {
    if (this.#storage.getItem(key) === null) return;
    this.#storage.removeItem(key);
    this.#changed();
  }
}

/** The claims of a token, unchecked (only the shop can check them), or null. */
export function inspect(token) {
  try {
    const payload = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(payload), (c) => c.charCodeAt(0))));
    return typeof claims?.jti === 'string' && typeof claims.sub === 'string' ? claims : null;
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

/** Reading `localStorage` itself throws where a viewer blocks site data; writing throws where it is full or has no room. */
function usableStorage(given) {
  try {
    const storage = given ?? globalThis.localStorage;
    storage.setItem('hlsgate:probe', '1');
    storage.removeItem('hlsgate:probe');
    return storage;
  } catch {
    return null;
  }
}

class MemoryStorage {
  #map = new Map();
  static from(storage) {
    const copy = new MemoryStorage();
    for (let index = 0; index < storage.length; index += 1) copy.setItem(storage.key(index), storage.getItem(storage.key(index)));
    return copy;
  }
  get length() { return this.#map.size; }
  key(index) { return [...this.#map.keys()][index] ?? null; }
  getItem(key) { return this.#map.get(key) ?? null; }
  setItem(key, value) { this.#map.set(key, String(value)); }
  removeItem(key) { this.#map.delete(key); }
}
