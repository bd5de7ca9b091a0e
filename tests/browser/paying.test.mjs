// Between "paid" and "watching": wallets in the browser, closed tabs, late payments, lost webhooks, BTCPay away.

import assert from 'node:assert/strict';
import { after, before, beforeEach } from 'node:test';
import { REFUSED, UNAVAILABLE, choose, inState, launch, plays, readQr, viewer } from './browser.mjs';
import { DEADLINE, FILM, SHORT, startSite, test } from './harness.mjs';

let site, browser;
before(async () => {
  browser = await launch();
});
// A site each: what one test breaks does not reach the next, and each has the full allowance of invoices.
beforeEach(async () => {
  await site?.stop();
  site = await startSite();
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

const settled = async () => site.fake('pay', { invoice: (await site.invoice()).id });

/** A wallet in the browser: `window.webln`, which pays by telling the test, or declines. */
async function withWallet(visit, pay) {
  await visit.context.exposeBinding('walletPays', (_, bolt11) => pay(bolt11));
  await visit.context.addInitScript(() => {
    window.webln = {
      enabled: false,
      async enable() { this.enabled = true; },
      async sendPayment(bolt11) {
        if (!this.enabled) throw new Error('call enable first');
        if (!(await window.walletPays(bolt11))) throw new Error('User rejected');
        return { preimage: '00' };
      },
    };
  });
}

test('a wallet in the browser pays with one click', async () => {
  const visit = await viewer(browser, site);
  let asked;
  await withWallet(visit, async (bolt11) => {
    asked = bolt11;
    await settled();
    return true;
  });
  await choose(visit);
  const href = await visit.paywall.getByRole('link', { name: 'Open in wallet' }).getAttribute('href');
  await visit.paywall.getByRole('button', { name: 'Pay with the wallet in this browser' }).click();
  await inState(visit.page, 'open');
  await plays(visit.page);
  assert.equal(`lightning:${asked}`, href);
  await visit.leave();
});

test('a wallet in the browser that declines leaves the QR code, which still works', async () => {
  const visit = await viewer(browser, site);
  await withWallet(visit, async () => false);
  await choose(visit);
  const before = await readQr(visit.paywall.locator('svg.qr'));
  const button = visit.paywall.getByRole('button', { name: 'Pay with the wallet in this browser' });
  await button.click();
  await visit.paywall.getByText('You can still scan the code or try again').waitFor();
  assert.equal(await readQr(visit.paywall.locator('svg.qr')), before);
  assert.equal(await button.isEnabled(), true);
  await settled();
  await inState(visit.page, 'open');
  await visit.leave();
});

test('the code stays where it is when the shop first answers on the new invoice', async () => {
  const visit = await viewer(browser, site);
  let answer;
  const held = new Promise((resolve) => { answer = resolve; });
  await visit.page.route('**/hlsgate/invoices/**', (route) => held.then(() => route.continue()));
  await choose(visit);
  const code = await visit.paywall.locator('svg.qr').elementHandle();
  answer();
  await visit.page.waitForFunction(() => document.querySelector('hlsgate-paywall').facts.invoice?.stale === false);
  assert.equal(await code.evaluate((it) => it.isConnected), true);
  await visit.leave();
});

test('without a wallet in the browser there is no button for it, and copying gives feedback', async () => {
  const visit = await viewer(browser, site, { permissions: ['clipboard-read', 'clipboard-write'] });
  await choose(visit);
  assert.equal(await visit.paywall.getByRole('button', { name: 'Pay with the wallet' }).count(), 0);
  const href = await visit.paywall.getByRole('link', { name: 'Open in wallet' }).getAttribute('href');
  await visit.paywall.getByRole('button', { name: 'Copy Lightning invoice' }).click();
  await visit.paywall.getByRole('button', { name: 'Copied' }).waitFor();
  assert.equal(`lightning:${await visit.page.evaluate(() => navigator.clipboard.readText())}`, href);
  await visit.paywall.getByRole('button', { name: 'Copy Lightning invoice' }).waitFor();
  await visit.leave();
});

test('a tab closed while paying: the next visit has the same invoice, or the film if it was paid', async () => {
  const visit = await viewer(browser, site);
  await choose(visit);
  const code = await readQr(visit.paywall.locator('svg.qr'));
  await visit.page.close();

  visit.page = await visit.context.newPage();
  await visit.page.goto(`${site.origin}/watch.html?v=${FILM}`);
  await inState(visit.page, 'paying');
  assert.equal(await readQr(visit.page.locator('hlsgate-paywall svg.qr')), code);
  await visit.page.goto(`${site.origin}/purchases.html`);
  await visit.page.getByRole('link', { name: 'Continue' }).waitFor();
  await visit.page.close();

  await settled();
  visit.page = await visit.context.newPage();
  await visit.page.goto(`${site.origin}/watch.html?v=${FILM}`);
  await inState(visit.page, 'open');
  await plays(visit.page);
  assert.equal(await site.invoiceCount(), 1);
  await visit.leave();
});

test("paying on BTCPay's own page comes back to the film", async () => {
  const visit = await viewer(browser, site, { origins: [site.btcpay], allow: [/favicon/] });
  await choose(visit);
  await visit.paywall.getByRole('link', { name: 'Payment page' }).click();
  await visit.page.locator('#pay').waitFor();
  await visit.page.locator('#pay').click();
  await visit.page.waitForURL((url) => url.href.startsWith(`${site.origin}/watch.html?v=${FILM}`));
  await inState(visit.page, 'open');
  await plays(visit.page);
  await visit.leave();
});

test('an invoice that expired gives a new one; the old one still counts if it is paid late', async () => {
  const visit = await viewer(browser, site);
  await choose(visit);
  const first = await site.invoice();
  await site.fake('expire', { invoice: first.id });
  await inState(visit.page, 'expired');
  await visit.paywall.getByRole('button', { name: 'New invoice' }).click();
  await inState(visit.page, 'paying');
  assert.equal(await site.invoiceCount(), 2);

  // The old invoice is looked at now and then, and at once when the tab wakes up.
  await site.fake('pay', { invoice: first.id });
  await visit.page.evaluate(() => dispatchEvent(new Event('online')));
  await inState(visit.page, 'open');
  await plays(visit.page);
  await visit.leave();
});

test('an invoice that is paid after it expired opens the film in the same place', async () => {
  const visit = await viewer(browser, site);
  await choose(visit);
  const { id } = await site.invoice();
  await site.fake('expire', { invoice: id });
  await inState(visit.page, 'expired');
  await visit.paywall.getByText('a late payment still counts').waitFor();
  await site.fake('pay', { invoice: id });
  await inState(visit.page, 'open');
  await plays(visit.page);
  assert.equal(await site.invoiceCount(), 1);
  await visit.leave();
});

test('a payment in sight waits for confirmation, survives a reload, and opens when confirmed', async () => {
  const visit = await viewer(browser, site);
  await choose(visit);
  const { id } = await site.invoice();
  await site.fake('pay', { invoice: id, method: 'BTC-CHAIN' });
  await inState(visit.page, 'processing');
  assert.match(await visit.card.innerText(), /Payment seen[\s\S]*waiting for confirmation/);
  await visit.page.reload();
  await inState(visit.page, 'processing');
  await site.fake('confirm', { invoice: id });
  await inState(visit.page, 'open');
  await plays(visit.page);
  await visit.leave();
});

test('a payment that never confirms is told, with the number of the invoice', async () => {
  const visit = await viewer(browser, site);
  await choose(visit);
  const { id } = await site.invoice();
  await site.fake('mark', { invoice: id, status: 'Invalid' });
  await inState(visit.page, 'invalid');
  assert.ok((await visit.card.innerText()).includes(id));
  await visit.leave();
});

test('webhooks are lost: the film opens all the same', async () => {
  await site.fake('switches', { webhooks_lost: true });
  const visit = await viewer(browser, site);
  await choose(visit, { video: SHORT });
  await settled();
  await inState(visit.page, 'open');
  await plays(visit.page);
  await visit.leave();
});

test('BTCPay is away: buying says so and works later; waiting goes on', async () => {
  const visit = await viewer(browser, site, { allow: [UNAVAILABLE] });
  await site.fake('switches', { down: '502' });
  await visit.goto(`watch.html?v=${FILM}`);
  await inState(visit.page, 'offers');
  await visit.paywall.getByRole('button', { name: /24 hours/ }).click();
  await visit.paywall.getByRole('alert').waitFor();
  assert.match(await visit.card.innerText(), /payment service cannot be reached just now, so no invoice was made/);
  await site.fake('switches', { down: null });
  await visit.paywall.getByRole('button', { name: /24 hours/ }).click();
  await inState(visit.page, 'paying');

  await site.fake('switches', { down: '502' });
  await settled();
  await site.fake('switches', { down: null });
  await inState(visit.page, 'open', 2 * DEADLINE);
  await plays(visit.page);
  await visit.leave();
});

test('the connection breaks while paying: the page asks again by itself', async () => {
  const visit = await viewer(browser, site, { allow: [/net::ERR_/] });
  await choose(visit);
  await site.closeDoors();
  await visit.paywall.getByText('this page keeps trying').waitFor();
  await settled();
  await site.openDoors();
  await inState(visit.page, 'open', 2 * DEADLINE);
  await plays(visit.page);
  await visit.leave();
});

test('paid in one tab, open in the other', async () => {
  const visit = await viewer(browser, site);
  await visit.goto(`watch.html?v=${FILM}`);
  await inState(visit.page, 'offers');
  const second = await visit.context.newPage();
  await second.goto(`${site.origin}/watch.html?v=${FILM}`);
  await inState(second, 'offers');
  await second.locator('hlsgate-paywall button.offer').first().click();
  await inState(second, 'paying');
  await settled();
  await inState(second, 'open');
  await inState(visit.page, 'open');
  await visit.leave();
});

test('an offer looked at twice makes one invoice; a pass opens its other film', async () => {
  const visit = await viewer(browser, site, { allow: [REFUSED] });
  await choose(visit, { offer: 2 });
  await visit.paywall.getByRole('button', { name: 'Back to the offers' }).click();
  await inState(visit.page, 'offers');
  await visit.paywall.locator('button.offer').nth(2).click();
  await inState(visit.page, 'paying');
  assert.equal(await site.invoiceCount(), 1);
  await settled();
  await inState(visit.page, 'open');
  await visit.goto(`watch.html?v=${SHORT}`);
  await inState(visit.page, 'open');
  await plays(visit.page);
  await visit.context.clearCookies();
  await visit.goto('index.html');
  await visit.page.locator('.unlocked').nth(1).waitFor();
  await visit.leave();
});

test('many buy at once: the page says how many are before, comes again by itself with the same order, and shows the code', async () => {
  const visit = await viewer(browser, site, { allow: [UNAVAILABLE, /status of 404/] });
  const { page, paywall } = visit;
  const orders = [];
  const script = [
    { status: 503, headers: { 'retry-after': '1' }, json: { reason: 'busy' } }, // full: again by itself
    { status: 202, json: { before: 12 } },
    { status: 404, json: { reason: 'not-found' } }, // the daemon was restarted: the same order again
    { status: 202, json: { before: 3 } },
  ];
  const answer = async (route) => {
    const request = route.request();
    orders.push(request.postDataJSON()?.order ?? request.headers().authorization?.replace('Bearer ', '') ?? null);
    const next = script.shift();
    if (next) await route.fulfill(next);
    else await route.continue();
  };
  await visit.context.route('**/hlsgate/videos/*/invoices', answer);
  await visit.context.route('**/hlsgate/order?*', async (route) => (script.length > 0 ? answer(route) : route.fulfill({ status: 404, json: { reason: 'not-found' } })));
  await page.addInitScript(() => {
    window.told = [];
    document.addEventListener('DOMContentLoaded', () => new MutationObserver(() => window.told.push(document.querySelector('hlsgate-paywall').shadowRoot.textContent))
      .observe(document.querySelector('hlsgate-paywall').shadowRoot, { childList: true, subtree: true, characterData: true }));
  });
  await visit.goto(`watch.html?v=${FILM}`);
  await inState(page, 'offers');
  await paywall.locator('button.offer').first().click();
  await inState(page, 'queued');
  await inState(page, 'paying');
  const told = await page.evaluate(() => window.told.join(' '));
  for (const words of ['tries again by itself', 'Before you: 12', 'Before you: 3']) assert.ok(told.includes(words), words);
  assert.match(orders[0], /^[A-Za-z0-9_-]{22,64}$/);
  assert.ok(orders.length >= 5 && new Set(orders).size === 1, 'one order, from the first request on and however often it is asked for');
  assert.equal(await site.invoiceCount(), 1);
  assert.ok(!site.rawLog().includes(orders[0]), 'the order is in no address');
  await visit.leave();
});

test('who waits in the queue can turn away, and buys nothing', async () => {
  const visit = await viewer(browser, site);
  await visit.context.route('**/hlsgate/videos/*/invoices', (route) => route.fulfill({ status: 202, json: { order: 'x', before: 5 } }));
  await visit.context.route('**/hlsgate/order?*', () => {}); // held
  await visit.goto(`watch.html?v=${FILM}`);
  await inState(visit.page, 'offers');
  await visit.paywall.locator('button.offer').first().click();
  await visit.paywall.getByText('Before you: 5').waitFor();
  await visit.paywall.getByRole('button', { name: 'Back to the offers' }).click();
  await inState(visit.page, 'offers');
  await visit.context.unrouteAll({ behavior: 'ignoreErrors' });
  await visit.paywall.locator('button.offer').first().click();
  await inState(visit.page, 'paying');
  assert.equal(await site.invoiceCount(), 1);
  await visit.leave();
});
