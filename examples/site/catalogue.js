/** The catalogue: every video of `videos.json`, with its price, and marked where it is unlocked. */

import './page.js';
import { h, icon } from './dom.js';
import { gate } from './gate.js';
import { clock, price, t } from './i18n.js';
import { allVideos, watchPage } from './videos.js';

/** Prices are asked for when a card comes near the screen, and for this many at a time. */
const AT_ONCE = 4;
const NEAR = '300px';

const grid = document.getElementById('videos');
const message = document.getElementById('message');
const queue = [];
let busy = 0;

async function show() {
  try {
    const videos = await allVideos();
    message.textContent = videos.length === 0 ? t('catalogue_empty') : '';
    grid.replaceChildren(...videos.map(card));
  } catch {
    message.textContent = t('catalogue_trouble');
  }
}

function card(video) {
  const offer = h('span', { class: 'offer-line' });
  const node = h('li', { class: 'card' },
    h('a', { href: watchPage(video.id) },
      h('span', { class: 'poster' },
        video.poster && h('img', { src: video.poster, alt: '', loading: 'lazy', onerror: (event) => event.target.remove(), width: video.width ?? 640, height: video.height ?? 360 }),
        video.duration ? h('span', { class: 'length' }, h('span', { class: 'hidden' }, t('length', { time: '' })), clock(video.duration)) : null),
      h('span', { class: 'name', role: 'heading', 'aria-level': '2', dir: 'auto' }, video.title),
      offer));
  near.observe(node);
  looks.set(node, () => fill(offer, video.id));
  return node;
}

const looks = new WeakMap();
const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    near.unobserve(target);
    queue.push(looks.get(target));
  }
  work();
}, { rootMargin: NEAR });

async function work() {
  while (busy < AT_ONCE && queue.length > 0) {
    busy += 1;
    queue.shift()().finally(() => {
      busy -= 1;
      work();
    });
  }
}

/** A price, or that it is unlocked. Without an answer the line stays empty: the watch page says what is wrong. */
async function fill(line, id) {
  const state = await gate.offers(id).catch(() => null);
  const owned = gate.list().some((it) => it.covers === id && !it.expired && !it.refused);
  if (!state && !owned) return;
  const { offers, access } = state ?? {};
  if (owned || access.granted) {
    line.replaceChildren(icon('check'), t('unlocked'));
    line.classList.add('unlocked');
  } else if (offers.length > 0) {
    line.replaceChildren(icon('lock'), offers.length > 1 ? t('price_from', { price: cheapest(offers) }) : cheapest(offers));
  } else {
    line.textContent = t('closed_heading');
  }
}

/** The lowest price; of several currencies, which cannot be compared here, the first one's. */
function cheapest(offers) {
  const { currency } = offers[0];
  const [lowest] = offers.filter((it) => it.currency === currency).sort((a, b) => Number(a.price) - Number(b.price));
  return price(lowest.price, currency);
}

// Coming back from the watch page by the back button must show what was bought meanwhile.
addEventListener('pageshow', (event) => event.persisted && show());
gate.addEventListener('change', () => show());

document.title = t('catalogue_heading');
// A kept pass becomes a cookie again first, for only the shop knows which videos it holds.
const passes = () => gate.list().filter((it) => it.covers !== it.video && !it.expired && !it.refused);
if (gate.list().some((it) => it.covers !== it.video)) await gate.setClock();
Promise.allSettled(passes().map(({ token, claim }) => gate.keep(token, { claim }))).then(show);
