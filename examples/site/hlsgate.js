/**
 * hlsgate.js: what a page needs to sell a video, open it, and keep what was bought.
 *
 * No dependency, no account, no third party: it talks to the shop under `/hlsgate/` on the page's own origin and keeps
 * purchases in this browser. The shop sets the cookies that open the stream; what is kept here is the second copy of a
 * purchase, and what a viewer can carry to another device.
 *
 *     import { Hlsgate } from './hlsgate.js';
 *     const gate = new Hlsgate();
 *     const state = await gate.open('c05f2318');              // { access, offers, pending, url }
 *     if (!state.access.granted) {
 *       const invoice = await gate.buy('c05f2318', state.offers[0].tier);
 *       showQr(invoice.unified ?? invoice.lightning.uri);
 *       await gate.wait(invoice, { onstatus: (status) => console.log(status) });
 *     }
 *     video.src = (await gate.open('c05f2318')).url;
 *
 * Times are UNIX seconds, durations seconds, money decimal strings. Types: `hlsgate.d.ts`.
 */

import { Clock, SKEW_TOLERATED, Wakeups, pause } from './hlsgate-time.js';
import { Store, inspect } from './hlsgate-store.js';

export { inspect };

/** Seconds that the shop may hold an answer while nothing changes. */
const HOLD = 25;
/** Seconds until the first and the last retry of a request that failed. */
const RETRY_FIRST = 1;
const RETRY_LAST = 20;
/** What can be a video's id (`docs/protocol.md`). */
const VIDEO_ID = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
/** Seconds for which one tab leaves the making of an invoice to another one. */
const TURN = 10;
/** Seconds until every tab sees what one has stored: browsers tell their tabs of it in their own time, and of a lock sooner. */
const SPREAD = 1;
/** The longest text, in characters, and the most purchases that are looked for in a backup. */
const LONGEST = 4_000_000;
const MOST = 1000;
/** Refusals of a token that asking again with the purchase's claim can mend: the key it was signed with is gone. */
const STALE_KEY = ['unknown-key', 'bad-signature'];

/** A refusal or a failure. `reason` is the shop's stable word for it, or one of ours: see `hlsgate.d.ts`. */
export class HlsgateError extends Error {
  constructor(reason, { status = 0, retryAfter = 0, detail = '' } = {}) {
    super(detail || reason);
    this.name = 'HlsgateError';
    this.reason = reason;
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** True if asking again may help: the network, our own fault, BTCPay away, too many requests. */
  get passing() {
    return this.reason === 'unreachable' || this.status >= 500 || this.status === 408 || this.status === 429;
  }
}

/** Fires `change` when a purchase is added or removed, in this tab or another one. */
export class Hlsgate extends EventTarget {
  #shop;
  #media;
  #store;
  #clock = new Clock();

  /** `shop`: prefix of the shop. `media`: where nginx protects the streams; `{video}` stands for the id. */
  constructor({ shop = '/hlsgate/', media = '/hls/{video}/', playlist = 'master.m3u8', storage } = {}) {
    super();
    this.#shop = shop;
    this.#media = media + playlist;
    this.#store = new Store(storage, () => this.dispatchEvent(new Event('change')));
  }

  /** False where the browser keeps nothing for this page: then a purchase lives in cookies, and in the viewer's backup. */
  get remembers() {
    return this.#store.remembers;
  }

  /** The shop's time, which decides; a viewer's clock may be wrong. */
  now() {
    return this.#clock.now();
  }

  /** Learns the shop's time, for a page that judges what is kept before it asks the shop anything else. */
  async setClock() {
    const answer = await fetch(location.pathname, { method: 'HEAD', cache: 'no-store' }).catch(() => null);
    this.#clock.learn(answer?.headers.get('date'));
  }

  /** What the shop says of a video: `{ video, offers, access, pending }`. Looks at cookies only. */
  async offers(video) {
    return this.#request(pathOf(video));
  }

  /**
   * Opens a video with what this browser has: cookies first, then kept purchases, which become cookies again, so that
   * a native player works too. Answers what `offers` does, and with `access.granted` a `url` to play. Where the browser
   * refuses cookies (an embed, say) that URL carries the token in its path.
   */
  async open(video) {
    let state = await this.offers(video);
    const kept = this.#keptFor(video);
    const best = kept.at(-1);
    if (!best || (state.access.granted && lasts(state.access) >= lasts(best))) return this.#withUrl(state);

    const good = [];
    for (const purchase of kept) {
      try {
        good.push(await this.keep(purchase.token, { claim: purchase.claim }));
      } catch (error) {
        if (error.passing && !state.access.granted) throw error;
      }
    }
    if (good.length > 0) state = await this.offers(video);
    if (state.access.granted) return this.#withUrl(state);

    for (const { token, tier, expires_at } of good.reverse()) {
      const url = this.streamUrl(video, token);
      const answer = await fetch(url, { credentials: 'omit', cache: 'no-store' }).catch(() => null);
      if (answer?.ok) return { ...state, access: { granted: true, tier, expires_at }, url };
    }
    return state;
  }

  /** Where the stream is. With a token it plays anywhere (VLC, a TV, AirPlay): whoever has that link can watch. */
  streamUrl(video, token) {
    const path = this.#media.replace('{video}', encodeURIComponent(video));
    if (!token) return path;
    const fixed = this.#media.slice(0, this.#media.indexOf('{video}'));
    return `${fixed}~${token}/${path.slice(fixed.length)}`;
  }

  /**
   * Makes an invoice, and keeps it before it is shown, so that a closed tab loses nothing. An open invoice for the same
   * offer is shown again rather than a second one made, in another tab too: one invoice cannot be paid twice.
   * `offer`: a tier, or an offer as `offers` answers it.
   */
  buy(video, offer, { title } = {}) {
    return oneAtATime(`hlsgate:buy:${video}`, () => this.#buy(video, offer, title));
  }

  async #buy(video, offer, title) {
    const { tier, covers, price, currency } = typeof offer === 'string' ? { tier: offer } : offer;
    const open = this.pending(video).find(
      (it) => it.tier === tier && it.covers === (covers ?? it.covers) && it.invoice_expires_at > this.now() + 120 &&
        it.status === 'new' && (!price || (Number(it.amount) === Number(price) && it.currency === currency)),
    );
    if (open) return this.#store.putPending({ ...open, set_aside: false, shown_at: this.now() });

    const invoice = await this.#request(`${pathOf(video)}/invoices`, {
      body: { tier, ...(covers && covers !== video ? { covers } : {}) },
    });
    return this.#store.putPending({ ...invoice, video, title, made_at: this.now(), shown_at: this.now() });
  }

  /** Purchases that are not settled yet, the one shown last first. They stay a week: a late payment still counts. */
  pending(video) {
    return this.#store.pending(this.now(), this.#clock.certain).filter((it) => !video || it.video === video);
  }

  /** The purchase a viewer was in the middle of, or null. Without storage it has no QR, only its `invoice` and `status`. */
  async resume(video, state) {
    const kept = this.pending(video).find((it) => !it.set_aside);
    if (kept) return kept;
    if (this.pending(video).length > 0) return null;
    const { pending } = state ?? (await this.offers(video));
    return pending ? { ...pending, video } : null;
  }

  /** The viewer turned away from this invoice: no longer shown, but a payment on its way still counts. */
  setAside(pending) {
    if (this.pending().some((it) => it.invoice === pending.invoice)) this.#store.putPending({ ...pending, set_aside: true });
  }

  /**
   * Waits for an invoice to be paid; answers the purchase. Goes on through expiry (it may be paid late), lost
   * connections and sleep, and asks anew as soon as the page wakes.
   *
   * - `onstatus(status)`: `new`, `processing` (seen, not confirmed), `expired`, `invalid`.
   * - `ontrouble(error | null)`: the shop cannot be asked just now; null when it answers again.
   * - `signal`: stops waiting. The purchase stays kept.
   */
  async wait(pending, { signal, onstatus, ontrouble, hold = HOLD } = {}) {
    const wakeups = new Wakeups(signal);
    let seen;
    let failures = 0;
    try {
      for (;;) {
        signal?.throwIfAborted();
        // Another tab may have been quicker.
        const owned = this.list().find((it) => it.id === pending.invoice && !it.expired);
        if (owned) return owned;
        const asked = Date.now();
        try {
          const answer = await this.#ask(pending, { seen, hold, interrupted: wakeups.next() });
          if (failures > 0) ontrouble?.(null);
          failures = 0;
          if (answer.status === 'settled') return this.#settled(pending, answer);
          if (answer.status !== seen) this.#seen(pending, (seen = answer.status), onstatus);
          else if (Date.now() - asked < 1000) await pause(2, wakeups.next());
        } catch (error) {
          if (signal?.aborted) throw signal.reason;
          if (error.name === 'AbortError') continue;
          if (!error.passing) {
            // Neither a viewer nor time can turn a wrong claim into a right one.
            if (error.reason === 'wrong-claim') this.#store.dropPending(pending.invoice);
            throw error;
          }
          failures += 1;
          ontrouble?.(error);
          const wait = Math.max(error.retryAfter, Math.min(RETRY_FIRST * 2 ** (failures - 1), RETRY_LAST));
          await pause(wait * (1 + Math.random() / 4), wakeups.next());
        }
      }
    } finally {
      wakeups.stop();
    }
  }

  /** Asks once about every open purchase; answers those that turn out paid. For page loads, and for invoices set aside. */
  async claimPaid(video) {
    const paid = [];
    for (const pending of this.pending(video)) {
      try {
        const answer = await this.#ask(pending, { hold: 0 });
        if (answer.status === 'settled') paid.push(this.#settled(pending, answer));
        else this.#seen(pending, answer.status);
      } catch (error) {
        if (error.reason === 'wrong-claim') this.#store.dropPending(pending.invoice);
      }
    }
    return paid;
  }

  /**
   * Keeps a token and has the shop set its cookies. A token signed with a key that is gone is claimed anew if its claim
   * is known. Answers the purchase; throws an `HlsgateError` (`expired`, `revoked`, `bad-signature`, …).
   */
  async keep(token, { claim } = {}) {
    try {
      const answer = await this.#request('session', { body: { token } });
      return this.#store.putPurchase({ token: answer.token, claim });
    } catch (error) {
      const id = inspect(token)?.jti;
      if (claim && id && STALE_KEY.includes(error.reason)) return this.#claim(id, claim);
      if (error.reason === 'revoked' && id) this.#store.refuse(id, 'revoked');
      throw error;
    }
  }

  /** Everything bought in this browser, newest first; what ended is marked `expired`. */
  list() {
    return this.#store.purchases(this.now());
  }

  /** Removes a purchase from this browser's memory. Its cookie, which no script can see, ends by itself. */
  forget(id) {
    this.#store.dropPurchase(id);
  }

  /** A code that restores these purchases anywhere: a token and, where known, the claim behind it, for each. */
  code(purchases = this.list()) {
    return purchases.flatMap(({ token, id, claim }) => (claim ? [token, `${id}~${claim}`] : [token])).join(',');
  }

  /** The same as a link. It stands in the fragment, which browsers keep to themselves: no server log sees it. */
  link(purchases = this.list(), page = 'purchases.html') {
    const url = new URL(page, document.baseURI);
    url.hash = `restore=${this.code(purchases)}`;
    return url.href;
  }

  /** The same as a file: JSON, readable by a person. */
  file(purchases = this.list()) {
    const entries = purchases.map(({ id, claim, token, video, tier, title, expires_at }) => ({
      title, video, tier, expires_at, token, claim: claim && `${id}~${claim}`,
    }));
    return new File([JSON.stringify({ hlsgate: 1, site: location.origin, purchases: entries }, null, 2)],
      `purchases-${location.hostname}.json`, { type: 'application/json' });
  }

  /**
   * Restores purchases from whatever holds them: a code, a link, the text of a file, a message around one of these.
   * Answers one `{ id, purchase }` or `{ id, error }` each; throws `nothing-found` if there is none, or `too-large`.
   */
  async restore(text) {
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

    const results = [];
    for (const [id, { token, claim }] of found) {
      try {
        results.push({ id, purchase: await (token ? this.keep(token, { claim }) : this.#claim(id, claim)) });
      } catch (error) {
        results.push({ id, error });
      }
    }
    return results;
  }

  /**
   * Calls `onwarn(seconds)` once when less than `warn` seconds are left, and `onend()` when access ends, also after the
   * device slept. Answers a function that stops it. Nothing happens for access that never ends.
   */
  watchExpiry(expiresAt, { warn = 300, onwarn, onend } = {}) {
    if (!expiresAt) return () => {};
    return this.#clock.at([
      [expiresAt - warn, () => this.now() < expiresAt && onwarn?.(expiresAt - this.now())],
      // Not before the shop says so too: the two clocks may differ by that much.
      [expiresAt + SKEW_TOLERATED, () => onend?.()],
    ]);
  }

  #withUrl(state) {
    return state.access.granted ? { ...state, url: this.streamUrl(state.video) } : state;
  }

  /** Kept purchases that may open a video, the one that lasts longest last, for the last cookie wins. */
  #keptFor(video) {
    return this.list()
      .filter((it) => !it.expired && !it.refused && (it.covers === video || it.covers === '*' || it.covers.startsWith('pass:')))
      .sort((a, b) => lasts(a) - lasts(b));
  }

  #seen(pending, status, onstatus) {
    const kept = this.pending().find((it) => it.invoice === pending.invoice);
    if (kept && kept.status !== status) this.#store.putPending({ ...kept, status });
    onstatus?.(status);
  }

  #settled({ invoice, claim, title }, { token, video, tier }) {
    this.#store.dropPending(invoice);
    return this.#store.putPurchase({ token, claim, title, video, tier });
  }

  async #claim(id, claim) {
    const answer = await this.#ask({ invoice: id, claim }, { hold: 0 });
    if (answer.status !== 'settled') throw new HlsgateError('unpaid', { status: 402 });
    return this.#settled({ invoice: id, claim }, answer);
  }

  #ask({ invoice, claim }, { seen, hold, interrupted }) {
    const query = new URLSearchParams({ wait: hold, ...(seen ? { seen } : {}) });
    return this.#request(`invoices/${encodeURIComponent(invoice)}?${query}`, { claim, interrupted, timeout: hold + 15 });
  }

  /** One request to the shop. Its errors are problem documents (RFC 9457) with a `reason`. */
  async #request(path, { body, claim, interrupted, timeout = 30 } = {}) {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(new HlsgateError('unreachable', { detail: 'no answer in time' })), timeout * 1000);
    interrupted?.then(() => controller.abort());
    try {
      const answer = await fetch(this.#shop + path, {
        method: body ? 'POST' : 'GET',
        cache: 'no-store',
        headers: { ...(body ? { 'content-type': 'application/json' } : {}), ...(claim ? { authorization: `Bearer ${claim}` } : {}) },
        body: body && JSON.stringify(body),
        signal: controller.signal,
      });
      this.#clock.learn(answer.headers.get('date'));
      if (answer.ok) return await answer.json();
      const problem = await answer.json().catch(() => ({}));
      throw new HlsgateError(problem?.reason ?? reasonOf(answer.status), {
        status: answer.status, detail: problem?.detail, retryAfter: Number(answer.headers.get('retry-after')) || 0,
      });
    } catch (error) {
      if (error instanceof HlsgateError || error.name === 'AbortError') throw error;
      throw new HlsgateError('unreachable', { detail: error.message });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Where the shop speaks of a video. A server reads `%2F` as `/`: an id from an address must not lead to other answers. */
function pathOf(video) {
  if (!VIDEO_ID.test(video)) throw new HlsgateError('not-found', { status: 404 });
  return `videos/${video}`;
}

/** Why a request failed, where the answer does not say: a proxy in between that is not ours. */
function reasonOf(status) {
  if (status === 404) return 'not-found';
  return status >= 500 || status === 408 || status === 429 ? 'unreachable' : `status-${status}`;
}

/**
 * Runs `action` when no other tab runs one of this name, and answers what it does. The next one's turn comes once it can see
 * what this one stored. Where a browser has no locks, or a tab sleeps on one, it just runs.
 */
function oneAtATime(name, action) {
  return new Promise((resolve, reject) => {
    let begun = false;
    const turn = async () => {
      begun = true;
      try {
        resolve(await action());
        await pause(SPREAD);
      } catch (error) {
        reject(error);
      }
    };
    const request = async () => navigator.locks.request(name, { signal: AbortSignal.timeout(TURN * 1000) }, turn);
    request().catch(() => begun || turn());
  });
}

/** When something ends; what never ends, ends last. */
const lasts = ({ expires_at }) => expires_at ?? Infinity;
