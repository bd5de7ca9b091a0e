/** Who sells: `site.json` beside the pages. Loaded when somebody needs it, which is after the offers. */

import { h } from './dom.js';
import { t } from './i18n.js';

let asked;

/** `{ name, contact, refund }`, each a text or missing. A site that says nothing of itself gives none. */
export function seller() {
  asked ??= fetch(new URL('site.json', import.meta.url), { cache: 'no-cache' }).then((it) => (it.ok ? it.json() : {})).catch(() => ({}));
  return asked;
}

/** How to reach the seller, for every place that says "write to the site": nothing until it is known, and nothing if the site does not say. */
export function contactLine(attributes = {}) {
  const line = h('p', { hidden: true, ...attributes });
  seller().then(({ name, contact, refund }) => {
    if (!contact && !name && !refund) return;
    line.replaceChildren(...[name, contact && address(contact), refund].filter(Boolean).flatMap((it, index) => (index > 0 ? [' · ', it] : [it])));
    line.setAttribute('aria-label', t('contact', { contact: String(contact ?? name ?? '') }));
    line.hidden = false;
  });
  return line;
}

/** A mail address or a page of theirs becomes a link; everything else, a telephone number say, stays a text. */
function address(contact) {
  const text = String(contact);
  if (/^[^\s@:]+@[^\s@]+$/.test(text)) return h('a', { part: 'link', href: `mailto:${text}` }, text);
  return /^https:\/\//.test(text) ? h('a', { part: 'link', href: text, rel: 'noreferrer' }, text) : text;
}
