/**
 * The languages that the pages speak. To add one: copy `texts-en.js`, name it by its BCP 47 tag, translate the values (`{name}` is filled
 * in), and add it here. A key that a language lacks is said in English. `direction` turns our own pages round for right-to-left scripts.
 */

import english from './texts-en.js';

export const LANGUAGES = {
  en: { name: 'English', direction: 'ltr', load: async () => english },
  de: { name: 'Deutsch', direction: 'ltr', load: async () => (await import('./texts-de.js')).default },
  ar: { name: 'العربية', direction: 'rtl', load: async () => (await import('./texts-ar.js')).default },
};

export { english };
