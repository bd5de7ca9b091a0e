/** My purchases: what this browser owns and until when; back it up, move it to another device, restore it, remove it. */

import './page.js';
import { h, icon, qrCode } from './dom.js';
import { gate } from './gate.js';
import { moment, scope, t } from './i18n.js';
import { copyButton, saveFile, troubleText } from './paywall-views.js';
import { allVideos, watchPage } from './videos.js';

/** Characters of a link that phones still read well as a QR code from a screen. */
const QR_LIMIT = 1200;

const $ = (id) => document.getElementById(id);
const videos = allVideos().catch(() => []);
const titles = videos.then((all) => new Map(all.map((it) => [it.id, it.title])));

document.title = t('purchases');
gate.addEventListener('change', show);
$('restore').addEventListener('submit', (event) => {
  event.preventDefault();
  restore($('code').value);
});
$('file').addEventListener('change', async () => {
  const [file] = $('file').files;
  if (file) await restore(await file.text());
  $('file').value = '';
});
begin();

async function begin() {
  await show();
  if (location.hash.startsWith('#restore=')) {
    const code = decodeURIComponent(location.hash);
    history.replaceState(null, '', location.pathname + location.search);
    await restore(code);
  }
  // What was paid while no page was open.
  await gate.claimPaid();
}

async function show() {
  const names = await titles;
  const owned = gate.list();
  if (!gate.remembers) $('lead').textContent = t('purchases_none_kept');
  const byCookie = gate.remembers ? [] : await openedByCookie(new Set(owned.map((it) => it.video)));
  const entries = [...owned.map((it) => entry(it, names)), ...byCookie];
  $('purchases').replaceChildren(...(entries.length > 0 ? entries : [h('li', { class: 'empty' }, t('purchases_empty'))]));

  const pending = gate.pending().filter((it) => !it.set_aside && ['new', 'processing'].includes(it.status));
  $('pending').hidden = pending.length === 0;
  $('pending').querySelector('ul').replaceChildren(...pending.map((it) => h('li', { class: 'entry' },
    h('div', { class: 'head' }, h('strong', {}, names.get(it.video) ?? it.title ?? it.video),
      h('a', { class: 'button', href: watchPage(it.video) }, t('pending_continue'))))));

  const worth = owned.filter((it) => !it.expired && !it.refused);
  $('backup').hidden = worth.length === 0;
  $('backup').querySelector('.actions').replaceChildren(
    h('button', { type: 'button', class: 'button', onclick: () => saveFile(gate.file(worth)) }, icon('down'), t('save_file')),
    copyButton(gate.code(worth), t('save_code')));
}

function entry(purchase, names) {
  const { id, video, covers, expires_at, expired, refused } = purchase;
  const usable = !expired && !refused;
  const whole = covers !== video ? scope(covers) : null;
  const name = names.get(video) ?? purchase.title ?? video ?? scope(covers);
  const state = refused ? t('withdrawn') : expired ? t('ended_on', { time: moment(expires_at) }) : expires_at ? t('until', { time: moment(expires_at) }) : t('for_ever');
  return h('li', { class: usable ? 'entry' : 'entry over', 'data-id': id },
    h('div', { class: 'head' },
      h('div', { class: 'what' }, h('strong', { dir: 'auto' }, name), whole && h('span', {}, whole), h('span', { class: 'state' }, icon(usable ? 'check' : 'clock'), state)),
      usable && video ? h('a', { class: 'button primary', href: watchPage(video) }, icon('play'), t('watch')) : null),
    usable ? moveTo(purchase) : null,
    removal(purchase));
}

/** Opens on demand: a QR code of a link that holds the purchase is not for whoever walks by. */
function moveTo(purchase) {
  const { token, covers, video } = purchase;
  const inside = h('div', { class: 'move' });
  const details = h('details', {}, h('summary', {}, t('move')), inside);
  details.addEventListener('toggle', () => {
    if (!details.open) return inside.replaceChildren();
    const link = gate.link([purchase], video && covers === video ? watchPage(video) : 'purchases.html');
    inside.replaceChildren(h('p', {}, t('move_text')),
      link.length <= QR_LIMIT ? qrCode(link, t('move_qr')) : '',
      h('div', { class: 'actions' }, copyButton(link, t('copy_link')), copyButton(gate.code([purchase]), t('save_code')),
        video ? copyButton(new URL(gate.streamUrl(video, token), location.href).href, t('copy_player')) : ''));
  });
  return details;
}

function removal({ id }) {
  const place = h('div', { class: 'removal' });
  const ask = () => {
    const no = h('button', { type: 'button', class: 'button', onclick: () => { offer(); place.querySelector('button').focus(); } }, t('keep_it'));
    place.replaceChildren(h('p', {}, t('remove_sure')), h('div', { class: 'actions' },
      h('button', { type: 'button', class: 'button', onclick: remove }, t('remove')), no));
    no.focus();
  };
  const remove = () => {
    gate.forget(id);
    tell(t('removed'));
  };
  const offer = () => place.replaceChildren(h('button', { type: 'button', class: 'button quiet', onclick: ask }, t('remove')));
  offer();
  return place;
}

/** Without storage only the shop can tell which of the listed videos a cookie opens. */
async function openedByCookie(known) {
  const entries = [];
  for (const { id, title } of await videos) {
    const state = known.has(id) ? null : await gate.offers(id).catch(() => null);
    if (state?.access.granted) {
      entries.push(h('li', { class: 'entry' }, h('div', { class: 'head' },
        h('div', { class: 'what' }, h('strong', {}, title), h('span', { class: 'state' }, t('purchases_by_cookie'))),
        h('a', { class: 'button primary', href: watchPage(id) }, icon('play'), t('watch')))));
    }
  }
  return entries;
}

async function restore(text) {
  tell(t('restoring'));
  try {
    const results = await gate.restore(text);
    const good = results.filter((it) => it.purchase).length;
    const bad = results.filter((it) => it.error).map((it) => troubleText(it.error));
    tell([good > 0 || bad.length === 0 ? t('restored', { count: good }) : '', ...new Set(bad.map((why) => t('restored_not', { why })))].filter(Boolean).join(' '), bad.length > 0);
    if (bad.length === 0) $('code').value = '';
    await show();
  } catch (error) {
    tell(troubleText(error), true);
  }
}

function tell(text, bad = false) {
  $('message').textContent = text;
  $('message').classList.toggle('bad', bad);
}
