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

import { codeOf, fileOf, findIn, linkOf } from './hlsgate-backup.js';
import { makeInvoice } from './hlsgate-order.js';
import { better, kept, lasts, nextLook, stateOf, stateOfRefusal } from './hlsgate-purchase.js';
import { HlsgateError, Shop, pathOf } from './hlsgate-shop.js';
import { Store, inspect } from './hlsgate-store.js';
import { SKEW_TOLERATED, Wakeups, pause } from './hlsgate-time.js';

export { HlsgateError, inspect };

/** Seconds that the shop may hold an answer while nothing changes. */
const HOLD = 25;
/** Seconds until the first and the last retry of a request that failed. */
const RETRY_FIRST = 1;
const RETRY_LAST = 20;
/** So many answers may follow each other at once, as those of one payment do; after that, seconds between two questions. */
const QUICK = 4;
const BREATH = 2;
/** Seconds for which one tab leaves the making of an invoice to another one. */
const TURN = 10;
/** Seconds until every tab sees what one has stored: browsers tell their tabs of it in their own time, and of a lock sooner. */
const SPREAD = 1;
/** Seconds in which a purchase that nobody waits for is not asked about again, however often the page wakes. */
const FRESH = 10;
/** Refusals of a token that asking again with the purchase's claim can mend: the key it was signed with is gone. */
const STALE_KEY = ['unknown-key', 'bad-signature'];

/** Fires `change` when a purchase is added or removed, in this tab or another one. */
export class Hlsgate extends EventTarget {
  #shop;
  #media;
  #store;
  /** Per video what a cookie remembers, and nothing else: a purchase under way in a browser without storage. */
  #byCookie = new Map();
  /** Purchases that are known to be over though no storage holds them: their cookie may speak of them for a while. */
  #over = new Map();

  /** `shop`: prefix of the shop. `media`: where nginx protects the streams; `{video}` stands for the id. */
  constructor({ shop = '/hlsgate/', media = '/hls/{video}/', playlist = 'master.m3u8', storage } = {}) {
    super();
    this.#shop = new Shop(shop);
    this.#media = media + playlist;
    this.#store = new Store(storage, () => this.dispatchEvent(new Event('change')));
  }

  /** False where the browser keeps nothing for this page: then a purchase lives in cookies, and in the viewer's backup. */
  get remembers() {
    return this.#store.remembers;
  }

  /** The shop's time, which decides; a viewer's clock may be wrong. */
  now() {
    return this.#shop.clock.now();
  }

  /** Learns the shop's time, for a page that judges what is kept before it asks the shop anything else. */
  async setClock() {
    const answer = await fetch(location.pathname, { method: 'HEAD', cache: 'no-store' }).catch(() => null);
    this.#shop.clock.learn(answer?.headers.get('date'));
  }

  /** What the shop says of a video: `{ video, offers, access, pending }`. Looks at cookies only. */
  async offers(video) {
    const state = await this.#shop.request(pathOf(video));
    this.#remember(video, state.pending);
    return state;
  }

  /**
   * Opens a video with what this browser has: cookies first, then kept purchases, which become cookies again, so that
   * a native player works too. Answers what `offers` does, and with `access.granted` a `url` to play. Where the browser
   * refuses cookies (an embed, say) that URL carries the token in its path.
   */
  async open(video) {
    let state = await this.offers(video);
    const owned = this.#keptFor(video);
    const best = owned.at(-1);
    if (!best || (state.access.granted && lasts(state.access) >= lasts(best))) return this.#withUrl(state);

    const good = [];
    for (const purchase of owned) {
      try {
        good.push(await this.keep(purchase.token, { claim: purchase.claim }));
      } catch (error) {
        if (error.passing && !state.access.granted) throw error;
      }
    }
    if (good.length > 0) state = await this.offers(video);
    if (state.access.granted) return this.#withUrl(state);

    for (const { token, tier, expires_at, expired } of good.reverse()) {
      if (expired) continue;
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
   * `offer`: a tier, or an offer as `offers` answers it. `onturn({ before, busy })`: the shop takes one after the other, and so many are
   * before; it may last. `signal`: the viewer does not want it any more.
   */
  buy(video, offer, { title, onturn, signal } = {}) {
    return oneAtATime(`hlsgate:buy:${video}`, () => this.#buy(video, offer, title, { onturn, signal }));
  }

  async #buy(video, offer, title, turn) {
    const { tier, covers, price, currency } = typeof offer === 'string' ? { tier: offer } : offer;
    const same = this.pending(video).filter((it) => it.tier === tier && it.covers === (covers ?? it.covers));
    const open = same.find((it) => it.status === 'new' && it.invoice_expires_at > this.now() + 120 &&
        (!price || (Number(it.amount) === Number(price) && it.currency === currency)))
      // Nobody is asked to pay a second time while money lies in the first invoice.
      ?? same.find((it) => Number(it.paid) > 0 && kept(it).alive);
    if (open) return this.#store.putPending({ ...open, set_aside: false, shown_at: this.now() });

    const invoice = await makeInvoice(this.#shop, video, { tier, ...(covers && covers !== video ? { covers } : {}) }, turn);
    return this.#store.putPending({ ...invoice, video, title, made_at: this.now(), shown_at: this.now() });
  }

  /** Purchases that are not settled, the one shown last first. None is forgotten before it is known to be unpaid and over. */
  pending(video) {
    return this.#store.pending(this.now(), this.#shop.clock.certain).filter((it) => !video || it.video === video);
  }

  /** The purchase a viewer was in the middle of, or null. Without storage it has no QR, only its `invoice` and `status`. */
  async resume(video, state) {
    const shown = this.pending(video).find((it) => !it.set_aside && kept(it).alive);
    if (shown) return shown;
    if (state) this.#remember(video, state.pending);
    else await this.offers(video);
    const remembered = this.#byCookie.get(video);
    return remembered && (remembered.status === 'settled' || kept(remembered).alive) ? remembered : null;
  }

  /**
   * What became of the last purchase for this video, if that is over: `{ reason, at, invoice, tier, covers }`, or null. `ended`: what the
   * shop says of it, which counts where this browser keeps nothing.
   */
  over(video, ended) {
    const bought = this.list().filter((it) => (it.expired || it.refused) && (it.covers === video || it.video === video))
      .map((it) => ({ reason: it.refused ? 'revoked' : 'ended', at: it.expires_at, since: it.expires_at ?? it.bought_at, invoice: it.id, tier: it.tier, covers: it.covers }));
    const unpaid = this.pending(video).filter((it) => kept(it).over && !it.set_aside)
      .map((it) => ({ reason: overAs(kept(it).over, it.paid), at: it.asked_at, since: it.asked_at, invoice: it.invoice, tier: it.tier, covers: it.covers }));
    const told = ended ? [{ ...ended, reason: overAs(ended.why, ended.paid ?? 0), since: ended.at ?? this.now() }] : [];
    const [last] = [...bought, ...told, ...unpaid, ...(this.#over.get(video) ?? []).filter((it) => it.reason)].sort((a, b) => b.since - a.since);
    if (!last) return null;
    const { reason, at, invoice, tier, covers } = last;
    return { reason, at, invoice, tier, covers };
  }

  /** The viewer turned away from this invoice: no longer shown, but a payment on its way still counts. */
  setAside(pending) {
    const known = this.#store.pending(this.now(), false).find((it) => it.invoice === pending.invoice);
    if (known) this.#store.putPending({ ...known, set_aside: true });
  }

  /**
   * Waits for an invoice to be paid; answers the purchase, which may be over by then (`expired`). Goes on through expiry (it may
   * be paid late), lost connections and sleep, and asks anew as soon as the page wakes.
   *
   * - `onstatus(status, pending)`: `new`, `processing` (seen, not confirmed), `expired`, `invalid`; with what is known of it now.
   * - `ontrouble(error | null)`: the shop cannot be asked just now; null when it answers again.
   * - `signal`: stops waiting. The purchase stays kept.
   */
  async wait(pending, { signal, onstatus, ontrouble, hold = HOLD } = {}) {
    const wakeups = new Wakeups(signal);
    let known = pending;
    let seen;
    let failures = 0;
    let quick = 0;
    try {
      for (;;) {
        signal?.throwIfAborted();
        // Another tab may have been quicker.
        const owned = this.list().find((it) => it.id === pending.invoice && !it.expired && !it.refused);
        if (owned) return owned;
        const asked = Date.now();
        try {
          const answer = await this.#ask(known, { seen, hold, interrupted: wakeups.next() });
          if (failures > 0) ontrouble?.(null);
          failures = 0;
          const purchase = this.#learn(known, answer);
          if (purchase) return purchase;
          const before = known;
          known = merged(known, answer);
          if (answer.status !== seen || changed(before, known)) onstatus?.((seen = answer.status), known);
          quick = Date.now() - asked < 1000 ? quick + 1 : 0;
          if (quick > QUICK) await pause(BREATH, wakeups.next());
        } catch (error) {
          if (signal?.aborted) throw signal.reason;
          if (error.name === 'AbortError') continue;
          if (!error.passing) {
            this.#learnRefusal(known, error);
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

  /** What `open` would answer of a purchase that was paid just now, in a browser that keeps cookies: the shop's answer has set them. */
  opened(video, purchase) {
    const { tier, expires_at } = purchase;
    return { access: { granted: true, tier, expires_at }, url: this.streamUrl(video) };
  }

  /** Whether the cookies of the shop come back: true, or null where that does not show. Worth a question while a viewer pays. */
  async keepsCookies(video) {
    const state = await this.offers(video).catch(() => null);
    return state?.pending ? true : null;
  }

  /**
   * Asks about purchases that nobody waits for: those set aside, those that the shop did not know, and what a cookie remembers.
   * Answers those that turn out paid. `due`: only those whose time has come, for a page that looks again and again. `except`: an
   * invoice that is waited for already.
   */
  async claimPaid(video, { due = false, except } = {}) {
    const now = this.now();
    const cookies = [...this.#byCookie.values()].filter((it) => !video || it.video === video);
    const known = [...this.pending(video), ...cookies].filter((it) => it.invoice !== except && (kept(it).asked || it.status === 'settled') &&
      (due ? nextLook(it) <= now : !(it.asked_at + FRESH > now)));
    const paid = [];
    for (const pending of known) {
      try {
        const purchase = this.#learn(pending, await this.#ask(pending, { hold: 0, behind: true }));
        if (purchase && !purchase.expired) paid.push(purchase);
      } catch (error) {
        this.#learnRefusal(pending, error);
        if (error.passing) break; // the others would fare no better
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
      const answer = await this.#shop.request('session', { body: { token } });
      return this.#store.putPurchase({ token: answer.token, claim }, this.now());
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
    return codeOf(purchases);
  }

  /** The same as a link. */
  link(purchases = this.list(), page = 'purchases.html') {
    return linkOf(purchases, page);
  }

  /** The same as a file: JSON, readable by a person. */
  file(purchases = this.list()) {
    return fileOf(purchases);
  }

  /**
   * Restores purchases from whatever holds them: a code, a link, the text of a file, a message around one of these.
   * Answers one `{ id, purchase }` or `{ id, error }` each; throws `nothing-found` if there is none, or `too-large`.
   */
  async restore(text) {
    const results = [];
    for (const [id, { token, claim }] of findIn(text)) {
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
    return this.#shop.clock.at([
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
      .sort((a, b) => better(b, a));
  }

  /** What a cookie says of a purchase under way is worth something only where nothing better is known of that purchase. */
  #remember(video, pending) {
    // What the shop did not know when it was asked stays in doubt until it is asked again.
    const before = this.#byCookie.get(video);
    if (before?.status === 'doubted' && before.invoice === pending?.invoice) return;
    const known = pending && (this.list().some((it) => it.id === pending.invoice) || this.pending().some((it) => it.invoice === pending.invoice) ||
      this.#over.get(video)?.some((it) => it.invoice === pending.invoice));
    // `settled` is a token to be fetched; what is over in another way opens nothing.
    if (pending && !known && (pending.status === 'settled' || kept(pending).alive)) this.#byCookie.set(video, { asked_at: 0, ...pending, video });
    else this.#byCookie.delete(video);
  }

  /** Takes in the shop's answer on a purchase. Answers the purchase once there is a token, else null. */
  #learn(pending, answer) {
    const { invoice, video } = pending;
    const state = stateOf(answer, this.now());
    if (state === 'settled' || state === 'ended') {
      const { claim, title } = pending;
      this.#byCookie.delete(video);
      const { token, tier, overpaid } = answer;
      const purchase = this.#store.putPurchase({ token, claim, title, video: answer.video ?? video, tier, overpaid }, this.now());
      this.#store.dropPending(invoice);
      return purchase;
    }
    this.#note(pending, { ...merged({}, answer), status: state });
    return null;
  }

  #learnRefusal(pending, error) {
    const status = stateOfRefusal(error);
    if (status) this.#note(pending, { status });
  }

  /** Notes what is known of a purchase now. Where nothing is kept of it, at least that it is over. */
  #note(pending, news) {
    const { invoice, video } = pending;
    const known = this.#store.pending(this.now(), false).find((it) => it.invoice === invoice);
    if (known) return void this.#store.putPending({ ...known, ...news, asked_at: this.now() });
    if (this.#byCookie.get(video)?.invoice !== invoice) return;
    const { alive, over } = kept(news);
    if (alive || news.status === 'doubted') return void this.#byCookie.set(video, { ...pending, ...news, asked_at: this.now() });
    this.#byCookie.delete(video);
    this.#over.set(video, [...(this.#over.get(video) ?? []), { reason: overAs(over, news.paid), at: this.now(), since: this.now(), invoice, tier: pending.tier, covers: pending.covers }]);
  }

  async #claim(id, claim) {
    const answer = await this.#ask({ invoice: id, claim }, { hold: 0 });
    if (answer.status !== 'settled') throw new HlsgateError('unpaid', { status: 402 });
    return this.#learn({ invoice: id, claim }, answer);
  }

  #ask({ invoice, claim, facts }, { seen, hold, interrupted, behind }) {
    const query = new URLSearchParams({ wait: hold, ...(seen ? { seen } : {}), ...(seen && facts ? { facts } : {}) });
    return this.#shop.request(`invoices/${encodeURIComponent(invoice)}?${query}`, { claim, interrupted, behind, timeout: hold + 15 });
  }
}

/**
 * A purchase under way with the shop's latest word on it. `amount` and `currency` stay the offer's; the invoice's are in `invoiced`.
 * The token, which ends it, has a place of its own, and `age` changes with every answer though nothing else does.
 */
function merged(pending, { token, expires_at, age, amount, currency, ...answer }) {
  return { ...pending, ...answer, ...(amount === undefined ? {} : { invoiced: { amount, currency } }) };
}

/** Why a purchase is over: one that a person cancelled before anything was paid was not a payment that failed. */
const overAs = (reason, paid) => (reason === 'invalid' && paid !== undefined && Number(paid) === 0 ? 'cancelled' : reason);

const changed = (before, after) => JSON.stringify(before) !== JSON.stringify(after);

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
