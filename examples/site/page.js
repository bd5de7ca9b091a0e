/** What all pages share: their static texts in the viewer's language, and the language menu. */

import { h } from './dom.js';
import { gate } from './gate.js';
import { contactLine } from './seller.js';
import { chooseLanguage, lang, languages, speak, t } from './i18n.js';

class LanguageMenu extends HTMLElement {
  connectedCallback() {
    const choose = (event) => chooseLanguage(event.target.value);
    this.replaceChildren(h('select', { 'aria-label': t('choose_language'), onchange: choose },
      languages.map(({ tag, name }) => h('option', { value: tag, lang: tag, selected: tag === lang }, name))));
  }
}

/** Seconds until a link is tried again that the site could not be asked about. */
const AGAIN = 10;

/**
 * Takes in the purchases that a link carries in its fragment, now or when one is pasted into the same tab: `restore(code)` is
 * called, which answers as `Hlsgate.restore` does or throws. What was taken in, or is good for nothing, leaves the address.
 */
export async function takeIn(restore) {
  const look = async () => {
    const { hash } = location;
    if (!hash.startsWith('#restore=')) return;
    const results = await restore(decoded(hash)).catch((error) => [{ error }]);
    if (results.some((it) => it.error?.passing)) setTimeout(look, AGAIN * 1000);
    else if (location.hash === hash) history.replaceState(history.state, '', location.pathname + location.search);
  };
  addEventListener('hashchange', look);
  await look();
}

/** Some messengers write `~` and `,` as `%7E` and `%2C`. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Who sells, at the foot of every page. After all that the page is for. */
function addFoot() {
  document.body.append(h('footer', { class: 'foot' }, contactLine()));
}

if (document.readyState === 'complete') addFoot();
else addEventListener('load', addFoot);
customElements.define('language-menu', LanguageMenu);
speak(document);
