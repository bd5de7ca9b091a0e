/**
 * `<hlsgate-paywall video="c05f2318">`: offers, QR code, countdown, *paid*, in place.
 *
 *     <script type="module" src="hlsgate-paywall.js"></script>
 *     <hlsgate-paywall video="c05f2318" video-title="The Long Way Home"></hlsgate-paywall>
 *
 * Attributes: `video` (the id), `video-title` (kept with the purchase), `purchases` (where purchases are restored, by default
 * `purchases.html` beside this script), `invoice` (the number that the payment page sent the viewer back with), `invoice-paid` (if that
 * page called it paid). Events, all of which
 * bubble: `hlsgate-open` with `{ video, url, expires_at, tier, paid }` when the stream at `url` may be played, `paid` being true if it
 * was paid just now; `hlsgate-state` with `{ state }`. The attributes `state` and `forgets` (this browser keeps nothing) are set by the
 * element, for style sheets. `state` is one of `ALL_VIEWS` in `paywall-states.js`. Looks: CSS variables and parts, listed in
 * `docs/pages.md`. Method: `refresh({ ended })`, after a stream was refused.
 */

import { h } from './dom.js';
import { gate } from './gate.js';
import { clock, direction, lang, t } from './i18n.js';
import { PaywallFlow } from './paywall-flow.js';
import { arrived } from './paywall-states.js';
import { style } from './paywall-style.js';
import * as views from './paywall-views.js';

/** Which code the viewer's wallet could read last time. */
const WAY = 'hlsgate:way';
/** Importing this file where there is no page, as servers that render pages do, must not throw. */
const Base = globalThis.HTMLElement ?? class {};

export class HlsgatePaywall extends Base {
  static observedAttributes = ['video', 'video-title', 'invoice', 'invoice-paid', 'unlisted'];

  #flow = new PaywallFlow(gate);
  #live;
  #view;
  #shown = null;
  #way = null;
  #sheet;

  constructor() {
    super();
    this.#live = h('p', { class: 'hidden', role: 'status' });
    this.#view = h('div', { class: 'view' });
    this.#sheet = new CSSStyleSheet();
    this.#sheet.replaceSync(style);
    const root = this.attachShadow({ mode: 'open' });
    root.adoptedStyleSheets = [this.#sheet];
    root.append(h('section', { part: 'card', class: 'card', lang, dir: direction, 'aria-label': t('paywall_label') }, this.#live, this.#view));
    this.#flow.addEventListener('change', () => this.#draw());
    this.#flow.addEventListener('open', () => {
      if (this.opened.paid) this.#say(t('say_paid'));
      this.#tell('hlsgate-open', this.opened);
    });
    this.#flow.addEventListener('busy', () => this.#drawBusy());
    this.#flow.addEventListener('tick', () => this.#drawTime());
  }

  get video() {
    return this.getAttribute('video');
  }

  get videoTitle() {
    return this.getAttribute('video-title') ?? undefined;
  }

  get purchasesPage() {
    return this.getAttribute('purchases') ?? new URL('purchases.html', import.meta.url).href;
  }

  get gate() {
    return gate;
  }

  /** What the last `hlsgate-open` told, for a page that listens later; null while locked. */
  get opened() {
    return this.#flow.opened;
  }

  get state() {
    return this.#flow.state.view;
  }

  /** Everything that the views draw: the reducer's state. */
  get facts() {
    return this.#flow.state;
  }

  get secondsLeft() {
    return this.#flow.secondsLeft;
  }

  /** The number that the payment page sent the viewer back with, unless this browser knows that purchase itself. */
  get elsewhere() {
    const number = this.getAttribute('invoice');
    const known = number && [...gate.list().map((it) => it.id), ...gate.pending().map((it) => it.invoice)].includes(number);
    return known ? null : number;
  }

  /** Which of the ways to pay is shown; remembered, for a viewer's wallet stays the same. */
  get way() {
    try {
      return this.#way ?? localStorage.getItem(WAY);
    } catch {
      return this.#way;
    }
  }

  set way(key) {
    this.#way = key;
    try {
      localStorage.setItem(WAY, key);
    } catch {
      // No storage: it holds until the page is left.
    }
    this.#draw({ anew: true });
  }

  connectedCallback() {
    this.#flow.start();
    this.#flow.show(this.video, this.videoTitle);
    this.#draw();
  }

  disconnectedCallback() {
    this.#flow.stop();
  }

  attributeChangedCallback(name, before, after) {
    if (!this.isConnected || before === after) return;
    if (name === 'video') this.#flow.show(this.video, this.videoTitle);
    else if (name === 'video-title') this.#flow.title = this.videoTitle;
    else this.#draw({ anew: true });
  }

  /** Looks anew at what the viewer may see, and shows it. `ended`: the stream was just refused, so say that access is over. */
  refresh(options) {
    return this.#flow.refresh(options);
  }

  buy(offer) {
    if (!this.#flow.busy) this.#say(t('say_invoice'));
    return this.#flow.buy(offer);
  }

  back() {
    this.#flow.back();
  }

  renew() {
    this.#flow.renew();
  }

  /** Pays with the wallet in the browser, if there is one. What it cannot or must not pay, the QR code still can. */
  async payInBrowser(bolt11, button, note) {
    button.disabled = true;
    note.textContent = t('webln_confirm');
    try {
      await window.webln.enable();
      await window.webln.sendPayment(bolt11);
      note.textContent = t('webln_sent');
    } catch {
      note.textContent = t('webln_cancelled');
      button.disabled = false;
    }
  }

  /** Draws the state. The focus stays inside the card if it was there, on the new heading. Nothing that is unchanged is drawn again. */
  #draw({ anew = false } = {}) {
    const { facts } = this;
    const before = this.#shown;
    const same = before?.view === facts.view && this.#view.childElementCount > 0;
    this.#shown = facts;
    if (same && !anew && onlyNotice(before, facts)) return this.#drawNotice();
    const focused = this.shadowRoot.activeElement;
    const kept = same && focused?.dataset.focus;
    this.setAttribute('state', facts.view);
    this.toggleAttribute('forgets', !gate.remembers);
    this.#view.replaceChildren(...views[facts.view](this).flat(2).filter(Boolean));
    this.#drawNotice();
    if (focused) (kept && this.#view.querySelector(`[data-focus="${kept}"]`) || this.#view.querySelector('h2'))?.focus();
    const heading = this.#view.querySelector('h2')?.textContent;
    if (heading && facts.view !== 'loading' && heading !== this.#live.textContent && !anew) this.#say(facts.trouble ? `${heading}. ${views.troubleText(facts.trouble)}` : heading);
    if (!same) this.#tell('hlsgate-state', { state: facts.view });
  }

  #drawBusy() {
    if (this.#flow.busy) this.#view.setAttribute('aria-busy', 'true');
    else this.#view.removeAttribute('aria-busy');
  }

  #drawTime() {
    const place = this.#view.querySelector('[part~=countdown] time');
    if (place) place.textContent = clock(this.secondsLeft);
  }

  /** Trouble with asking, and facts that grow old: told without moving anything else. */
  #drawNotice() {
    const text = views.noticeText(this.facts);
    const place = this.#view.querySelector('.notice');
    if (place && place.textContent !== text) place.textContent = text;
  }

  /** Says something to those who hear the page. */
  #say(text) {
    this.#live.textContent = text;
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}

/** True if nothing but the notice has changed: what the viewer reads, or is about to press, stays as it is. */
function onlyNotice(before, after) {
  return JSON.stringify(drawn(before)) === JSON.stringify(drawn(after));
}

/** What of a state its view draws. A new invoice lacks what the shop's first answer on it adds: its price as BTCPay has it, of which
 * the views speak once something has arrived. Of what expired, it matters how certain that is. */
function drawn({ notice, invoice, ...rest }) {
  if (!invoice) return rest;
  const { facts, final, stale, invoiced, ...seen } = invoice;
  return { ...rest, invoice: seen, stale: rest.view === 'expired' && Boolean(stale), invoiced: seen.amount && arrived(invoice) === 'none' ? null : invoiced };
}

globalThis.customElements?.define('hlsgate-paywall', HlsgatePaywall);
