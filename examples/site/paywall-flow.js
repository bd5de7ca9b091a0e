/**
 * What the paywall does, without anything that is drawn: asks, buys, waits, looks back at what was left behind. Its `state` is the
 * reducer's (`paywall-states.js`). Events: `change` after every new state, `open` when the stream may be played.
 */

import { onWake, pause } from './hlsgate-time.js';
import { START, reduce } from './paywall-states.js';
import { lasts } from './hlsgate-purchase.js';

/** Seconds between looks at purchases that nobody waits for: someone may still be paying them. */
const LOOK_BACK = 20;
/** Seconds at least until a question that failed is asked again. */
const AGAIN = 10;

export class PaywallFlow extends EventTarget {
  state = START;
  /** What the last `open` told; null while locked. */
  opened = null;
  busy = false;

  #gate;
  #video = null;
  #title;
  #waiting = null;
  #buying = null;
  #timers = [];
  /** Counts looks at the video: what an earlier one finds out late is no news. */
  #look = 0;
  /** A look at what was left behind is under way. */
  #lookingBack = false;
  /** The flow itself asks about purchases, and shows what it finds. */
  #asking = 0;
  /** Purchases that were kept when this was last looked at. */
  #known = new Set();
  /** Whether this browser keeps the shop's cookies, if that is known. */
  #cookies = null;

  constructor(gate) {
    super();
    this.#gate = gate;
  }

  start() {
    this.#timers = [
      every(1, () => this.#tick()),
      every(LOOK_BACK, () => this.#lookBack({ due: true })),
      onWake(() => (this.state.view === 'trouble' ? this.refresh() : this.#lookBack())),
    ];
    this.#known = new Set(this.#gate.list().map((it) => it.id));
    this.#gate.addEventListener('change', this.#kept);
  }

  stop() {
    for (const stop of this.#timers) stop();
    this.#timers = [];
    this.#gate.removeEventListener('change', this.#kept);
    this.#stopWaiting();
    this.#look += 1;
  }

  /** Another video, or the first one. */
  show(video, title) {
    this.#stopWaiting();
    this.#look += 1;
    this.#stopBuying();
    this.#video = video;
    this.#title = title;
    this.opened = null;
    this.#go({ type: 'begun' });
    if (video) this.refresh();
  }

  set title(title) {
    this.#title = title;
  }

  /** Looks anew at what the viewer may see. `ended`: the stream was just refused, so say that access is over. `again`: what is open was told. */
  async refresh({ ended = false, paid = false, again = false } = {}) {
    this.#stopWaiting();
    const video = this.#video;
    const look = (this.#look += 1);
    try {
      const found = await this.#gate.open(video);
      if (look !== this.#look) return;
      if (found.pending) this.#cookies = true;
      const invoice = found.access.granted || ended ? null : await this.#gate.resume(video, found);
      if (look !== this.#look) return;
      this.#go({ type: 'looked', ...found, ended, paid, over: this.#gate.over(video, found.ended), invoice, timeUp: invoice && this.#timeUp(invoice) });
      if (this.state.view === 'open') this.#tellOpen(paid, { again });
      else if (invoice) this.#wait(invoice);
      this.#lookBack();
    } catch (error) {
      if (look !== this.#look) return;
      // What was paid plays already.
      if (again) return;
      this.#go({ type: 'failed', error });
      if (!error.passing) return;
      await pause(Math.max(error.retryAfter ?? 0, AGAIN));
      if (look === this.#look && this.state.view === 'trouble') this.refresh({ ended });
    }
  }

  /** The viewer chose an offer. */
  async buy(offer) {
    if (this.#buying) return;
    const video = this.#video;
    const buying = new AbortController();
    this.#buying = buying;
    this.#setBusy(true);
    const onturn = (turn) => {
      if (buying.signal.aborted || video !== this.#video) return;
      this.#setBusy(false);
      this.#go({ type: 'queued', turn });
    };
    try {
      const invoice = await this.#gate.buy(video, offer, { title: this.#title, onturn, signal: buying.signal });
      if (buying.signal.aborted) return;
      if (video === this.#video && this.state.view !== 'open') this.#choose(invoice);
    } catch (error) {
      if (video === this.#video && !buying.signal.aborted) this.#go({ type: 'refused', error });
    } finally {
      if (this.#buying === buying) {
        this.#buying = null;
        this.#setBusy(false);
      }
    }
  }

  /** The viewer wants other offers than the one they were paying. */
  back() {
    this.#stopWaiting();
    this.#stopBuying();
    if (this.state.invoice) this.#gate.setAside(this.state.invoice);
    this.#go({ type: 'left' });
  }

  /** A new invoice for what the expired one was for. */
  renew() {
    const { invoice, offers } = this.state;
    const { tier, covers } = invoice;
    if (!tier) return this.back(); // only a cookie remembers this purchase
    this.#gate.setAside(invoice);
    this.buy(offers.find((it) => it.tier === tier && it.covers === covers) ?? { tier, covers });
  }

  /** Seconds for which the shown invoice can be paid. */
  get secondsLeft() {
    return Math.max(0, (this.state.invoice?.invoice_expires_at ?? 0) - this.#gate.now());
  }

  #choose(invoice) {
    this.#go({ type: 'chosen', invoice, timeUp: this.#timeUp(invoice) });
    this.#wait(invoice);
  }

  /** Waits for the shown invoice, through expiry and sleep. */
  async #wait(invoice) {
    this.#stopWaiting();
    const waiting = new AbortController();
    this.#waiting = waiting;
    const video = this.#video;
    // While the viewer pays there is time to find out what would have to be asked afterwards.
    if (this.#cookies === null) this.#gate.keepsCookies(video).then((keeps) => { this.#cookies ??= keeps; });
    try {
      const purchase = await this.#gate.wait(invoice, {
        signal: waiting.signal,
        onstatus: (status, news) => this.#go({ type: 'told', invoice: { ...news, status }, timeUp: this.#timeUp(news) }),
        ontrouble: (error) => this.#go({ type: 'silent', error }),
      });
      if (waiting.signal.aborted) return;
      this.#known.add(purchase.id);
      if (purchase.expired) this.#go({ type: 'over', over: this.#gate.over(video) });
      else await this.#paid(video, purchase);
    } catch (error) {
      if (waiting.signal.aborted) return;
      this.#go({ type: 'over', over: this.#gate.over(video), error });
    }
  }

  /** The shown invoice is paid: the film begins at once where this browser keeps cookies, and what else there is to know follows. */
  async #paid(video, purchase) {
    const again = Boolean(this.#cookies) && video === this.#video;
    if (again) {
      const { offers, methods } = this.state;
      this.#go({ type: 'looked', offers, methods, ...this.#gate.opened(video, purchase), paid: true });
      this.#tellOpen(true);
    }
    await this.refresh({ paid: true, again });
  }

  #stopBuying() {
    this.#buying?.abort();
    this.#buying = null;
    this.#setBusy(false);
  }

  #stopWaiting() {
    this.#waiting?.abort();
    this.#waiting = null;
  }

  #timeUp(invoice) {
    return Boolean(invoice?.invoice_expires_at) && invoice.invoice_expires_at <= this.#gate.now();
  }

  #tick() {
    const { view, invoice } = this.state;
    if (!['paying', 'partial'].includes(view) || !invoice?.invoice_expires_at) return;
    this.dispatchEvent(new Event('tick'));
    if (this.#timeUp(invoice)) this.#go({ type: 'timeUp' });
  }

  /** Asks about what was left behind, whatever is open: the better purchase wins. */
  async #lookBack({ due = false } = {}) {
    if (this.#lookingBack || !this.#video || this.state.view === 'loading' || globalThis.document?.visibilityState === 'hidden') return;
    const video = this.#video;
    this.#lookingBack = true;
    this.#asking += 1;
    try {
      const paid = await this.#gate.claimPaid(video, { due, except: this.#waiting ? this.state.invoice?.invoice : undefined });
      for (const it of paid) this.#known.add(it.id);
      if (video !== this.#video || paid.length === 0) return;
      const { view, access } = this.state;
      if (view !== 'open' || paid.some((it) => lasts(it) > lasts(access))) this.refresh({ paid: view !== 'open' });
    } finally {
      this.#lookingBack = false;
      this.#asking -= 1;
    }
  }

  /** A purchase arrived in this browser by another way: another tab, or a restored backup. */
  #kept = () => {
    const fresh = this.#gate.list().filter((it) => !this.#known.has(it.id));
    for (const it of fresh) this.#known.add(it.id);
    if (this.#asking > 0 || !this.#video) return;
    // Only the shop knows what a pass opens. The invoice that is waited for tells of itself.
    const mayOpen = (it) => it.covers === this.#video || it.covers === '*' || it.covers.startsWith('pass:');
    const { view, access, invoice } = this.state;
    const useful = (it) => !it.expired && mayOpen(it) && it.id !== invoice?.invoice && (view !== 'open' || lasts(it) > lasts(access));
    if (fresh.some(useful)) this.refresh();
  };

  #tellOpen(paid, { again = false } = {}) {
    const { access, url } = this.state;
    if (again && this.opened?.url === url && this.opened.expires_at === access.expires_at) return;
    this.opened = { video: this.#video, url, expires_at: access.expires_at, tier: access.tier, paid };
    this.dispatchEvent(new Event('open'));
  }

  #setBusy(busy) {
    this.busy = busy;
    this.dispatchEvent(new Event('busy'));
  }

  #go(event) {
    const before = this.state;
    this.state = reduce(before, event);
    if (this.state.view !== 'open') this.opened = null;
    if (this.state !== before) this.dispatchEvent(new Event('change'));
  }
}

function every(seconds, action) {
  const timer = setInterval(action, seconds * 1000);
  return () => clearInterval(timer);
}
