/**
 * A video element that plays one HLS stream: Plyr on hls.js where Media Source exists, Plyr on the browser's own player where
 * it does not. It knows nothing of payment; it says when the server refused, and can go on from where it stopped.
 *
 * Events: `refused` (the server answered 401, 402 or 403), `starved` (refused, and now there is nothing left to play), `missing` (there
 * is no such stream), `trouble` and `recovered` (network), `unplayable`, `playing`, `moved` (the place in the film), `ended`.
 */

import Hls from './vendor/hls.js';
import Plyr from './vendor/plyr.js';
import { lang, t } from './i18n.js';
import { store, stored } from './memory.js';

const asset = (name) => new URL(`vendor/${name}`, import.meta.url).href;
await dressed();
const REFUSALS = [401, 402, 403];
const ABSENT = [404, 410];
/** Where Plyr keeps volume, speed and captions; beside it, the language that the viewer hears, and the size of the picture. */
const SETTINGS = 'hlsgate:player';
const AUDIO = 'hlsgate:audio';
const QUALITY = 'hlsgate:quality';
/** Seconds until a stream that failed is tried again. */
const RETRY = 4;
/** Seconds that are loaded ahead at most: enough for a gap in the network, and no film for the trash. */
const MOST_AHEAD = 60;
/** Plyr's words for its controls, from `texts.js`. */
const WORDS = ['restart', 'rewind', 'play', 'pause', 'fastForward', 'seek', 'seekLabel', 'played', 'buffered', 'currentTime', 'duration', 'volume', 'mute',
  'unmute', 'enableCaptions', 'disableCaptions', 'enterFullscreen', 'exitFullscreen', 'frameTitle', 'captions', 'settings', 'pip', 'menuBack', 'speed',
  'normal', 'quality', 'disabled', 'enabled', 'reset'];

/** Plyr writes labels as markup. */
const plain = (label) => String(label ?? '').replaceAll(/[<>&]/g, ' ');

export class Player extends EventTarget {
  #video;
  #title;
  #hls = null;
  #plyr = null;
  #url = null;
  #refused = false;
  #retry;
  #troubled = false;
  #play = false;
  #at = 0;
  /** hls.js waits for a stream, attached to the element. */
  #ready = false;
  /** What goes full screen: everything that a viewer must know or press. */
  #whole;

  /** `whole`: a selector of the ancestor that goes full screen. */
  constructor(video, { title = '', whole = null } = {}) {
    super();
    this.#video = video;
    this.#title = title;
    this.#whole = whole;
    video.addEventListener('waiting', () => this.#refused && this.#starve());
    video.addEventListener('ended', () => this.#tell('ended'));
    video.addEventListener('playing', () => {
      this.#recover();
      this.#tell('playing');
    });
    // After an error the element's own time is gone.
    for (const name of ['timeupdate', 'seeking']) {
      video.addEventListener(name, () => {
        if (video.error || !this.#url || video.readyState === 0) return;
        this.#at = video.currentTime;
        this.#tell('moved');
      });
    }
    video.addEventListener('error', () => !this.#hls && this.#url && this.#nativeFailed());
  }

  /** Seconds into the film. */
  get position() {
    return this.#at;
  }

  /** Seconds of the whole film, or 0 while that is not known. */
  get length() {
    return Number.isFinite(this.#video.duration) ? this.#video.duration : 0;
  }

  /** The server has refused to go on with this stream. */
  get refused() {
    return this.#refused;
  }

  /**
   * Makes ready what needs no stream: the controls, hls.js, and an open Media Source. For a film that may be paid for any moment.
   */
  prepare() {
    if (this.#url || this.#hls || !Hls.isSupported()) return;
    this.#dress();
    this.#hls = this.#makeHls();
    this.#hls.attachMedia(this.#video);
    this.#ready = true;
  }

  /** Plays `url`, from `position` seconds on. `play`: at once, as far as the browser lets a page do that. */
  load(url, { position = 0, play = false, captions = [] } = {}) {
    this.#play = play;
    this.unload();
    this.#ready = false;
    this.#url = url;
    this.#refused = false;
    this.#at = position;
    this.#video.replaceChildren(...captions.map(({ lang, label, src }) =>
      Object.assign(document.createElement('track'), { kind: 'captions', srclang: lang, label: plain(label), src })));
    if (Hls.isSupported()) this.#loadHls(url, { position, ownCaptions: captions.length > 0 });
    else this.#loadNative(url, position);
  }

  unload() {
    // Nothing is loaded.
    if (this.#ready) return;
    clearTimeout(this.#retry);
    this.#hls?.destroy();
    this.#hls = null;
    this.#url = null;
    this.#video.removeAttribute('src');
  }

  pause() {
    this.#video.pause();
  }

  focus() {
    (this.#plyr?.elements.container ?? this.#video).focus({ preventScroll: true });
  }

  #loadHls(url, { position, ownCaptions }) {
    this.#hls ??= this.#makeHls();
    this.#hls.config.startPosition = position || -1;
    this.#hls.config.enableWebVTT = !ownCaptions; // a stream may carry the same captions again
    this.#hls.loadSource(url);
  }

  #makeHls() {
    const hls = new Hls({ workerPath: asset('hls.worker.js'), capLevelToPlayerSize: true, maxMaxBufferLength: MOST_AHEAD });
    hls.on(Hls.Events.ERROR, (_, data) => this.#hlsFailed(hls, data));
    hls.on(Hls.Events.FRAG_BUFFERED, () => this.#recover());
    hls.on(Hls.Events.AUDIO_TRACKS_UPDATED, () => this.#offerAudio());
    hls.on(Hls.Events.MANIFEST_PARSED, () => {
      // Plyr first: it wraps the element, which makes a browser fetch an attached stream's one-time URL again.
      this.#dress();
      if (!hls.media) hls.attachMedia(this.#video);
      this.#offerQuality();
      this.#offerAudio();
      this.#begin();
    });
    return hls;
  }

  #loadNative(url, position) {
    if (!this.#video.canPlayType('application/vnd.apple.mpegurl')) return this.#tell('unplayable');
    this.#video.src = url;
    if (position) this.#video.addEventListener('loadedmetadata', () => (this.#video.currentTime = position), { once: true });
    this.#dress();
    this.#begin();
  }

  #begin() {
    if (this.#play) this.#video.play().catch(() => {}); // not allowed without a gesture: the play button is there
  }

  /** Puts Plyr's controls on, once: it outlives streams, so that going on after a new payment does not blink. */
  #dress() {
    if (this.#plyr) return;
    const i18n = Object.fromEntries(WORDS.map((key) => [key, t(`player_${key}`)]));
    const controls = ['play-large', 'play', 'progress', 'current-time', 'duration', 'mute', 'volume', 'captions', 'settings', 'pip', 'airplay', 'fullscreen'];
    this.#plyr = new Plyr(this.#video, {
      title: this.#title,
      // What the page told the lock screen already; of itself Plyr would empty it.
      mediaMetadata: { title: this.#title, artist: '', album: '', artwork: [...(navigator.mediaSession?.metadata?.artwork ?? [])] },
      controls,
      settings: ['audio', 'captions', 'quality', 'speed'],
      i18n: { ...i18n, audio: t('player_audio') },
      // Plyr would ask its own servers for these two.
      iconUrl: asset('plyr.svg'),
      blankVideo: '',
      captions: { active: false, language: lang, update: true },
      keyboard: { focused: true, global: false },
      storage: { enabled: true, key: SETTINGS },
      fullscreen: { enabled: true, fallback: true, container: this.#whole },
      tooltips: { controls: true, seek: true },
    });
    // Its name is a tooltip, which is hidden while the menu is open.
    this.#plyr.elements.container.querySelector('[data-plyr=settings]')?.setAttribute('aria-label', t('player_settings'));
    // Plyr listens for its keys here, and leaves it out of the order of focus.
    Object.assign(this.#plyr.elements.container, { tabIndex: 0, role: 'region', ariaLabel: t('video_label', { title: this.#title }) });
  }

  /** The sizes of the picture, the best one first, in the menu beside captions and speed. */
  #offerQuality() {
    const hls = this.#hls;
    const heights = [...new Set(hls.levels.map((level) => level.height).filter(Boolean))].sort((a, b) => b - a);
    const choose = (height) => { hls.currentLevel = height === 0 ? -1 : hls.levels.findIndex((level) => level.height === height); };
    const wanted = Number(stored(QUALITY) ?? 0);
    const options = heights.length > 1 ? [0, ...heights] : [];
    this.#offer('quality', options.map((height) => (height === 0 ? t('player_auto') : `${height}p`)), Math.max(0, options.indexOf(wanted)), (index) => {
      choose(options[index]);
      store(QUALITY, String(options[index]));
    });
    if (options.indexOf(wanted) > 0) choose(wanted);
  }

  /** The languages of a stream. */
  #offerAudio() {
    const tracks = this.#hls?.audioTracks ?? [];
    const wanted = [stored(AUDIO), lang, ...navigator.languages].filter(Boolean);
    const speaks = (track, tag) => (track.lang ?? '').split('-')[0] === tag.split('-')[0];
    const first = wanted.map((tag) => tracks.findIndex((it) => speaks(it, tag))).find((index) => index >= 0);
    const chosen = first ?? Math.max(0, this.#hls?.audioTrack ?? 0);
    this.#offer('audio', tracks.map(nameOf), chosen, (index) => {
      this.#hls.audioTrack = index;
      store(AUDIO, tracks[index].lang);
    });
    if (tracks.length > 1) this.#hls.audioTrack = chosen;
  }

  /** An entry of the menu that Plyr makes; what stands in it is ours, for it is known only with the stream. Hidden if there is no choice. */
  #offer(name, labels, chosen, choose) {
    const { buttons, panels } = this.#plyr?.elements.settings ?? {};
    const menu = panels?.[name]?.querySelector('[role=menu]');
    if (!menu) return;
    buttons[name].hidden = labels.length < 2;
    if (labels.length < 2) return;
    const mark = (index) => {
      buttons[name].querySelector('.plyr__menu__value').textContent = labels[index];
      [...menu.children].forEach((it, at) => it.setAttribute('aria-checked', String(at === index)));
    };
    menu.replaceChildren(...labels.map((label, index) => {
      const button = Object.assign(document.createElement('button'), { type: 'button', className: 'plyr__control' });
      button.setAttribute('role', 'menuitemradio');
      button.append(Object.assign(document.createElement('span'), { textContent: label }));
      button.addEventListener('click', () => {
        mark(index);
        choose(index);
        panels[name].querySelector('.plyr__control--back')?.click();
      });
      return button;
    }));
    mark(chosen);
  }

  #hlsFailed(hls, { type, fatal, response, details }) {
    if (hls !== this.#hls) return;
    if (REFUSALS.includes(response?.code)) {
      hls.stopLoad();
      this.#refuse();
    } else if (ABSENT.includes(response?.code) && [Hls.ErrorDetails.MANIFEST_LOAD_ERROR, Hls.ErrorDetails.LEVEL_LOAD_ERROR].includes(details)) {
      // Trying again for ever would not bring it.
      hls.stopLoad();
      this.#tell('missing');
    } else if (fatal && type === Hls.ErrorTypes.MEDIA_ERROR) {
      hls.recoverMediaError();
    } else if (fatal) {
      this.#tryLater();
    } else if (type === Hls.ErrorTypes.NETWORK_ERROR && this.#video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) {
      this.#trouble(); // hls.js tries again by itself for a while
    }
  }

  /** The browser's own player tells no status, so the server is asked what was wrong. */
  async #nativeFailed() {
    const url = this.#url;
    const answer = await fetch(url, { cache: 'no-store' }).catch(() => null);
    if (url !== this.#url) return;
    if (REFUSALS.includes(answer?.status)) this.#refuse();
    else if (ABSENT.includes(answer?.status)) this.#tell('missing');
    else if (answer?.ok && !this.#troubled) this.#tryLater();
    else if (answer?.ok) this.#tell('unplayable');
    else this.#tryLater();
  }

  #refuse() {
    if (this.#refused) return;
    this.#refused = true;
    clearTimeout(this.#retry);
    this.#tell('refused');
    // An element in error plays nothing more, whatever it had loaded.
    if (this.#video.error || this.#video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) this.#starve();
  }

  #starve() {
    this.#video.pause();
    this.#tell('starved');
  }

  #tryLater() {
    if (this.#refused) return;
    this.#trouble();
    clearTimeout(this.#retry);
    const playing = !this.#video.paused;
    this.#retry = setTimeout(() => {
      const { position } = this;
      if (this.#hls && this.#hls.levels.length > 0) this.#hls.startLoad(position);
      else if (this.#hls) this.#hls.loadSource(this.#url);
      else this.#reloadNative(position, playing);
    }, RETRY * 1000);
  }

  #trouble() {
    if (!this.#troubled) this.#tell('trouble');
    this.#troubled = true;
  }

  #reloadNative(position, playing) {
    this.#loadNative(this.#url, position);
    if (playing) this.#video.play().catch(() => {});
  }

  #recover() {
    if (!this.#troubled) return;
    this.#troubled = false;
    this.#tell('recovered');
  }

  #tell(name) {
    this.dispatchEvent(new Event(name));
  }
}

/** Plyr's own looks, before those of the site, which go over them. They come with the player, and not before the offers. */
function dressed() {
  const link = Object.assign(document.createElement('link'), { rel: 'stylesheet', href: asset('plyr.css') });
  return new Promise((resolve) => {
    link.addEventListener('load', resolve);
    link.addEventListener('error', resolve);
    document.head.prepend(link);
  });
}

/** A track by its own name, or its language's: `Deutsch`. */
function nameOf({ name, lang: tag }) {
  if (name) return plain(name);
  try {
    return new Intl.DisplayNames([lang], { type: 'language' }).of(tag);
  } catch {
    return tag ?? '?';
  }
}
