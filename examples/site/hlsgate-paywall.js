/**
 * `<hlsgate-paywall video="c05f2318">`: offers, QR code, countdown, *paid*, in place.
 *
 *     <script type="module" src="hlsgate-paywall.js"></script>
 *     <hlsgate-paywall video="c05f2318" video-title="The Long Way Home"></hlsgate-paywall>
 *
 * Attributes: `video` (the id), `video-title` (kept with the purchase), `purchases` (where purchases are restored, by
 * default `purchases.html`). Events, all of which bubble: `hlsgate-open` with `{ video, url, expires_at, tier, paid }` when the
 * stream at `url` may be played, `paid` being true if it was paid just now; `hlsgate-state` with `{ state }`.
 * The attributes `state` and `forgets` (this browser keeps nothing) are set by the element, for style sheets.
 * `state`: `loading`, `offers`, `paying`, `processing`, `expired`, `invalid`, `open`, `closed`, `trouble`.
 * Looks: CSS variables and parts, listed in `docs/pages.md`. Method: `refresh({ ended })`, after a stream was refused.
 */

import { h } from './dom.js';
import { gate } from './gate.js';
import { onWake } from './hlsgate-time.js';
import { clock, t } from './i18n.js';
import { style } from './paywall-style.js';
import * as views from './paywall-views.js';

/** Seconds between looks at invoices that the viewer has left behind: someone may still be paying them. */
const LOOK_BACK = 20;

class HlsgatePaywall extends HTMLElement {
  static observedAttributes = ['video'];

  state = 'loading';
  /** What the last `hlsgate-open` told, for a page that listens later; null while locked. */
  opened = null;
  /** What the views show. */
  offers = [];
  access = null;
  /** The access was paid for just now, in this page. */
  paid = false;
  invoice = null;
  ended = false;
  trouble = null;

  #live = h('p', { class: 'hidden', role: 'status' });
  #view = h('div', { class: 'view' });
  #waiting = null;
  #timers = [];
  /** Counts looks at the video: what an earlier one finds out late is no news. */
  #look = 0;
  #buying = false;
  /** The element itself asks about purchases, and shows what it finds. */
  #asking = 0;
  /** Purchases that were kept when this was last looked at. */
  #known = new Set();

  constructor() {
    super();
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(style);
    const root = this.attachShadow({ mode: 'open' });
    root.adoptedStyleSheets = [sheet];
    root.append(h('section', { part: 'card', class: 'card', 'aria-label': t('paywall_label') }, this.#live, this.#view));
  }

  get video() {
    return this.getAttribute('video');
  }

  get videoTitle() {
    return this.getAttribute('video-title') ?? undefined;
  }

  get purchasesPage() {
    return this.getAttribute('purchases') ?? 'purchases.html';
  }

  get gate() {
    return gate;
  }

  connectedCallback() {
    this.#timers = [
      every(1, () => this.#tick()),
      every(LOOK_BACK, () => this.#lookBack()),
      onWake(() => (this.state === 'trouble' ? this.refresh() : this.#lookBack())),
    ];
    this.#known = new Set(gate.list().map((it) => it.id));
    gate.addEventListener('change', this.#kept);
    this.#begin();
  }

  disconnectedCallback() {
    for (const stop of this.#timers) stop();
    gate.removeEventListener('change', this.#kept);
    this.#stopWaiting();
  }

  attributeChangedCallback(name, before, after) {
    if (this.isConnected && before !== after) this.#begin();
  }

  /** Another video, or the first one. */
  #begin() {
    this.#stopWaiting();
    this.#look += 1;
    Object.assign(this, { opened: null, access: null, paid: false, invoice: null, ended: false, trouble: null });
    this.#show('loading');
    if (this.video) this.refresh();
  }

  /** Looks anew at what the viewer may see, and shows it. `ended`: the stream was just refused, so say that access is over. */
  async refresh({ ended = false, paid = false } = {}) {
    this.#stopWaiting();
    const { video } = this;
    const look = (this.#look += 1);
    try {
      let state = await gate.open(video);
      if (!state.access.granted && gate.pending(video).length > 0 && (await this.#claimPaid(video)).length > 0) {
        paid = true;
        state = await gate.open(video);
      }
      if (look !== this.#look) return;
      this.offers = state.offers;
      this.access = state.access;
      this.trouble = null;
      if (state.access.granted) {
        this.paid ||= paid;
        this.invoice = null;
        this.#show('open');
        if (paid) this.#say(t('say_paid'));
        this.opened = { video, url: state.url, expires_at: state.access.expires_at, tier: state.access.tier, paid };
        this.#tell('hlsgate-open', this.opened);
        return;
      }
      this.opened = null;
      this.paid = false;
      this.ended = ended || state.access.reason === 'expired';
      const invoice = ended ? null : await gate.resume(video, state);
      if (look !== this.#look) return;
      const stale = invoice && !invoice.claim && !['new', 'processing', 'settled'].includes(invoice.status);
      if (invoice && !stale) this.#pay(invoice);
      else this.#show(state.offers.length > 0 ? 'offers' : 'closed');
    } catch (error) {
      if (look !== this.#look) return;
      this.trouble = error;
      this.#show('trouble');
      if (error.passing) this.#timers.push(once(Math.max(error.retryAfter, 10), () => this.state === 'trouble' && this.refresh({ ended })));
    }
  }

  /** The viewer chose an offer. */
  async buy(offer) {
    if (this.#buying) return;
    this.#buying = true;
    this.trouble = null;
    this.#view.setAttribute('aria-busy', 'true');
    this.#say(t('say_invoice'));
    const { video } = this;
    try {
      const invoice = await gate.buy(video, offer, { title: this.videoTitle });
      if (video === this.video && this.state !== 'open') this.#pay(invoice);
    } catch (error) {
      this.trouble = error;
      this.#show('offers');
      this.#say(views.troubleText(error));
    } finally {
      this.#buying = false;
      this.#view.removeAttribute('aria-busy');
    }
  }

  /** The viewer wants other offers than the one he was paying. */
  back() {
    this.#stopWaiting();
    if (this.invoice?.claim) gate.setAside(this.invoice);
    this.invoice = null;
    this.#show(this.offers.length > 0 ? 'offers' : 'closed');
  }

  /** A new invoice for what the expired one was for. */
  renew() {
    const { tier, covers } = this.invoice;
    if (!tier) return this.back(); // only a cookie remembers this purchase
    gate.setAside(this.invoice);
    this.buy(this.offers.find((it) => it.tier === tier && it.covers === covers) ?? { tier, covers });
  }

  /** Pays with the wallet in the browser, if there is one. What it cannot or must not pay, the QR code still can. */
  async payInBrowser(button, note) {
    button.disabled = true;
    note.textContent = t('webln_confirm');
    try {
      await window.webln.enable();
      await window.webln.sendPayment(this.invoice.lightning.bolt11);
      note.textContent = t('webln_sent');
    } catch {
      note.textContent = t('webln_cancelled');
      button.disabled = false;
    }
  }

  /** Seconds for which the shown invoice can be paid. */
  get secondsLeft() {
    return Math.max(0, (this.invoice?.invoice_expires_at ?? 0) - gate.now());
  }

  /** Shows an invoice and waits for it, through expiry and sleep. */
  async #pay(invoice) {
    this.#stopWaiting();
    this.invoice = invoice;
    this.#show(this.#stateOf(invoice.status));
    const waiting = new AbortController();
    this.#waiting = waiting;
    try {
      await gate.wait(invoice, {
        signal: waiting.signal,
        onstatus: (status) => {
          this.invoice = { ...this.invoice, status };
          if (this.#stateOf(status) !== this.state) this.#show(this.#stateOf(status));
        },
        ontrouble: (error) => {
          this.trouble = error;
          this.#notice(error && t('trouble_waiting'));
        },
      });
      if (waiting.signal.aborted) return;
      this.invoice = null;
      await this.refresh({ paid: true });
    } catch (error) {
      if (waiting.signal.aborted) return;
      this.trouble = error;
      this.#show(this.offers.length > 0 ? 'offers' : 'closed');
    }
  }

  #stateOf(status) {
    if (status === 'processing' || status === 'invalid') return status;
    if (status === 'expired' || (this.invoice.invoice_expires_at && this.secondsLeft === 0)) return 'expired';
    return 'paying';
  }

  #stopWaiting() {
    this.#waiting?.abort();
    this.#waiting = null;
  }

  /** Draws a state. The focus stays inside the card if it was there, on the new heading. */
  #show(state) {
    const focused = this.shadowRoot.activeElement !== null;
    const changed = state !== this.state || this.#view.childElementCount === 0;
    this.state = state;
    this.setAttribute('state', state);
    this.toggleAttribute('forgets', !gate.remembers);
    this.#view.replaceChildren(...views[state](this).filter(Boolean));
    if (focused) this.#view.querySelector('h2')?.focus();
    if (!changed) return;
    const heading = this.#view.querySelector('h2')?.textContent;
    if (heading && state !== 'loading') this.#say(heading);
    this.#tell('hlsgate-state', { state });
    this.#tick();
  }

  /** Says something to those who hear the page. */
  #say(text) {
    this.#live.textContent = text;
  }

  #notice(text) {
    const place = this.#view.querySelector('.notice');
    if (place) place.replaceChildren(...(text ? [text] : []));
  }

  #tick() {
    if (this.state !== 'paying' || !this.invoice?.invoice_expires_at) return;
    const place = this.#view.querySelector('[part~=countdown] time');
    if (place) place.textContent = clock(this.secondsLeft);
    if (this.secondsLeft === 0) this.#show('expired');
  }

  async #lookBack() {
    if (this.state === 'open' || this.state === 'loading' || document.visibilityState === 'hidden') return;
    const left = gate.pending(this.video).some((it) => it.invoice !== this.invoice?.invoice);
    if (left && (await this.#claimPaid(this.video)).length > 0) this.refresh({ paid: true });
  }

  async #claimPaid(video) {
    this.#asking += 1;
    try {
      return await gate.claimPaid(video);
    } finally {
      this.#asking -= 1;
    }
  }

  /** A purchase arrived in this browser by another way: another tab, or a restored backup. */
  #kept = () => {
    const fresh = gate.list().filter((it) => !this.#known.has(it.id));
    for (const it of fresh) this.#known.add(it.id);
    if (this.#asking > 0 || this.state === 'open' || !this.video) return;
    // Only the shop knows what a pass opens. The invoice that is waited for tells of itself.
    const mayOpen = (it) => it.covers === this.video || it.covers === '*' || it.covers.startsWith('pass:');
    if (fresh.some((it) => !it.expired && mayOpen(it) && it.id !== this.invoice?.invoice)) this.refresh();
  };

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}

function every(seconds, action) {
  const timer = setInterval(action, seconds * 1000);
  return () => clearInterval(timer);
}

function once(seconds, action) {
  const timer = setTimeout(action, seconds * 1000);
  return () => clearTimeout(timer);
}

customElements.define('hlsgate-paywall', HlsgatePaywall);
