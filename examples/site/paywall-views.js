/** What the paywall shows in each of its states: functions from the element to a list of nodes. */

import { copyText, h, icon, qrCode } from './dom.js';
import { clock, moment, offerText, price, t } from './i18n.js';

const heading = (text, name) => h('h2', { tabindex: '-1', part: 'heading' }, name && icon(name), h('span', {}, text));
const text = (...children) => h('p', { part: 'text' }, ...children);
const note = (...children) => h('p', { part: 'note', class: 'note' }, ...children);
const alert = (...children) => h('p', { part: 'alert', class: 'alert', role: 'alert' }, icon('warn'), h('span', {}, ...children));
const button = (attributes, ...children) => h('button', { type: 'button', part: 'button', ...attributes }, ...children);
/** Out of a frame on another site, whose room is small and whose cookies are other ones. */
const target = window === window.parent ? null : '_blank';
const link = (attributes, ...children) => h('a', { part: 'button', class: 'button', ...attributes }, ...children);

export const loading = () => [h('div', { class: 'skeleton', role: 'presentation' }, h('i'), h('i'), h('i')), h('p', { class: 'hidden' }, t('loading'))];

export const offers = (paywall) => [
  heading(t(paywall.ended ? 'ended_heading' : 'offers_heading'), paywall.ended ? 'clock' : 'lock'),
  paywall.trouble ? alert(troubleText(paywall.trouble)) : text(t(paywall.ended ? 'ended_text' : 'offers_text')),
  h('ul', { class: 'offers', role: 'list' }, paywall.offers.map((offer) => h('li', {}, offerButton(paywall, offer)))),
  paywall.gate.remembers ? null : note(icon('warn'), h('span', {}, t('forgets_before'))),
  note(h('a', { part: 'link', target, href: paywall.purchasesPage }, t('restore_link'))),
];

function offerButton(paywall, offer) {
  const { length, scope } = offerText(offer);
  return button({ part: 'offer', class: 'offer', onclick: () => paywall.buy(offer) },
    h('span', { class: 'what' }, h('strong', {}, length), h('small', {}, scope)),
    h('span', { class: 'price', part: 'price' }, price(offer.price, offer.currency)));
}

export const paying = (paywall) => {
  const { invoice } = paywall;
  if (!invoice.checkout_url) {
    // The cookie alone remembers this purchase: it can be waited for, but its QR code is gone.
    return [heading(t('waiting_heading'), 'clock'), text(t('waiting_text')), notice(), backButton(paywall)];
  }
  const { lightning, onchain } = invoice;
  const payable = invoice.unified ?? lightning?.uri ?? onchain?.uri;
  return [
    heading(t('pay_heading', { price: price(invoice.amount, invoice.currency) }), 'bolt'),
    text(`${offerText(offerOf(paywall)).length} · ${offerText(offerOf(paywall)).scope}`),
    payable ? qrCode(compact(payable, lightning?.bolt11, onchain?.address), t('qr_label')) : null,
    h('p', { part: 'countdown', class: 'countdown' }, icon('clock'), t('valid_for'), ' ', h('time', {}, clock(paywall.secondsLeft))),
    h('div', { class: 'actions' }, weblnButton(paywall),
      payable ? link({ href: lightning?.uri ?? payable, class: window.webln ? 'button' : 'button primary' }, icon('bolt'), t('open_wallet')) : null,
      lightning ? copyButton(lightning.bolt11, t('copy_lightning')) : null,
      onchain ? copyButton(onchain.address, t('copy_address')) : null),
    notice(),
    note(h('a', { part: 'link', target, href: invoice.checkout_url, rel: 'noreferrer' }, t('checkout_link')), ' ', t('checkout_note')),
    backButton(paywall),
  ];
};

/** Where trouble with asking the shop is told, without moving anything else. */
const notice = () => h('p', { class: 'notice', part: 'notice', role: 'status' });
const backButton = (paywall) => button({ class: 'quiet', onclick: () => paywall.back() }, t('back_to_offers'));
const offerOf = ({ offers: all, invoice }) => {
  const found = all.find((it) => it.tier === invoice.tier && it.covers === invoice.covers);
  return found ?? { covers: invoice.covers, duration: null };
};

/** Bech32 may be written in capitals, which QR codes hold in far fewer modules (BIP 173, BIP 21). */
function compact(uri, bolt11, address) {
  if (uri === `lightning:${bolt11}`) return uri.toUpperCase();
  const bech32 = [bolt11, /^(bc|tb|bcrt)1/.test(address ?? '') && address].filter(Boolean);
  return bech32.reduce((text, part) => text.replace(part, part.toUpperCase()), uri);
}

function weblnButton(paywall) {
  if (!window.webln || !paywall.invoice.lightning) return null;
  const told = h('span', { class: 'told', role: 'status' });
  return [button({ class: 'primary', onclick: (event) => paywall.payInBrowser(event.currentTarget, told) }, icon('bolt'), t('webln_pay')), told];
}

/** Copies `value`. The feedback is on the button and in its live text; a field stays for browsers without a clipboard. */
export function copyButton(value, label) {
  const words = h('span', {}, label);
  const told = h('span', { class: 'hidden', role: 'status' });
  const field = h('textarea', { class: 'hidden', readonly: true, tabindex: '-1', 'aria-hidden': 'true' });
  field.value = value;
  const copy = async () => {
    const done = await copyText(value, field);
    words.textContent = told.textContent = t(done ? 'copied' : 'copy_failed');
    setTimeout(() => {
      words.textContent = label;
      told.textContent = '';
    }, 2500);
  };
  return h('span', { class: 'copy' }, button({ onclick: copy }, icon('copy'), words), told, field);
}

export const processing = () => [
  heading(t('processing_heading'), 'clock'),
  h('div', { class: 'pulse', role: 'presentation' }),
  text(t('processing_text')),
  notice(),
];

export const expired = (paywall) => [
  heading(t('expired_heading'), 'clock'),
  text(t('expired_text')),
  h('div', { class: 'actions' }, button({ class: 'primary', onclick: () => paywall.renew() }, t('new_invoice'))),
  notice(),
  note(t('expired_note')),
  backButton(paywall),
];

export const invalid = (paywall) => [
  heading(t('invalid_heading'), 'warn'),
  text(t('invalid_text')),
  paywall.invoice?.invoice ? note(t('invoice_number'), ' ', h('code', {}, paywall.invoice.invoice)) : null,
  backButton(paywall),
];

export const open = (paywall) => {
  const { expires_at } = paywall.access;
  const kept = paywall.gate.list().filter((it) => !it.expired && (it.covers === paywall.video || it.video === paywall.video));
  return [
    heading(t(paywall.paid ? 'paid_heading' : 'open_heading'), 'check'),
    text(expires_at ? t('open_until', { time: moment(expires_at) }) : t('open_forever')),
    ...(kept.length > 0 ? [
      note(t(paywall.gate.remembers ? 'save_text' : 'forgets_after')),
      h('div', { class: 'actions' },
        copyButton(paywall.gate.code(kept), t('save_code')),
        button({ onclick: () => saveFile(paywall.gate.file(kept)) }, icon('down'), t('save_file'))),
    ] : []),
    note(h('a', { part: 'link', target, href: paywall.purchasesPage }, t('purchases'))),
  ];
};

/** Hands a file to the browser's downloads. */
export function saveFile(file) {
  const url = URL.createObjectURL(file);
  h('a', { href: url, download: file.name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export const closed = (paywall) => [
  heading(t(paywall.ended ? 'ended_heading' : 'closed_heading'), 'lock'),
  text(t('closed_text')),
  note(h('a', { part: 'link', target, href: paywall.purchasesPage }, t('restore_link'))),
];

export const trouble = (paywall) => [
  heading(t('trouble_heading'), 'warn'),
  text(troubleText(paywall.trouble)),
  h('div', { class: 'actions' }, button({ class: 'primary', onclick: () => paywall.refresh({ ended: paywall.ended }) }, t('try_again'))),
];

/** A failure in words: what happened, and what to do. */
export function troubleText({ reason }) {
  const key = `trouble_${reason}`;
  const words = t(key);
  return words === key ? t('trouble_other', { reason }) : words;
}
