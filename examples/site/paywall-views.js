/** What the paywall shows in each of its states: functions from the element to a list of nodes. */

import { copyText, h, icon, loadQr, qrCode } from './dom.js';
import { bitcoin, clock, ending, listed, moment, offerText, price, sats, t } from './i18n.js';
import { kept } from './hlsgate-purchase.js';
import { arrived } from './paywall-states.js';
import { contactLine } from './seller.js';
import { bitcoinOf, chosen, qrText, satsOf, shortened, waysOf } from './paywall-ways.js';

const heading = (text, name) => h('h2', { tabindex: '-1', part: 'heading' }, name && icon(name), h('span', {}, text));
const text = (...children) => h('p', { part: 'text' }, ...children);
const note = (...children) => h('p', { part: 'note', class: 'note' }, ...children);
/** To whom to write. */
const contact = () => contactLine({ part: 'note', class: 'note contact' });
const alert = (...children) => h('p', { part: 'alert', class: 'alert', role: 'alert' }, icon('warn'), h('span', {}, ...children));
const button = (attributes, ...children) => h('button', { type: 'button', part: 'button', ...attributes }, ...children);
/** Out of a frame on another site, whose room is small and whose cookies are other ones. */
const target = window === window.parent ? null : '_blank';
const link = (attributes, ...children) => h('a', { part: 'button', class: 'button', ...attributes }, ...children);

export const loading = () => [h('div', { class: 'skeleton', role: 'presentation' }, h('i'), h('i'), h('i')), h('p', { class: 'hidden' }, t('loading'))];

export const offers = (paywall) => {
  const { facts } = paywall;
  const { ended, over, trouble: error } = facts;
  // While the viewer chooses: nothing waits for it.
  setTimeout(loadQr, 500);
  return [
    heading(t(ended ? 'ended_heading' : 'offers_heading'), ended ? 'clock' : 'lock'),
    error ? alert(troubleText(error)) : null,
    returned(paywall),
    moneyLeft(paywall),
    over?.reason ? text(overText(over)) : null,
    ['revoked', 'invalid', 'cancelled'].includes(over?.reason) || error ? contact() : null,
    error ? null : text(ended ? t('ended_text') : t('offers_text', { methods: listed(facts.methods ?? ['Bitcoin', 'Lightning']) })),
    h('ul', { class: 'offers', role: 'list' }, facts.offers.map((offer) => h('li', {}, offerButton(paywall, offer)))),
    paywall.gate.remembers ? null : note(icon('warn'), h('span', {}, t('forgets_before'))),
    restoreHere(paywall),
  ];
};

function offerButton(paywall, offer) {
  const { length, scope } = offerText(offer);
  const now = paywall.gate.now();
  // Below an hour the length says it better.
  const until = offer.duration >= 3600 ? ` · ${t('until', { time: ending(now + offer.duration, now) })}` : '';
  return button({ part: 'offer', class: 'offer', onclick: () => paywall.buy(offer) },
    h('span', { class: 'what' }, h('strong', {}, length), h('small', {}, scope, until)),
    h('span', { class: 'price', part: 'price' }, price(offer.price, offer.currency)));
}

/** A code or a link brings a purchase here, in a frame of another site too, where the site's own list of purchases cannot be read. */
function restoreHere(paywall) {
  const field = h('input', { type: 'text', id: 'code', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', dir: 'ltr', 'data-focus': 'code' });
  const told = h('p', { class: 'notice', part: 'notice', role: 'status' });
  const restore = async (event) => {
    event.preventDefault();
    told.textContent = t('restoring');
    const results = await paywall.gate.restore(field.value).catch((error) => [{ error }]);
    const bad = results.find((it) => it.error);
    if (!bad) field.value = '';
    told.textContent = bad ? t('restored_not', { why: troubleText(bad.error) }) : t('restored', { count: results.length });
  };
  return h('details', { class: 'fold', part: 'restore' }, h('summary', { 'data-focus': 'restore' }, t('restore_link')),
    h('form', { class: 'restore', onsubmit: restore }, h('label', { for: 'code' }, t('restore_field')), field, button({ type: 'submit' }, t('restore_button')), told),
    note(h('a', { part: 'link', target, href: paywall.purchasesPage }, t('purchases'))));
}

/** The shop takes one buyer after the other: how many are before, and that nothing has to be pressed. */
export const queued = (paywall) => {
  const { before, busy } = paywall.facts.turn;
  const words = busy ? t('queued_busy') : before > 0 ? t('queued_before', { count: before }) : t('queued_making');
  return [heading(t('queued_heading'), 'clock'), h('div', { class: 'pulse', role: 'presentation' }), h('p', { part: 'text', role: 'status' }, words), note(t('queued_note')), backButton(paywall)];
};

/** One line: what ended, and when. */
const overText = ({ reason, at, invoice }) => t(`over_${reason}`, { time: at ? moment(at) : '', number: invoice ?? '' });

/** Back from the payment page in another browser than the one that chose the offer: nobody is asked to pay again. */
function returned(paywall) {
  const { elsewhere: number } = paywall;
  if (!number) return null;
  const paid = paywall.hasAttribute('invoice-paid');
  return h('div', { class: 'alert calm', part: 'alert' }, icon(paid ? 'check' : 'clock'), h('div', {},
    h('p', {}, t(paid ? 'elsewhere_paid' : 'elsewhere_text', { number })), h('p', {}, t('elsewhere_how'))));
}

/** An invoice of this video that holds money of the viewer, can still open it, and is not shown. */
function moneyLeft(paywall) {
  const left = paywall.gate.pending(paywall.video).find((it) => Number(it.paid) > 0 && kept(it).alive);
  if (!left) return null;
  const words = arrived(left) === 'all' ? `${t('processing_heading')} (${left.invoice}). ${t('processing_text')}` : t('over_money', { number: left.invoice, paid: paidOf(left) });
  return h('div', { class: 'alert calm', part: 'alert' }, icon('warn'), h('div', {}, h('p', {}, words),
    button({ class: 'primary', onclick: () => paywall.buy({ tier: left.tier, covers: left.covers }) }, t('over_money_go'))));
}

// --- paying ------------------------------------------------------------------------------------------------------------------

/** An amount of an invoice, which wallets count in satoshis. */
function money(amount, currency) {
  const count = currency === 'BTC' || currency === undefined ? satsOf(amount) : null;
  return count === null ? price(amount, currency) : sats(count);
}
const paidOf = ({ paid, invoiced }) => money(paid, invoiced?.currency);
const priceOf = ({ amount, currency, invoiced }) => (amount ? price(amount, currency) : invoiced ? money(invoiced.amount, invoiced.currency) : '');
const dueOf = (way) => (way.sats !== null ? sats(way.sats) : way.due ? price(way.due, way.currency) : '');

/** What is bought, and for how much: it never leaves while somebody pays. */
function summary({ facts }) {
  const { invoice, offers: all } = facts;
  if (!invoice.tier) return null;
  const offer = all.find((it) => it.tier === invoice.tier && it.covers === invoice.covers) ?? { covers: invoice.covers, duration: null };
  const { length, scope } = offerText(offer);
  return h('p', { class: 'summary', part: 'summary' }, h('span', { class: 'what' }, h('strong', {}, length), h('small', {}, scope)), h('span', { class: 'price' }, priceOf(invoice)));
}

/** Made → seen → unlocked. */
function rail(step) {
  return h('ol', { class: 'rail', part: 'rail', role: 'list' }, ['made', 'seen', 'open'].map((name, index) =>
    h('li', { class: index < step ? 'done' : index === step ? 'now' : '', ...(index === step ? { 'aria-current': 'step' } : {}) }, t(`rail_${name}`))));
}

/** The number is what a viewer has to name in every question; its page at BTCPay says the rest. */
function number({ facts }) {
  const { invoice, checkout_url: page } = facts.invoice;
  if (!invoice) return null;
  return note(t('invoice_number'), ' ', h('code', {}, invoice), page ? [' · ', h('a', { part: 'link', target, href: page, rel: 'noreferrer', 'data-focus': 'checkout' }, t('checkout_link'))] : '');
}

export const paying = (paywall) => payable(paywall, ({ invoice }, ways) => {
  const way = chosen(ways, paywall.way);
  const apart = way?.parts && way.parts.every((it) => it.sats !== null) && way.parts[0].sats !== way.parts[1].sats;
  const due = apart ? t('pay_both', { first: dueOf(way.parts[0]), second: dueOf(way.parts[1]) }) : null;
  // What is to be paid is what the chosen way asks for; in money that is no bitcoin it is the price, and the exact amount stands below.
  const amount = invoice.currency === 'SATS' || invoice.currency === 'BTC' || !invoice.currency ? way && !apart && dueOf(way) : null;
  return [
    heading(t('pay_heading', { price: amount || priceOf(invoice) }), 'bolt'),
    due ? text(due) : null,
    invoice.replaced ? alert(t('replaced_text')) : null,
  ];
});

export const partial = (paywall) => payable(paywall, ({ invoice }) => [
  heading(t('partial_heading', { paid: paidOf(invoice), price: invoice.invoiced ? money(invoice.invoiced.amount, invoice.invoiced.currency) : priceOf(invoice) }), 'clock'),
  invoice.payable === false ? null : text(t('partial_text')),
]);

/** Everything with which an invoice can be paid now. */
function payable(paywall, head) {
  const { facts, gate } = paywall;
  const { invoice } = facts;
  if (!invoice.checkout_url) {
    // The cookie alone remembers this purchase: it can be waited for, but its QR code is gone.
    return [heading(t('waiting_heading'), 'clock'), text(t('waiting_text')), notice(), number(paywall), backButton(paywall)];
  }
  const ways = invoice.payable === false ? [] : waysOf(invoice);
  const way = chosen(ways, paywall.way);
  // After a part was paid, the Lightning invoice over the rest is there a moment later.
  const renewed = arrived(invoice) !== 'none' && (invoice.payable === false || (way?.kind === 'lightning' && !way.uri));
  const hasWallet = window.webln && ways.some((it) => it.kind === 'lightning' && it.destination);
  return [
    head(facts, ways),
    summary(paywall),
    rail(arrived(invoice) === 'none' ? 0 : 1),
    ways.length > 1 ? wayChoice(paywall, ways, way) : null,
    renewed ? text(t('partial_wait')) : null,
    way?.uri ? payment(paywall, way, hasWallet) : null,
    !way?.uri && !renewed && invoice.payable !== false ? [text(t('no_way_text')), link({ class: 'button primary', href: invoice.checkout_url, target, rel: 'noreferrer' }, t('other_ways'))] : null,
    invoice.invoice_expires_at && invoice.payable !== false
      ? h('p', { part: 'countdown', class: 'countdown' }, icon('clock'), t('valid_for'), ' ', h('time', {}, clock(invoice.invoice_expires_at - gate.now()))) : null,
    notice(),
    number(paywall),
    backButton(paywall),
  ];
}

/** One way to pay: what this device's wallet can do first where fingers are, the code for another device's camera first elsewhere. */
function payment(paywall, way, hasWallet) {
  const code = qrCode(qrText(way), t('qr_label'));
  const lightning = (way.parts ?? [way]).find((it) => it.kind === 'lightning');
  const wallet = [
    hasWallet && lightning ? weblnButton(paywall, lightning.destination) : null,
    link({ href: (lightning ?? way).uri, class: hasWallet ? 'button' : 'button primary', 'data-focus': 'wallet' }, icon('bolt'), t('open_wallet')),
  ];
  const actions = h('div', { class: 'actions' }, wallet, (way.parts ?? [way]).map(copyDestination));
  const hint = ['both', 'lightning', 'bitcoin'].includes(way.kind) ? note(t(`way_hint_${way.kind}`)) : null;
  const touch = window.matchMedia('(pointer: coarse)').matches;
  const amounts = exact(way);
  const texts = (way.parts ?? [way]).map(({ destination }) => destination && h('p', { class: 'destination', part: 'note', dir: 'ltr' }, h('code', {}, shortened(destination))));
  if (touch) return [amounts, actions, texts, h('details', { class: 'fold' }, h('summary', {}, t('show_code')), code), hint];
  return [code, amounts, actions, texts, hint];
}

/** The exact amount, in the two ways in which wallets take it. */
function exact(way) {
  if (way.parts && way.parts[0].sats !== way.parts[1].sats) return null;
  if (way.sats === null) return way.due ? h('p', { class: 'exact' }, copyValue(way.due, price(way.due, way.currency))) : null;
  return h('p', { class: 'exact' }, copyValue(String(way.sats), sats(way.sats)), copyValue(bitcoinOf(way.sats), bitcoin(bitcoinOf(way.sats))));
}

const copyValue = (value, shown) => copyButton(value, shown, { label: t('copy_amount', { amount: shown }), small: true });

function copyDestination({ kind, destination, uri, name }) {
  if (kind === 'lightning' && destination) return copyButton(destination, t('copy_lightning'));
  if (kind === 'bitcoin' && destination) return copyButton(destination, t('copy_address'));
  return uri ? copyButton(destination ?? uri, `${t('copy_link_pay')}: ${name}`) : null;
}

/** Some wallets read only one of two ways in a code, some refuse the mixture: a choice, remembered. */
function wayChoice(paywall, ways, current) {
  const label = (way) => (way.kind === 'both' ? t('way_both') : way.kind === 'bitcoin' ? t('way_bitcoin') : way.name);
  return h('div', { class: 'ways', role: 'group', 'aria-label': t('way_label') }, ways.map((way) =>
    button({ class: 'way', part: 'button', 'aria-pressed': String(way === current), 'data-focus': `way-${way.key}`, onclick: () => { paywall.way = way.kind === 'other' ? way.key : way.kind; } }, label(way))));
}

/** Where trouble with asking the shop is told, without moving anything else. */
const notice = () => h('p', { class: 'notice', part: 'notice', role: 'status' });
const backButton = (paywall) => button({ class: 'quiet', onclick: () => paywall.back() }, t('back_to_offers'));

/** What the notice says: that nobody answers, or that what is known is old. */
export function noticeText({ notice: error, invoice }) {
  if (error) return t('trouble_waiting');
  return invoice?.stale ? t('stale_notice') : '';
}

function weblnButton(paywall, bolt11) {
  const told = h('span', { class: 'told', role: 'status' });
  return [button({ class: 'primary', onclick: (event) => paywall.payInBrowser(bolt11, event.currentTarget, told) }, icon('bolt'), t('webln_pay')), told];
}

export const checking = (paywall) => [
  heading(t('checking_heading'), 'clock'),
  summary(paywall),
  text(t('checking_text')),
  notice(),
  number(paywall),
  backButton(paywall),
];

/** Copies `value`. The feedback is on the button and in its live text; a field stays for browsers without a clipboard. */
export function copyButton(value, shown, { label, small = false } = {}) {
  const words = h('span', {}, shown);
  const told = h('span', { class: 'hidden', role: 'status' });
  const field = h('textarea', { class: 'hidden', readonly: true, tabindex: '-1', 'aria-hidden': 'true' });
  field.value = value;
  const copy = async () => {
    const done = await copyText(value, field);
    words.textContent = told.textContent = t(done ? 'copied' : 'copy_failed');
    setTimeout(() => {
      words.textContent = shown;
      told.textContent = '';
    }, 2500);
  };
  return h('span', { class: small ? 'copy small' : 'copy' }, button({ onclick: copy, ...(label ? { 'aria-label': label } : {}) }, icon('copy'), words), told, field);
}

export const processing = (paywall) => {
  const { invoice } = paywall.facts;
  return [
    heading(t('processing_heading'), 'clock'),
    summary(paywall),
    rail(1),
    h('div', { class: 'pulse', role: 'presentation' }),
    text(t(invoice.late ? 'late_text' : 'processing_text')),
    invoice.confirmations?.wanted > 0 ? note(t('confirmations', { count: invoice.confirmations.wanted })) : null,
    notice(),
    number(paywall),
  ];
};

/** BTCPay says so. What is not known is said as not known, and nobody is pushed to pay a second time for it. */
export const expired = (paywall) => {
  const { paid, stale } = paywall.facts.invoice;
  const unknown = paid === undefined || stale;
  return [
    heading(t(unknown ? 'checking_heading' : 'expired_heading'), 'clock'),
    summary(paywall),
    text(t(unknown ? 'expired_unknown' : 'expired_text')),
    h('div', { class: 'actions' }, button({ class: unknown ? 'quiet' : 'primary', onclick: () => paywall.renew() }, t('new_invoice'))),
    notice(),
    unknown ? null : note(t('expired_note')),
    number(paywall),
    backButton(paywall),
  ];
};

/** Expired with part of the price in it: no invitation to pay again. */
export const short = (paywall) => {
  const { invoice } = paywall.facts;
  return [
    heading(t('partial_heading', { paid: paidOf(invoice), price: invoice.invoiced ? money(invoice.invoiced.amount, invoice.invoiced.currency) : priceOf(invoice) }), 'warn'),
    text(t('short_text')),
    contact(),
    notice(),
    number(paywall),
  ];
};

export const invalid = (paywall) => {
  const { paid, invoice } = paywall.facts.invoice;
  const none = paid !== undefined && Number(paid) === 0;
  return [
    heading(t(none ? 'cancelled_heading' : 'invalid_heading'), 'warn'),
    text(t(none ? 'cancelled_text' : paid === undefined ? 'invalid_unknown' : 'invalid_text')),
    contact(),
    invoice ? number(paywall) : null,
    backButton(paywall),
  ];
};

export const open = (paywall) => {
  const { access: { expires_at }, paid } = paywall.facts;
  const kept = paywall.gate.list().filter((it) => !it.expired && (it.covers === paywall.video || it.video === paywall.video));
  const surplus = kept.find((it) => it.overpaid);
  return [
    heading(t(paid ? 'paid_heading' : 'open_heading'), 'check'),
    text(expires_at ? t('open_until', { time: moment(expires_at) }) : t('open_forever')),
    surplus ? [text(t('overpaid_text', { surplus: money(surplus.overpaid.value, surplus.overpaid.currency) })), contact()] : null,
    ...(kept.length > 0 ? [
      note(t(paywall.gate.remembers ? 'save_text' : 'forgets_after')),
      h('div', { class: 'actions' },
        copyButton(paywall.gate.code(kept), t('save_code')),
        button({ onclick: () => saveFile(paywall.gate.file(kept)) }, icon('down'), t('save_file'))),
      note(t('invoice_number'), ' ', h('code', {}, (surplus ?? kept[0]).id)),
    ] : paywall.gate.remembers ? [] : [note(icon('warn'), h('span', {}, t('forgets_open')))]),
    note(h('a', { part: 'link', target, href: paywall.purchasesPage }, t('purchases'))),
  ];
};

/** Hands a file to the browser's downloads. */
export function saveFile(file) {
  const url = URL.createObjectURL(file);
  h('a', { href: url, download: file.name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export const closed = (paywall) => {
  const { ended, over } = paywall.facts;
  // The page knows what the site lists: neither on sale nor listed is as good as not there.
  const unlisted = paywall.hasAttribute('unlisted');
  return [
    heading(t(ended ? 'ended_heading' : unlisted ? 'unknown_heading' : 'closed_heading'), 'lock'),
    returned(paywall),
    moneyLeft(paywall),
    over?.reason ? text(overText(over)) : null,
    text(t(unlisted && !ended ? 'unknown_text' : 'closed_text')),
    restoreHere(paywall),
  ];
};

export const trouble = (paywall) => [
  heading(t('trouble_heading'), 'warn'),
  text(troubleText(paywall.facts.trouble)),
  contact(),
  h('div', { class: 'actions' }, button({ class: 'primary', onclick: () => paywall.refresh({ ended: paywall.facts.ended }) }, t('try_again'))),
];

/** A failure in words: what happened, and what to do. */
export function troubleText({ reason }) {
  const key = `trouble_${reason}`;
  const words = t(key);
  return words === key ? t('trouble_other', { reason }) : words;
}
