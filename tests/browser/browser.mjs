// Debian's Chromium, and what every test asks of a page: no error in the console, no request to another origin.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import jsQr from 'jsqr';
import { chromium } from 'playwright-core';
import { PNG } from 'pngjs';
import { DEADLINE, FILM } from './harness.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** What axe-core calls WCAG 2.2 AA, and its own good practice. */
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

export function launch(options = {}) {
  return chromium.launch({
    ...options,
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
      '--disable-sync', '--autoplay-policy=no-user-gesture-required'],
  });
}

/**
 * A viewer's browser: a context of its own, with `complaints` of everything that no page may do. `allow`: patterns of complaints
 * that the test provokes, such as a refused request, which Chromium always writes to the console.
 */
export async function viewer(browser, site, { allow = [], origins = [], init, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', ...options });
  context.setDefaultTimeout(DEADLINE);
  if (init) await context.addInitScript(init);
  const complaints = [];
  const complain = (text) => allow.some((pattern) => pattern.test(text)) || complaints.push(text);
  const own = [site.origin, ...origins];
  context.on('request', (request) => {
    const url = new URL(request.url());
    if (['http:', 'https:', 'ws:', 'wss:'].includes(url.protocol) && !own.includes(url.origin)) complain(`request to ${url.origin}`);
  });
  context.on('console', (message) => ['error', 'warning'].includes(message.type()) && complain(`console ${message.type()}: ${message.text()} ${message.location().url.split('/').slice(3, 5).join('/')}`));
  context.on('weberror', (error) => complain(`uncaught: ${error.error().stack}`));
  const page = await context.newPage();
  return {
    context, page, complaints,
    paywall: page.locator('hlsgate-paywall'),
    card: page.locator('hlsgate-paywall [part=card]'),
    goto: (path) => page.goto(`${site.origin}/${path}`),
    /** Ends the viewer's visit, and fails if a page misbehaved in it. */
    leave: async () => {
      await context.close();
      assert.deepEqual(complaints, []);
    },
  };
}

export const REFUSED = /console error: Failed to load resource: the server responded with a status of 40[13]/;
export const UNAVAILABLE = /console error: Failed to load resource: the server responded with a status of (429|50\d)/;

/** Waits until the paywall is in this state. */
export async function inState(page, state, timeout = DEADLINE) {
  await page.locator(`hlsgate-paywall[state=${state}]`).waitFor({ state: 'attached', timeout });
}

/** Opens the watch page and chooses an offer: from then on the paywall shows a QR code. */
export async function choose(visit, { video = FILM, offer = 0 } = {}) {
  await visit.goto(`watch.html?v=${video}`);
  await inState(visit.page, 'offers');
  await visit.paywall.locator('button.offer').nth(offer).click();
  await inState(visit.page, 'paying');
}

/** Buys and pays; answers when the film plays. */
export async function buy(visit, site, options) {
  await choose(visit, options);
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await inState(visit.page, 'open');
  await plays(visit.page);
}

/** Fails unless the film really plays: time goes on and frames are decoded. Answers the position. */
export async function plays(page, { after = 0 } = {}) {
  const read = () => page.evaluate(() => {
    const video = document.querySelector('video');
    return { at: video.currentTime, frames: video.getVideoPlaybackQuality().totalVideoFrames };
  });
  const started = await read();
  await page.evaluate(() => {
    const video = document.querySelector('video');
    if (video.paused && video.readyState > 0) return video.play();
  });
  await page.waitForFunction(([from, frames]) => {
    const video = document.querySelector('video');
    if (video.paused) video.play().catch(() => {});
    return video.currentTime > from && video.getVideoPlaybackQuality().totalVideoFrames > frames;
  }, [Math.max(after, started.at) + 0.3, Math.max(0, after > started.at ? 0 : started.frames)]);
  return (await read()).at;
}

/** Clicks one of the player's controls, which hide while the mouse rests. */
export async function control(page, locator) {
  const deadline = Date.now() + DEADLINE;
  for (let turn = 0; ; turn += 1) {
    await page.locator('.plyr').hover({ position: { x: 60 + (turn % 2) * 20, y: 40 } });
    const failed = await locator.click({ timeout: 2000 }).then(() => null, (error) => error);
    if (!failed) return;
    if (Date.now() > deadline) throw failed;
  }
}

/** What a phone's camera would read from a picture of this element. */
export async function readQr(locator) {
  await locator.scrollIntoViewIfNeeded();
  const { data, width, height } = PNG.sync.read(await locator.screenshot({ scale: 'device' }));
  const code = jsQr(new Uint8ClampedArray(data), width, height);
  assert.ok(code, 'no QR code could be read from the picture');
  return code.data;
}

/** Fails on anything that axe-core finds serious or critical. It runs in the page's isolated world, for the CSP forbids strangers. */
export async function accessible(page, what) {
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send('Page.getFrameTree');
  const { executionContextId } = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id, worldName: 'axe' });
  const run = (expression) => session.send('Runtime.evaluate', { expression, contextId: executionContextId, awaitPromise: true, returnByValue: true });
  await run(`${AXE};0`);
  const { result, exceptionDetails } = await run(`axe.run(document, { runOnly: ${JSON.stringify(RULES)}, resultTypes: ['violations'] }).then((it) => it.violations)`);
  await session.detach();
  assert.equal(exceptionDetails, undefined, exceptionDetails?.exception?.description);
  const found = result.value.filter((it) => ['serious', 'critical'].includes(it.impact))
    .map((it) => `${it.id}: ${it.help}: ${it.nodes.map((node) => `${node.target.flat().join(' ')} (${node.any.concat(node.all, node.none).map((check) => check.message).join('; ')})`).join(' | ')}`);
  assert.deepEqual(found, [], what);
}
