// From "paid" to the first frame, in Chromium, part by part: these pages and this daemon beside those of an earlier commit, in turn.
//
//   first-frame.mjs ROUNDS NAME=FOLDER=DAEMON NAME=FOLDER=DAEMON
//
// FOLDER: a checkout with its pages' libraries. Prints one line of JSON: { NAME: [{ part: milliseconds, … }, …] }.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const { chromium } = createRequire(join(here, '../../tests/browser/'))('playwright-core');
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required'];
/** Milliseconds that a viewer takes, at least, to scan the code and to pay. */
const SCANS = 3000;
const PATIENCE = 30_000;

const [rounds, ...ways] = process.argv.slice(2);
const sites = [];
try {
  for (const way of ways) {
    const [name, folder, daemon] = way.split('=');
    process.env.HLSGATE_BIN = daemon;
    process.env.FAKE_BTCPAY_BIN = process.env.BTCPAY_DOUBLE_BIN; // its name in earlier checkouts
    const { startSite, FILM } = await import(join(folder, 'tests/browser/harness.mjs'));
    const price = { currency: 'SATS', price: '1000' };
    sites.push({ name, film: FILM, site: await startSite({ offers: [{ tier: 'forever', ...price }] }), seen: [] });
  }
  for (let round = 0; round < Number(rounds); round += 1) {
    // Who is first changes: a shared machine may be another one a second later.
    for (const it of round % 2 ? sites.toReversed?.() ?? [...sites].reverse() : sites) it.seen.push(await sale(it));
  }
  console.log(JSON.stringify(Object.fromEntries(sites.map(({ name, seen }) => [name, seen]))));
} finally {
  for (const { site } of sites) await site.stop();
}

/** One viewer with a fresh browser buys and watches. */
async function sale({ site, film }) {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    page.setDefaultTimeout(PATIENCE);
    await page.addInitScript(notice);
    await page.goto(`${site.origin}/watch.html?v=${film}`);
    await page.locator('hlsgate-paywall button.offer').first().click();
    await page.locator('hlsgate-paywall[state=paying]').waitFor({ state: 'attached' });
    await page.waitForTimeout(SCANS);
    const { id } = (await site.fake('invoices')).at(-1);
    const since = Date.now();
    await site.fake('pay', { invoice: id });
    const frame = await page.waitForFunction(() => globalThis.firstFrame).then((it) => it.jsonValue());
    const loaded = await page.evaluate(() => performance.getEntriesByType('resource').map(({ name, requestStart, startTime, responseEnd }) =>
      ({ name, began: performance.timeOrigin + (requestStart || startTime), ended: performance.timeOrigin + responseEnd })));
    const { attempts } = await site.fake(`attempts?invoice=${id}`);
    const { calls } = await site.fake(`calls?path=${id}`);
    return parts({ since, frame, loaded, film, invoice: id, delivered: first(attempts, since), asked: first(calls, since) });
  } finally {
    await browser.close();
  }
}

/** In the page, before its own scripts: when the film's first frame is shown. */
function notice() {
  addEventListener('DOMContentLoaded', () => {
    document.querySelector('#video').requestVideoFrameCallback(() => {
      globalThis.firstFrame = performance.timeOrigin + performance.now();
    });
  });
}

/** The stand-in's time of the first of these after the payment. */
function first(list, since) {
  return Math.min(...list.map(({ at }) => at * 1000).filter((at) => at >= since - 1));
}

/** What each part took. Clocks are one machine's; a part that ended before the one before it did took nothing. */
function parts({ since, frame, loaded, film, invoice, delivered, asked }) {
  const after = loaded.filter(({ ended }) => ended >= since);
  const one = (fits) => after.find(({ name }) => fits(new URL(name).pathname));
  const under = (path) => path.includes(`/${film}/`) && !path.startsWith('/previews/');
  const token = one((path) => path === `/hlsgate/invoices/${invoice}`);
  const master = one((path) => under(path) && path.endsWith('/master.m3u8'));
  const lists = after.filter(({ name }) => under(new URL(name).pathname) && name.endsWith('/index.m3u8'));
  const segment = one((path) => under(path) && path.endsWith('.ts'));
  const moments = {
    'paid → first delivery': delivered,
    'delivery → BTCPay is asked (the daemon gathers)': asked,
    'asked → token in the page': token.ended,
    'token → the player asks for the playlist': master.began,
    'asked for → playlists are there': Math.max(master.ended, Math.min(...lists.map(({ ended }) => ended))),
    'playlists → first segment': segment.ended,
    'first segment → first frame': frame,
  };
  const took = {};
  let before = since;
  for (const [name, at] of Object.entries(moments)) {
    took[name] = Math.max(0, at - before);
    before = Math.max(before, at);
  }
  took['paid → first frame'] = frame - since;
  return took;
}
