/** What all pages share: their static texts in the viewer's language, and the language menu. */

import { h } from './dom.js';
import { chooseLanguage, lang, languages, t, translate } from './i18n.js';

class LanguageMenu extends HTMLElement {
  connectedCallback() {
    const choose = (event) => chooseLanguage(event.target.value);
    this.replaceChildren(h('select', { 'aria-label': t('choose_language'), onchange: choose },
      languages.map(({ tag, name }) => h('option', { value: tag, lang: tag, selected: tag === lang }, name))));
  }
}

customElements.define('language-menu', LanguageMenu);
translate(document);
