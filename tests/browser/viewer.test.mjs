// What a viewer notices around the paying: full screen, the place in a film, languages, other people's pages, slow lines, phones, low frames.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { REFUSED, buy, choose, control, inState, launch, plays, viewer } from './browser.mjs';
import { FILM, SHORT, startSite, test, until } from './harness.mjs';

let site, browser;
before(async () => {
  [site, browser] = await Promise.all([startSite(), launch()]);
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

test('full screen: the end of access, the offers and the code are inside it', async () => {
  const visit = await viewer(browser, site, { allow: [REFUSED] });
  const { page, paywall } = visit;
  await buy(visit, site);
  await page.locator('.plyr').focus();
  await page.keyboard.press('f');
  await page.waitForFunction(() => document.fullscreenElement?.contains(document.querySelector('hlsgate-paywall')));
  const answer = await page.evaluate((id) => fetch(`/hlsgate/videos/${id}`).then((it) => it.json()), FILM);
  await visit.context.route('**/hls/**', (route) => route.fulfill({ status: 403, contentType: 'application/problem+json', body: '{"reason":"expired"}' }));
  await visit.context.route('**/hlsgate/videos/*', (route) => route.fulfill({ json: { ...answer, access: { granted: false, reason: 'expired' } } }));
  await page.evaluate(() => {
    localStorage.clear();
    document.querySelector('video').currentTime = 100;
  });
  await inState(page, 'offers');
  for (const inside of [page.locator('#curtain', { hasText: 'into the film' }), paywall.getByRole('button', { name: /24 hours/ })]) {
    await inside.waitFor();
    const box = await inside.boundingBox();
    assert.ok(box.x >= 0 && box.y >= 0 && box.x + box.width <= 1280 && box.y < 800, JSON.stringify(box));
  }
  await visit.context.unrouteAll({ behavior: 'ignoreErrors' });
  await paywall.getByRole('button', { name: /Forever/ }).click();
  await inState(page, 'paying');
  await paywall.locator('svg.qr').waitFor();
  assert.ok(await page.evaluate(() => document.fullscreenElement !== null), 'it is still full screen');
  await visit.leave();
});

test('the place in the film, volume and speed survive a reload; a film seen to its end begins anew', async () => {
  const visit = await viewer(browser, site);
  const { page } = visit;
  await buy(visit, site, { offer: 1 });
  await page.evaluate(() => Object.assign(document.querySelector('video'), { currentTime: 60, volume: 0.3 }));
  await plays(page, { after: 60 });
  await page.waitForFunction(() => Number(localStorage.getItem('hlsgate:place:c05f2318')) >= 60);
  await page.reload();
  await inState(page, 'open');
  const at = await plays(page, { after: 59.5 });
  assert.ok(at >= 60 && at < 90, `goes on at ${at}`);
  assert.ok(Math.abs((await page.evaluate(() => document.querySelector('video').volume)) - 0.3) < 0.01);
  await page.evaluate(() => { document.querySelector('video').currentTime = 118; });
  await page.waitForFunction(() => Number(localStorage.getItem('hlsgate:place:c05f2318')) === 0);
  await visit.leave();
});

test("the audio's language: the viewer's own at first, another by the menu, and remembered", async () => {
  const visit = await viewer(browser, site, { locale: 'de-DE' });
  const { page } = visit;
  const asked = page.waitForRequest(/\/de\/\d+\.ts$/);
  await buy(visit, site, { offer: 1 });
  await asked;
  await control(page, page.getByRole('button', { name: 'Einstellungen' }));
  await control(page, page.getByRole('menuitem', { name: /^Ton/ }));
  const english = page.waitForRequest(/\/en\/\d+\.ts$/);
  await control(page, page.getByRole('menuitemradio', { name: 'English' }));
  await english;
  const again = page.waitForRequest(/\/en\/\d+\.ts$/);
  await page.reload();
  await inState(page, 'open');
  await again;
  await visit.leave();
});

test("in another site's page: its language, its root size and its own style stay outside, and a flex row leaves room", async () => {
  const visit = await viewer(browser, site, { locale: 'ar', allow: [/Content.Security.Policy|Refused to apply inline/] });
  const { page, paywall } = visit;
  await page.route('**/host.html', (route) => route.fulfill({ contentType: 'text/html', body: `<!doctype html><html lang="en"><title>Host</title>
    <style>html{font-size:62.5%} body{text-transform:uppercase;letter-spacing:.4em;text-align:center;line-height:3} .row{display:flex;inline-size:900px}</style>
    <div class="row"><hlsgate-paywall video="${FILM}"></hlsgate-paywall><p>beside</p></div><script type="module" src="hlsgate-paywall.js"></script>` }));
  await visit.goto('host.html');
  await inState(page, 'offers');
  assert.deepEqual(await page.evaluate(() => [document.documentElement.lang, document.documentElement.dir]), ['en', '']);
  const looks = await page.evaluate(() => {
    const card = document.querySelector('hlsgate-paywall').shadowRoot.querySelector('.card');
    const { fontSize, textTransform, letterSpacing, direction } = getComputedStyle(card);
    return { fontSize, textTransform, letterSpacing, direction, lang: card.lang };
  });
  assert.deepEqual(looks, { fontSize: '16px', textTransform: 'none', letterSpacing: 'normal', direction: 'rtl', lang: 'ar' });
  const { width } = await paywall.boundingBox();
  assert.ok(width >= 300, `${width} px wide`);
  await visit.leave();
});

test('the offers come before the player and the code, compressed, in at most 60 KB beside the answers\' headers', async () => {
  const visit = await viewer(browser, site);
  const { page } = visit;
  const session = await visit.context.newCDPSession(page);
  await session.send('Network.enable');
  const names = new Map();
  let bytes = 0;
  const before = [];
  session.on('Network.requestWillBeSent', ({ requestId, request }) => names.set(requestId, new URL(request.url).pathname));
  let offered = false;
  // Headers, which HTTP/2 compresses and the test's HTTP/1.1 does not, are no part of the budget.
  session.on('Network.dataReceived', ({ requestId, encodedDataLength }) => {
    if (!offered && !names.get(requestId)?.startsWith('/posters/')) bytes += encodedDataLength;
  });
  session.on('Network.loadingFinished', ({ requestId }) => {
    const name = names.get(requestId) ?? '';
    if (offered) return;
    before.push(name);
  });
  await page.exposeFunction('offersAreHere', () => { offered = true; });
  await page.addInitScript(() => document.addEventListener('hlsgate-state', ({ detail }) => detail.state === 'offers' && window.offersAreHere()));
  await visit.goto(`watch.html?v=${FILM}`);
  await inState(page, 'offers');
  await until(() => offered, 'the offers to be told');
  assert.ok(bytes <= 60_000, `${bytes} bytes: ${before.join(' ')}`);
  assert.ok(!before.some((it) => /hls\.js|plyr|lean-qr/.test(it)), before.join(' '));
  const { headers } = await fetch(`${site.origin}/site.css`, { headers: { 'accept-encoding': 'gzip' } });
  assert.equal(headers.get('content-encoding'), 'gzip');
  const shop = await fetch(`${site.origin}/hlsgate/videos/${FILM}`, { headers: { 'accept-encoding': 'gzip' } });
  assert.equal(shop.headers.get('content-encoding'), null, 'nothing of the shop is compressed');
  await visit.leave();
});

test('on a phone the wallet and the copy buttons come first, and the code, which it cannot scan from itself, is folded', async () => {
  const visit = await viewer(browser, site, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await choose(visit);
  const { paywall } = visit;
  assert.equal(await paywall.locator('svg.qr').isVisible(), false);
  const wallet = await paywall.getByRole('link', { name: 'Open in wallet' }).boundingBox();
  assert.ok(wallet.y < await paywall.getByText('Show the QR code').boundingBox().then((it) => it.y));
  await paywall.getByText('Show the QR code').click();
  await paywall.locator('svg.qr').waitFor();
  await visit.leave();
});

test('in a low frame the offers are in sight, a code restores a purchase in it, and the film is not scrolled away', async () => {
  const first = await viewer(browser, site, { permissions: ['clipboard-read', 'clipboard-write'] });
  await buy(first, site, { video: SHORT, offer: 1 });
  await first.paywall.getByRole('button', { name: 'Copy the code' }).click();
  await first.paywall.getByRole('button', { name: 'Copied' }).waitFor();
  const code = await first.page.evaluate(() => navigator.clipboard.readText());
  await first.leave();

  const visit = await viewer(browser, site, { viewport: { width: 700, height: 400 } });
  await visit.goto(`embed.html?v=${SHORT}`);
  await inState(visit.page, 'offers');
  const offer = await visit.paywall.locator('button.offer').first().boundingBox();
  assert.ok(offer.y + offer.height <= 400, `the first offer ends at ${offer.y + offer.height} px of 400`);
  await visit.paywall.getByText('Restore it here').click();
  await visit.paywall.getByLabel('Code or link').fill('nonsense');
  await visit.paywall.getByRole('button', { name: 'Restore' }).click();
  await visit.paywall.getByText('No purchase was found in it').waitFor();
  await visit.paywall.getByLabel('Code or link').fill(code);
  await visit.paywall.getByRole('button', { name: 'Restore' }).click();
  await inState(visit.page, 'open');
  await plays(visit.page);
  const stage = await visit.page.locator('#stage').boundingBox();
  assert.deepEqual([stage.y, stage.height], [0, 400]);
  await visit.leave();
});

test('an id that nobody knows, a stream that is not there, a length that is none, a poster that is broken: each is told as it is', async () => {
  const visit = await viewer(browser, site, { allow: [/status of 404/] });
  const { page } = visit;
  await page.route('**/hlsgate/videos/nobody', (route) => route.fulfill({ json: { video: 'nobody', offers: [], access: { granted: false, reason: 'missing' }, pending: null } }));
  await visit.goto('watch.html?v=nobody');
  await inState(page, 'closed');
  assert.match(await visit.card.innerText(), /There is no such video here/);

  await page.route('**/hlsgate/videos/gone', (route) => route.fulfill({ json: { video: 'gone', offers: [], access: { granted: true, tier: 'gift' }, pending: null } }));
  await page.route('**/hls/gone/**', (route) => route.fulfill({ status: 404, body: '' }));
  await visit.goto('watch.html?v=gone');
  await page.locator('#curtain', { hasText: 'The film is not there at the moment' }).waitFor();

  await page.route('**/videos.json', (route) => route.fulfill({ json: { videos: [{ id: FILM, title: 'Odd', duration: 'abc', poster: '/posters/none.jpg' }] } }));
  await visit.goto('index.html');
  await page.getByText('from 1,000 sats').waitFor();
  assert.ok(!/NaN/.test(await page.locator('main').innerText()));
  await page.waitForFunction(() => document.querySelectorAll('.card img').length === 0);
  await visit.leave();
});

test('two tabs: the film that starts stops the other one', async () => {
  const visit = await viewer(browser, site);
  await buy(visit, site, { offer: 1 });
  const second = await visit.context.newPage();
  await second.goto(`${site.origin}/watch.html?v=${FILM}`);
  await inState(second, 'open');
  await second.waitForFunction(() => document.querySelector('video').readyState > 1);
  await second.evaluate(() => document.querySelector('video').play());
  await visit.page.waitForFunction(() => document.querySelector('video').paused);
  await visit.page.locator('#strip', { hasText: 'plays in another tab' }).waitFor();
  await visit.leave();
});

test('who sells is named at the foot of every page, and where a viewer is told to write to the site', async () => {
  const visit = await viewer(browser, site);
  const { page, paywall } = visit;
  await visit.context.route('**/site.json', (route) => route.fulfill({ json: { name: 'Coast Road Films', contact: 'films@coast.example', refund: 'Money back within a week.' } }));
  for (const path of ['index.html', 'purchases.html', `watch.html?v=${FILM}`]) {
    await visit.goto(path);
    await page.locator('footer', { hasText: 'Coast Road Films' }).getByRole('link', { name: 'films@coast.example' }).waitFor();
  }
  await paywall.locator('button.offer').first().click();
  await inState(page, 'paying');
  await site.fake('mark', { invoice: (await site.invoice()).id, status: 'Invalid' });
  await inState(page, 'invalid');
  assert.equal(await paywall.getByRole('link', { name: 'films@coast.example' }).getAttribute('href'), 'mailto:films@coast.example');
  await visit.context.unroute('**/site.json');
  await visit.goto('index.html');
  await page.getByText('from 1,000 sats').first().waitFor();
  assert.equal(await page.locator('footer').innerText(), '', 'a site that says nothing shows nothing');
  await visit.leave();
});

test('before paying: what the film is, when each offer would end; after it: a title for a background tab, and the lock screen', async () => {
  const visit = await viewer(browser, site);
  const { page, paywall } = visit;
  await choose(visit);
  assert.equal(await page.locator('#facts').innerText(), '2:00 · 640 × 360 · Captions: English');
  await paywall.getByRole('button', { name: 'Back to the offers' }).click();
  assert.match(await paywall.getByRole('button', { name: /24 hours/ }).innerText(), /this video · until (Mon|Tue|Wed|Thu|Fri|Sat|Sun),? \d+:\d\d/);
  assert.ok(!/until/.test(await paywall.getByRole('button', { name: /Forever/ }).innerText()));
  await paywall.getByRole('button', { name: /24 hours/ }).click();
  await inState(page, 'paying');
  assert.equal(await page.evaluate(() => navigator.mediaSession.metadata.title), 'The Long Way Home');
  await page.evaluate(() => Object.defineProperty(document, 'visibilityState', { get: () => window.looked ?? 'hidden', configurable: true }));
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await page.waitForFunction(() => document.title === '✓ Paid: The Long Way Home');
  await page.evaluate(() => {
    window.looked = 'visible';
    document.dispatchEvent(new Event('visibilitychange'));
  });
  assert.equal(await page.title(), 'The Long Way Home');
  await visit.leave();
});
