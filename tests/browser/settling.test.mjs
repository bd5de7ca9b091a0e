// Payments that take a turn on their way, with the whole shop: pages, daemon and the stand-in BTCPay, no answer put in place of another.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { UNAVAILABLE, choose, inState, launch, readQr, viewer } from './browser.mjs';
import { FILM, startSite, test, until } from './harness.mjs';

let site, browser;
before(async () => {
  [site, browser] = await Promise.all([startSite({ offers: [{ tier: 'day', price: '2000', currency: 'SATS', duration: '24h' }] }), launch()]);
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

const HALF = '0.00001';

test('half on-chain, then exactly the other half: seen, not asked for the network fee, and open once it is confirmed', async () => {
  const visit = await viewer(browser, site);
  const { page, paywall } = visit;
  await choose(visit);
  const { id } = await site.invoice();
  await site.fake('switches', { network_fee: '0.000002' });
  await site.fake('pay', { invoice: id, method: 'BTC-CHAIN', amount: HALF });
  await inState(page, 'partial');
  await site.fake('pay', { invoice: id, method: 'BTC-CHAIN', amount: HALF });
  await inState(page, 'processing');
  assert.equal(await paywall.locator('svg.qr').count(), 0, 'who has sent the price is asked for nothing more');
  await site.fake('confirm', { invoice: id });
  await inState(page, 'open');
  await site.fake('switches/reset', {});
  await visit.leave();
});

test('half on-chain: the old Lightning invoice goes at once, the one over the rest comes by itself and completes the price', async () => {
  const visit = await viewer(browser, site);
  const { page, paywall } = visit;
  await choose(visit);
  const { id } = await site.invoice();
  const code = paywall.locator('svg.qr');
  await paywall.getByRole('button', { name: 'Lightning', exact: true }).click();
  const old = await readQr(code);
  await site.fake('switches', { bolt11_renewal_ms: 1500 });
  await site.fake('pay', { invoice: id, method: 'BTC-CHAIN', amount: HALF });
  await inState(page, 'partial');
  await paywall.getByText('A code for the rest is on its way').waitFor();
  assert.equal(await code.count(), 0, 'nobody pays the whole price by the old one');
  await code.waitFor();
  const rest = await readQr(code);
  assert.notEqual(rest, old);
  await site.fake('pay', { destination: rest.replace(/^LIGHTNING:/, '').toLowerCase() });
  await inState(page, 'processing');
  await site.fake('confirm', { invoice: id });
  await inState(page, 'open');
  await site.fake('switches/reset', {});
  await visit.leave();
});

test('paid and never confirmed: after a reload nothing invites to pay once more under the name of that invoice', async () => {
  const visit = await viewer(browser, site);
  const { page, paywall } = visit;
  await choose(visit);
  const { id } = await site.invoice();
  await site.fake('pay', { invoice: id, method: 'BTC-CHAIN' });
  await inState(page, 'processing');
  await site.fake('expire', { invoice: id });
  await site.fake('stop-monitoring', { invoice: id });
  await inState(page, 'invalid');
  await page.reload();
  await inState(page, 'offers');
  await paywall.getByText(`The payment for invoice ${id} was not confirmed`).waitFor();
  const text = await visit.card.innerText();
  assert.ok(!/not paid in full|Go on with this invoice/.test(text), text);
  await visit.leave();
});

test('cancelled before anything was paid: said so after a reload too, and not as a payment that failed', async () => {
  const visit = await viewer(browser, site);
  const { page, paywall } = visit;
  await choose(visit);
  const { id } = await site.invoice();
  await site.fake('mark', { invoice: id, status: 'Invalid' });
  await inState(page, 'invalid');
  await page.reload();
  await inState(page, 'offers');
  await paywall.getByText(`The site has cancelled invoice ${id}`).waitFor();
  // The operator takes it back. Nobody has to press anything; a later look is made here by coming back.
  await site.fake('mark', { invoice: id, status: 'Settled' });
  await until(async () => {
    await page.evaluate(() => dispatchEvent(new Event('online')));
    return (await paywall.getAttribute('state')) === 'open';
  }, 'the purchase to be found again');
  await visit.leave();
});

test('the answer to a purchase is lost on its way: the page asks with the same order, and there is one invoice', async () => {
  const visit = await viewer(browser, site, { allow: [UNAVAILABLE, /net::ERR_/] });
  const { page } = visit;
  const before = await site.invoiceCount();
  let reached;
  await visit.context.route('**/hlsgate/videos/*/invoices', async (route) => {
    if (reached) return route.continue();
    reached = true;
    await route.fetch();
    await route.abort('connectionreset');
  });
  await visit.goto(`watch.html?v=${FILM}`);
  await inState(page, 'offers');
  await visit.paywall.locator('button.offer').first().click();
  await inState(page, 'paying');
  assert.equal(await site.invoiceCount(), before + 1);
  await visit.leave();
});
