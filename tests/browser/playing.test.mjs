// Playing: hls.js and the browser's own player, access that ends in mid-film, bad networks, controls.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { REFUSED, UNAVAILABLE, buy, control, inState, launch, plays, viewer } from './browser.mjs';
import { DEADLINE, FILM, SHORT, startSite, test } from './harness.mjs';

/** Seconds of access in the tests in which it ends: time to start playing, and not to wait for. */
const BRIEF = 12;

let site, browser;
before(async () => {
  [site, browser] = await Promise.all([
    startSite({ offers: [{ tier: 'brief', price: '10', currency: 'SATS', duration: `${BRIEF}s` }, { tier: 'forever', price: '3000', currency: 'SATS' }] }),
    launch(),
  ]);
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

const source = (page) => page.evaluate(() => document.querySelector('video').currentSrc);
const withoutMediaSource = () => {
  delete window.MediaSource;
  delete window.ManagedMediaSource;
  delete window.WebKitMediaSource;
};

test('hls.js feeds Media Source; the quality menu and the captions work', async () => {
  const visit = await viewer(browser, site);
  const { page } = visit;
  await buy(visit, site, { offer: 1 });
  assert.match(await source(page), /^blob:/);

  await control(page, page.getByRole('button', { name: 'Settings' }));
  await control(page, page.getByRole('menuitem', { name: /Quality/ }));
  const asked = page.waitForRequest(/\/180p\/\d+\.ts$/);
  await control(page, page.getByRole('menuitemradio', { name: '180p' }));
  await asked;
  await page.waitForFunction(() => document.querySelector('video').videoHeight === 180);

  await control(page, page.getByRole('button', { name: 'Captions on' }));
  await page.locator('.plyr__captions', { hasText: 'The road begins at the sea.' }).waitFor();
  await visit.leave();
});

test('the keyboard plays, pauses, seeks and mutes', async () => {
  const visit = await viewer(browser, site);
  const { page } = visit;
  await buy(visit, site, { offer: 1 });
  await page.locator('.plyr').focus();
  const state = () => page.evaluate(() => { const { paused, muted, currentTime } = document.querySelector('video'); return { paused, muted, currentTime }; });
  await page.keyboard.press('k');
  await page.waitForFunction(() => document.querySelector('video').paused);
  const { currentTime } = await state();
  await page.keyboard.press('ArrowRight');
  await page.waitForFunction((from) => document.querySelector('video').currentTime >= from + 9, currentTime);
  await page.keyboard.press('m');
  await page.waitForFunction(() => document.querySelector('video').muted);
  await page.keyboard.press('k');
  await plays(page);
  await visit.leave();
});

test("the browser's own player plays the same URL, by cookie, after payment and after a reload", async () => {
  const visit = await viewer(browser, site, { init: withoutMediaSource });
  await buy(visit, site, { video: SHORT, offer: 1 });
  assert.equal(await source(visit.page), `${site.origin}/hls/${SHORT}/master.m3u8`);
  await visit.page.reload();
  await inState(visit.page, 'open');
  await plays(visit.page);
  await visit.leave();
});

test('access ends in mid-film: what is loaded plays on, the place is kept, a new payment goes on from there', async () => {
  const visit = await viewer(browser, site, { allow: [REFUSED] });
  const { page } = visit;
  await buy(visit, site);
  await page.locator('#strip', { hasText: 'Your access ends in' }).waitFor();
  // Farther on than what is loaded by the time access ends.
  await inState(page, 'offers', BRIEF * 1000 + DEADLINE);
  assert.match(await visit.card.innerText(), /Your access has ended/);
  assert.equal(await page.evaluate(() => document.querySelector('video').error), null, 'no player error is shown');
  await page.evaluate(() => { document.querySelector('video').currentTime = 100; });
  await page.locator('#curtain', { hasText: 'ended 1:40 into the film' }).waitFor();

  await visit.paywall.getByRole('button', { name: /Forever/ }).click();
  await inState(page, 'paying');
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await inState(page, 'open');
  const at = await plays(page, { after: 99.9 });
  assert.ok(at >= 100 && at < 107, `goes on at ${at}`);
  await page.locator('#curtain').waitFor({ state: 'hidden' });
  await visit.leave();
});

test("access ends in mid-film in the browser's own player", async () => {
  const visit = await viewer(browser, site, { allow: [REFUSED, /net::ERR_/], init: withoutMediaSource });
  const { page } = visit;
  await buy(visit, site);
  await page.locator('#strip, #curtain', { hasText: /access (has )?ended/i }).first().waitFor({ timeout: BRIEF * 1000 + DEADLINE });
  // Farther on than what is loaded, unless a slow machine was refused a piece before: then it stopped where it was.
  await page.evaluate(() => { document.querySelector('video').currentTime = 100; });
  await inState(page, 'offers', 2 * DEADLINE);
  const curtain = page.locator('#curtain', { hasText: 'into the film' });
  await curtain.waitFor();
  const [, minutes, seconds] = / (\d+):(\d\d) into/.exec(await curtain.textContent());
  const stopped = 60 * minutes + Number(seconds);
  assert.ok(stopped > 0, 'the place is known');
  await visit.paywall.getByRole('button', { name: /Forever/ }).click();
  await inState(page, 'paying');
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await inState(page, 'open');
  const at = await plays(page, { after: stopped - 0.5 });
  assert.ok(at < stopped + 15, `stopped at ${stopped}, goes on at ${at}`);
  await visit.leave();
});

test('a slow network: it still starts', async () => {
  const visit = await viewer(browser, site);
  const network = await visit.context.newCDPSession(visit.page);
  await network.send('Network.enable');
  await network.send('Network.emulateNetworkConditions', { offline: false, latency: 300, downloadThroughput: 120_000, uploadThroughput: 30_000 });
  await buy(visit, site, { offer: 1 });
  await visit.leave();
});

test('the server goes away in mid-film and comes back: the film goes on by itself', async () => {
  const visit = await viewer(browser, site, { allow: [UNAVAILABLE, /net::ERR_/] });
  const { page } = visit;
  await buy(visit, site, { offer: 1 });
  await site.closeDoors();
  await page.evaluate(() => { document.querySelector('video').currentTime = 100; });
  await page.locator('#strip', { hasText: 'The connection is interrupted' }).waitFor({ timeout: 2 * DEADLINE });
  await site.openDoors();
  await plays(page, { after: 100 });
  await page.locator('#strip').waitFor({ state: 'hidden' });
  await visit.leave();
});

test('a preview plays without payment, and ends at the offers', async () => {
  const visit = await viewer(browser, site);
  await visit.goto(`watch.html?v=${FILM}`);
  await inState(visit.page, 'offers');
  await visit.page.getByRole('button', { name: 'Watch the preview' }).click();
  await plays(visit.page);
  await visit.page.evaluate(() => { document.querySelector('video').currentTime = 3.7; });
  await visit.page.locator('#strip', { hasText: 'That was the preview.' }).waitFor();
  await visit.page.getByRole('button', { name: 'Watch the preview' }).waitFor();
  await visit.leave();
});
