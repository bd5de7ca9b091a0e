/** Which language the page speaks, and how it writes prices, times and lengths. The words are in `texts.js`. */

import { LANGUAGES, english } from './texts.js';

const CHOICE = 'hlsgate:language';
/** The last second that `Date` can name. */
const LAST_MOMENT = 8.64e12;

/** BCP 47 tags of what `texts.js` holds, with each language's own name for itself. */
export const languages = Object.entries(LANGUAGES).map(([tag, { name }]) => ({ tag, name }));
export const lang = pick();
export const { direction } = LANGUAGES[lang];
/** Only the words of one language are loaded. Should that fail, English is here. */
const words = await LANGUAGES[lang].load().catch(() => english);

/** The text for `key`, with `{name}` filled from `values`. What a translation lacks is said in English. */
export function t(key, values = {}) {
  const text = words[key] ?? english[key] ?? key;
  return text.replaceAll(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Turns the whole page to the viewer's language. Only our own pages ask for it: a paywall in another page changes nothing but itself. */
export function speak(page) {
  page.documentElement.lang = lang;
  page.documentElement.dir = direction;
  translate(page);
}

/** Fills elements that name their text: `data-t="key"`, and `data-t-label="key"` for `aria-label`. */
function translate(root) {
  for (const element of root.querySelectorAll('[data-t]')) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll('[data-t-label]')) element.setAttribute('aria-label', t(element.dataset.tLabel));
}

export function chooseLanguage(tag) {
  try {
    localStorage.setItem(CHOICE, tag);
    location.reload();
  } catch {
    const url = new URL(location);
    url.searchParams.set('lang', tag);
    location.replace(url);
  }
}

/** A price: `100 sats`, `$5.00`, `CA$5.00`, `5.00 USDT`. The amount is a decimal string and is written with the decimals it has. */
export function price(amount, currency) {
  const decimals = amount.includes('.') ? amount.length - amount.indexOf('.') - 1 : 0;
  const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  // `Intl` knows codes of three letters; BTCPay has longer ones.
  if (currency.length === 3) return new Intl.NumberFormat(lang, { style: 'currency', currency, ...digits }).format(amount);
  return isolated(`${new Intl.NumberFormat(lang, digits).format(amount)} ${currency === 'SATS' ? 'sats' : currency}`);
}

/** Latin words in right-to-left text keep their own order (Unicode TR 9: LRI … PDI). */
const isolated = (text) => (direction === 'rtl' ? `\u2066${text}\u2069` : text);

/** An amount of bitcoin, a decimal string: `0.00005 BTC`. */
export const bitcoin = (amount) => isolated(`${amount} BTC`);

/** Satoshis, a BigInt: `5,000 sats`. */
export const sats = (count) => isolated(`${new Intl.NumberFormat(lang).format(count)} sats`);

/** `Lightning or Bitcoin`. */
export const listed = (names) => new Intl.ListFormat(lang, { type: 'disjunction' }).format(names);

/** How long an offer lasts, in the largest unit that is whole: `24 hours`, `30 days`. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return t('forever');
  const [unit, size] = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]]
    .find(([name, length]) => seconds % length === 0 && (name !== 'day' || seconds > length)) ?? ['second', 1];
  return amountOf(seconds / size, unit);
}

/** Time that is left, roughly: `3 days`, `5 hours`, `2 minutes`. */
export function left(seconds) {
  const [unit, size] = [['day', 86400], ['hour', 3600], ['minute', 60]].find(([, length]) => seconds >= 2 * length) ?? ['minute', 60];
  return amountOf(Math.max(1, Math.floor(seconds / size)), unit);
}

const amountOf = (count, unit) => new Intl.NumberFormat(lang, { style: 'unit', unit, unitDisplay: 'long' }).format(count);

/** When something would end that begins now: `Tue 16:15` within a week, else a day: `30 Dec 2026`. */
export function ending(unix, now) {
  const near = unix - now < 6 * 86400;
  return new Intl.DateTimeFormat(lang, near ? { weekday: 'short', hour: 'numeric', minute: '2-digit' } : { dateStyle: 'medium' }).format(Math.min(unix, LAST_MOMENT) * 1000);
}

/** A moment: `24 Nov 2026, 10:15`. */
export function moment(unix) {
  return new Intl.DateTimeFormat(lang, { dateStyle: 'medium', timeStyle: 'short' }).format(Math.min(unix, LAST_MOMENT) * 1000);
}

/** `4:07`, `1:02:09`: what a clock shows, the same in every language. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** What an offer opens, and for how long: `{ length: '24 hours', scope: 'this video' }`. */
export function offerText({ covers, duration: seconds }) {
  return { length: duration(seconds), scope: scope(covers) };
}

/** `sub` of a token in words. */
export function scope(covers) {
  if (covers === '*') return t('scope_all');
  if (covers?.startsWith('pass:')) return t('scope_pass', { name: covers.slice('pass:'.length) });
  return t('scope_video');
}

function pick() {
  let chosen = new URLSearchParams(globalThis.location?.search).get('lang');
  try {
    chosen ??= globalThis.localStorage?.getItem(CHOICE);
  } catch {
    // No storage: the browser's own languages decide.
  }
  const wanted = [chosen, ...(globalThis.navigator?.languages ?? [])].filter(Boolean).map((tag) => tag.toLowerCase().split('-')[0]);
  return wanted.find((tag) => Object.hasOwn(LANGUAGES, tag)) ?? 'en';
}
