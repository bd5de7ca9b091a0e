/** The watch page, and the page for embeds: a stage for the video, and beside it the paywall that opens it. */

import './hlsgate-paywall.js';
import { h, icon } from './dom.js';
import { gate } from './gate.js';
import { clock, left, t } from './i18n.js';
import { keepPlace, placeIn } from './memory.js';
import { takeIn } from './page.js';
import { troubleText } from './paywall-views.js';
import { findVideo } from './videos.js';

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const id = query.get('v');
const paywall = $('paywall');
const stage = $('stage');
const strip = $('strip');
/** The site's other tabs. */
const tabs = globalThis.BroadcastChannel && new BroadcastChannel('hlsgate:playing');
/** Seconds for which the player waits for the offers. */
const PATIENCE = 10;
/** What the payment page calls an invoice that has its money. */
const PAID = ['Processing', 'Settled'];
/** States of the paywall from which it may open any moment. */
const PAYING = ['paying', 'partial', 'checking', 'processing', 'expired', 'short'];
/** Seconds between tries while the shop grants what the gate refuses. */
const DISAGREE = 10;

if (id) {
  const about = findVideo(id);
  // The payment page sends viewers back with the number of their invoice, in whatever browser that page was opened.
  if (query.get('invoice')) {
    paywall.toggleAttribute('invoice-paid', PAID.includes(query.get('status')));
    paywall.setAttribute('invoice', query.get('invoice'));
  }
  takeIn(restore).then(() => paywall.setAttribute('video', id));
  about.then(async (video) => {
    const described = describe(video);
    // The offers come first: a film that is locked needs no player.
    await offersShown();
    const { Player } = await import('./player.js');
    start(described, Player);
  });
} else {
  paywall.hidden = true;
  curtain(t('no_video'), h('a', { class: 'button', href: 'index.html' }, t('videos')));
}

/** Fills the page with what `videos.json` knows of the video, which may be nothing. */
function describe(video) {
  const title = video?.title ?? id;
  document.title = title;
  $('title').textContent = title;
  if ($('description')) $('description').textContent = video?.description ?? '';
  if ($('facts')) $('facts').textContent = video ? facts(video) : '';
  // What a lock screen and the keys of a keyboard show.
  if (navigator.mediaSession) {
    const { poster } = $('video'); // as the element understood it, whatever was written
    const artwork = /^https?:/.test(poster) ? [{ src: poster }] : [];
    navigator.mediaSession.metadata = new MediaMetadata({ title, artwork });
  }
  if (video?.poster) $('video').poster = video.poster;
  $('video').setAttribute('aria-label', t('video_label', { title }));
  paywall.setAttribute('video-title', title);
  paywall.toggleAttribute('unlisted', !video);
  if (video?.width && video?.height) stage.style.setProperty('--ratio', `${video.width} / ${video.height}`);
  return { ...video, title, captions: video?.captions ?? [] };
}

/** What a viewer gets, in one line: length, size of the picture, captions. */
function facts({ duration, width, height, captions }) {
  const labels = (captions ?? []).map((it) => it.label ?? it.lang).join(', ');
  return [duration && clock(duration), width && height && `${width} × ${height}`, labels && t('facts_captions', { list: labels })].filter(Boolean).join(' · ');
}

/** Says in the title that it was paid, to somebody who is looking at another tab or at their wallet. */
function tellBackground() {
  if (document.visibilityState === 'visible') return;
  const { title } = document;
  document.title = `✓ ${t('paid_title', { title })}`;
  document.addEventListener('visibilitychange', () => { document.title = title; }, { once: true });
}

/** Settles when the paywall shows anything, or after a while: an answer that does not come must not keep the film away. */
function offersShown() {
  return new Promise((resolve) => {
    const look = () => paywall.state && paywall.state !== 'loading' && resolve();
    paywall.addEventListener('hlsgate-state', look);
    setTimeout(resolve, PATIENCE * 1000);
    look();
  });
}

function start(video, Player) {
  const player = new Player($('video'), { title: video.title, whole: '#main' });
  let stopWatching = () => {};
  let opened = false; // the film itself is on the stage, and no preview
  let previewing = false;
  let refusals = 0; // since something played
  let stopped = null; // where the film was when access ended

  const open = ({ url, expires_at, paid }) => {
    say('');
    if (paid) tellBackground();
    stopWatching();
    stopWatching = gate.watchExpiry(expires_at, {
      onwarn: (seconds) => say(t('stage_ending', { time: left(seconds) })),
      onend: () => over(),
    });
    // What plays undisturbed is left alone, and only its end has moved.
    if (opened && !player.refused) return;
    const position = stopped ?? (opened ? player.position : placeIn(id));
    const again = stopped !== null || opened;
    opened = true;
    previewing = false;
    stopped = null;
    curtain();
    player.load(url, { position, play: (paid || again) && document.visibilityState === 'visible', captions: video.captions.map((it) => ({ ...it, src: beside(url, it.src) })) });
  };

  /** Access has ended: the offers are shown, and what is loaded plays on. */
  const over = () => {
    say(t('stage_ended_soon'));
    paywall.refresh({ ended: true });
  };

  const locked = () => {
    if (opened || previewing) return;
    player.unload();
    curtain(null, icon('lock'), h('span', { class: 'hidden' }, t('locked')),
      video.preview && h('button', { type: 'button', class: 'button', onclick: preview }, icon('play'), t('watch_preview')));
  };

  const preview = () => {
    previewing = true;
    curtain();
    say(t('preview'));
    player.load(video.preview, { play: true });
    player.focus();
  };

  /** Playing is over until someone pays: keep the place, and show the offers. */
  const end = () => {
    stopped = player.position;
    opened = false;
    stopWatching();
    say('');
    curtain(t('stage_ended', { time: clock(stopped) }), h('button', { type: 'button', class: 'button', onclick: () => paywall.scrollIntoView({ block: 'nearest' }) }, t('to_offers')));
  };

  player.addEventListener('refused', () => {
    refusals += 1;
    // Refused at once, again: gate and shop disagree, and asking them faster would not help.
    if (refusals > 1) setTimeout(over, DISAGREE * 1000);
    else over();
  });
  player.addEventListener('playing', () => {
    refusals = 0;
    if (!previewing) tabs?.postMessage('playing');
  });
  player.addEventListener('moved', () => opened && !previewing && keepPlace(id, player.position, player.length));
  player.addEventListener('missing', () => {
    say('');
    curtain(t('stage_missing'));
  });
  // Two films at once are none.
  tabs?.addEventListener('message', () => {
    if ($('video').paused) return;
    player.pause();
    say(t('stage_elsewhere'));
  });
  $('video').addEventListener('play', () => strip.textContent === t('stage_elsewhere') && say(''));
  player.addEventListener('starved', end);
  player.addEventListener('trouble', () => say(t('stage_trouble')));
  player.addEventListener('recovered', () => say(''));
  player.addEventListener('unplayable', () => curtain(t('stage_unplayable')));
  player.addEventListener('ended', () => {
    if (!previewing) return;
    previewing = false;
    say(t('preview_over'));
    locked();
  });

  /** Paid for any moment: what needs no stream is made ready, so that the film is there as soon as the token is. */
  const ready = () => {
    if (!PAYING.includes(paywall.state) || opened || previewing) return;
    player.prepare();
    cover();
  };

  paywall.addEventListener('hlsgate-open', ({ detail }) => open(detail));
  paywall.addEventListener('hlsgate-state', ({ detail }) => !['loading', 'open'].includes(detail.state) && stopped === null && locked());
  paywall.addEventListener('hlsgate-state', ready);
  if (paywall.opened) open(paywall.opened);
  else if (paywall.state !== 'loading') locked();
  ready();
}

/** What lies over the picture: nothing, or words and buttons. */
function curtain(words, ...nodes) {
  const shown = [words && h('p', {}, words), ...nodes].filter(Boolean);
  $('curtain').replaceChildren(...shown);
  $('curtain').hidden = shown.length === 0;
  stage.classList.toggle('covered', shown.length > 0);
  cover();
}

/** Nobody gets to controls that they cannot see. */
function cover() {
  $('video').closest('.plyr')?.toggleAttribute('inert', stage.classList.contains('covered'));
}

function say(text) {
  strip.textContent = text;
}

/** Captions under the protected folder take the same way as the stream: by cookie, or with the token in the path. */
function beside(url, src) {
  const folder = gate.streamUrl(id).replace(/[^/]*$/, '');
  return src.startsWith(folder) ? url.replace(/[^/]*$/, '') + src.slice(folder.length) : src;
}

/** A link made on another device carries a purchase. If it is good for nothing, the viewer hears why the film stays locked. */
async function restore(code) {
  const results = await gate.restore(code).catch((error) => [{ error }]);
  const bad = results.find((it) => it.error);
  if (bad && !results.some((it) => it.purchase)) say(t('restored_not', { why: troubleText(bad.error) }));
  return results;
}
