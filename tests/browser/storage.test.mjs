// Browsers that keep less: no JavaScript storage, a cookie lost, a clock that is wrong.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { buy, choose, inState, launch, plays, viewer } from './browser.mjs';
import { FILM, SHORT, startSite, test } from './harness.mjs';

let site, browser;
before(async () => {
  [site, browser] = await Promise.all([startSite(), launch()]);
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

/** What Chromium does where a viewer blocks site data: reading the property throws. */
const withoutStorage = () => {
  for (const name of ['localStorage', 'sessionStorage']) {
    Object.defineProperty(window, name, { get() { throw new DOMException('Access is denied for this document.', 'SecurityError'); } });
  }
};

test('without JavaScript storage: told before paying, paid, playing, and still playing after a reload, by cookie', async () => {
  const visit = await viewer(browser, site, { init: withoutStorage, permissions: ['clipboard-read', 'clipboard-write'] });
  const { page, paywall } = visit;
  await visit.goto(`watch.html?v=${FILM}`);
  await inState(page, 'offers');
  assert.match(await visit.card.innerText(), /This browser keeps nothing for this site/);
  await paywall.getByRole('button', { name: /24 hours/ }).click();
  await inState(page, 'paying');

  // The cookie remembers the purchase over a reload, and the shop gives its QR code again.
  await page.reload();
  await inState(page, 'paying');
  await paywall.locator('svg.qr').waitFor();
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await inState(page, 'open');
  await plays(page);
  await paywall.getByText('Save this purchase now').waitFor();
  await paywall.getByRole('button', { name: 'Copy the code' }).click();
  await paywall.getByRole('button', { name: 'Copied' }).waitFor();
  const code = await page.evaluate(() => navigator.clipboard.readText());

  await page.reload();
  await inState(page, 'open');
  await plays(page);
  await visit.goto('purchases.html');
  await page.getByText('this list cannot remember what you bought').waitFor();
  await page.locator('.entry', { hasText: 'Opened by a cookie only' }).waitFor();
  await visit.leave();

  // The code that was saved opens it elsewhere, and again without storage there.
  const other = await viewer(browser, site, { init: withoutStorage });
  await other.goto('purchases.html');
  await other.page.getByLabel('Code or link').fill(code);
  await other.page.getByRole('button', { name: 'Restore' }).click();
  await other.page.getByText('Restored: 1').waitFor();
  await other.goto(`watch.html?v=${FILM}`);
  await inState(other.page, 'open');
  await plays(other.page);
  await other.leave();
});

test('cookies lost, storage kept: the cookie is set anew on load', async () => {
  const visit = await viewer(browser, site);
  await buy(visit, site, { video: SHORT });
  await visit.context.clearCookies();
  await visit.page.reload();
  await inState(visit.page, 'open');
  await plays(visit.page);
  const cookies = await visit.context.cookies(`${site.origin}/hls/${SHORT}/master.m3u8`);
  assert.ok(cookies.some((it) => it.name === 'hlsgate' && it.httpOnly));
  await visit.leave();
});

test('cookies refused: the token goes into the path', async () => {
  const visit = await viewer(browser, site);
  // Playwright cannot switch cookies off, so their headers are taken away on both ways.
  await visit.context.route('**/*', async (route) => {
    const headers = { ...route.request().headers() };
    delete headers.cookie;
    const answer = await route.fetch({ headers });
    const kept = answer.headers();
    delete kept['set-cookie'];
    await route.fulfill({ response: answer, headers: kept });
    await visit.context.clearCookies();
  });
  const asked = visit.page.waitForRequest(new RegExp(`/hls/~[^/]+/${SHORT}/.*\\.ts$`));
  await choose(visit, { video: SHORT });
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await inState(visit.page, 'open');
  await asked;
  await plays(visit.page);
  await visit.context.unrouteAll({ behavior: 'wait' });
  await visit.leave();
});

test("a viewer's clock that is hours wrong changes neither the countdown nor the purchase", async () => {
  const visit = await viewer(browser, site, {
    init: () => {
      const real = Date.now.bind(Date);
      Date.now = () => real() + 5 * 3600_000;
    },
  });
  await choose(visit, { video: SHORT });
  assert.match(await visit.card.innerText(), /Valid for\s+(30:0\d|29:5\d)/);
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await inState(visit.page, 'open');
  await plays(visit.page);
  await visit.goto('purchases.html');
  await visit.page.locator('.entry', { hasText: 'Northern Lights' }).waitFor();
  await visit.leave();
});
