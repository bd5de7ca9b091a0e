/** My purchases: what this browser owns and until when; back it up, move it to another device, restore it, remove it. */

import { h, icon, qrCode } from './dom.js';
import { gate } from './gate.js';
import { HlsgateError } from './hlsgate.js';
import { moment, scope, t } from './i18n.js';
import { takeIn } from './page.js';
import { copyButton, saveFile, troubleText } from './paywall-views.js';
import { allVideos, watchPage } from './videos.js';

/** Characters of a link that phones still read well as a QR code from a screen. */
const QR_LIMIT = 1200;
/** Bytes of a file that may be a backup. */
const LARGEST = 8_000_000;

const $ = (id) => document.getElementById(id);
const videos = allVideos().catch(() => []);
const titles = videos.then((all) => new Map(all.map((it) => [it.id, it.title])));

/** How often the list was drawn: what was asked for an earlier drawing is not added to a later one. */
let drawing = 0;
/** What is being restored: one after the other, lest a slow file's answer takes the place of a later one's. */
let restoring = Promise.resolve();

document.title = t('purchases');
gate.addEventListener('change', show);
$('restore').addEventListener('submit', (event) => {
  event.preventDefault();
  restore($('code').value);
});
$('file').addEventListener('change', restoreFile);
$('restore').querySelector('[type=submit]').disabled = false;
begin();

async function begin() {
  await gate.setClock();
  await show();
  await takeIn((code) => restore(code, 'message'));
  // Picked before this script was there to hear of it.
  await restoreFile();
  // What was paid while no page was open.
  await gate.claimPaid();
}

function restoreFile() {
  const [file] = $('file').files;
  $('file').value = '';
  return file && restore(file);
}

async function show() {
  const names = await titles;
  drawing += 1;
  const owned = gate.list();
  if (!gate.remembers) $('lead').textContent = t('purchases_none_kept');
  const nothing = h('li', { class: 'empty' }, t('purchases_empty'));
  $('purchases').replaceChildren(...(owned.length > 0 ? owned.map((it) => entry(it, names)) : [nothing]));
  // Browsers forget storage sooner than cookies.
  if (!gate.remembers || owned.length === 0) listOpenedByCookie(nothing, new Set(owned.map((it) => it.video)));

  const pending = gate.pending().filter((it) => !it.set_aside && ['new', 'processing'].includes(it.status));
  $('pending').hidden = pending.length === 0;
  $('pending').querySelector('ul').replaceChildren(...pending.map((it) => h('li', { class: 'entry' },
    h('div', { class: 'head' }, h('strong', { dir: 'auto' }, names.get(it.video) ?? it.title ?? it.video),
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
  const name = names.get(video) ?? purchase.title ?? video ?? scope(covers);
  const whole = covers !== video && name !== scope(covers) ? scope(covers) : null;
  const state = refused ? t('withdrawn') : expired ? t('ended_on', { time: moment(expires_at) }) : expires_at ? t('until', { time: moment(expires_at) }) : t('for_ever');
  return h('li', { class: usable ? 'entry' : 'entry over', 'data-id': id },
    h('div', { class: 'head' },
      h('div', { class: 'what' }, h('strong', { dir: 'auto' }, name), whole && h('span', {}, whole), h('span', { class: 'state' }, icon(usable ? 'check' : 'clock'), state)),
      usable && h('a', { class: 'button primary', href: video ? watchPage(video) : 'index.html' }, icon('play'), t(video ? 'watch' : 'videos'))),
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

/** Only the shop can tell which of the listed videos a cookie opens; what it opens is added to the list as it becomes known. */
async function listOpenedByCookie(nothing, known) {
  const mine = drawing;
  for (const { id, title } of await videos) {
    const state = known.has(id) ? null : await gate.offers(id).catch(() => null);
    if (mine !== drawing) return;
    if (!state?.access.granted) continue;
    nothing.remove();
    $('purchases').append(h('li', { class: 'entry' }, h('div', { class: 'head' },
      h('div', { class: 'what' }, h('strong', { dir: 'auto' }, title), h('span', { class: 'state' }, t('purchases_by_cookie'))),
      h('a', { class: 'button primary', href: watchPage(id) }, icon('play'), t('watch')))));
  }
}

/** `source`: a text, or a file that holds one. Answers what `Hlsgate.restore` does, and never throws. */
function restore(source, place = 'told') {
  restoring = restoring.then(() => restoreNow(source, place));
  return restoring;
}

async function restoreNow(source, place) {
  tell(t('restoring'), false, place);
  try {
    if (source.size > LARGEST) throw new HlsgateError('too-large');
    const results = await gate.restore(typeof source === 'string' ? source : await source.text());
    const good = results.filter((it) => it.purchase).length;
    const bad = results.filter((it) => it.error).map((it) => troubleText(it.error));
    tell([good > 0 || bad.length === 0 ? t('restored', { count: good }) : '', ...new Set(bad.map((why) => t('restored_not', { why })))].filter(Boolean).join(' '), bad.length > 0, place);
    if (bad.length === 0) $('code').value = '';
    await show();
    return results;
  } catch (error) {
    tell(troubleText({ reason: error.reason ?? error.name }), true, place);
    return [{ error }];
  }
}

/** Says what came of it, where the viewer is: a long list lies between the page's head and its field. */
function tell(text, bad = false, place = 'message') {
  for (const id of ['message', 'told']) $(id).textContent = id === place ? text : '';
  $(place).classList.toggle('bad', bad);
}
