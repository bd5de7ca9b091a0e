// Payments that take a turn on their way, with the whole shop: pages, daemon and the stand-in BTCPay, no answer put in place of another.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { REFUSED, UNAVAILABLE, choose, inState, launch, plays, readQr, viewer } from './browser.mjs';
import { FILM, SHORT, startSite, test, until } from './harness.mjs';

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

test('the Lightning node is away while the time passes: not known, and nobody is pushed to pay twice; it answers, and the page follows', async () => {
  const own = await startSite();
  try {
    await own.allow('canviewlightninginvoice');
    const visit = await viewer(browser, own);
    const { page, paywall } = visit;
    for (const paid of [false, true]) {
      await choose(visit, { video: paid ? FILM : SHORT });
      const { id } = await own.invoice();
      await own.fake('lightning', { away: 600 });
      if (paid) assert.equal((await own.fake('pay', { invoice: id })).seen, false);
      await own.fake('expire', { invoice: id });
      await inState(page, 'expired');
      await paywall.getByRole('heading', { name: 'The time for this invoice is over' }).waitFor();
      const text = await visit.card.innerText();
      assert.match(text, /not known at the moment whether a payment has arrived/);
      assert.ok(!/No payment had arrived|has expired/.test(text), text);
      assert.equal(await paywall.locator('.primary').count(), 0, 'no button stands out');
      // The node is back.
      await own.fake('clock', { advance: 700 });
      if (paid) await inState(page, 'open');
      else await paywall.getByText('No payment had arrived when the payment service was last asked').waitFor();
    }
    await plays(page);
    await visit.leave();
  } finally {
    await own.stop();
  }
});

test('BTCPay is away while the time passes: not known, and nobody says expired; back again, who has paid watches, and who has not may choose anew', async () => {
  const own = await startSite();
  try {
    for (const paid of [true, false]) {
      const visit = await viewer(browser, own);
      const { page, paywall } = visit;
      // By the page's clock ten seconds are left to pay.
      await own.fake('clock', { set: Math.floor(Date.now() / 1000) - 1790 });
      await choose(visit, { video: paid ? SHORT : FILM });
      const { id } = await own.invoice();
      await own.fake('switches', { down: '502' });
      if (paid) await own.fake('pay', { invoice: id });
      await inState(page, 'checking');
      await paywall.getByText('What has arrived is not known at the moment').waitFor();
      const text = await visit.card.innerText();
      assert.match(text, /asking whether a payment has arrived/);
      assert.ok(!/expired|No payment|not been charged/.test(text), text);
      assert.equal(await paywall.getByRole('button', { name: 'New invoice' }).count(), 0);
      // BTCPay's own clock gets there, too.
      if (!paid) await own.fake('clock', { advance: 1790 });
      await own.fake('switches', { down: null });
      await inState(page, paid ? 'open' : 'expired');
      await visit.leave();
    }
  } finally {
    await own.stop();
  }
});

test('paid in another browser: that one says so and how to bring the film there, this one plays, and the link does bring it', async () => {
  const visit = await viewer(browser, site);
  const phone = await viewer(browser, site, { origins: [new URL(site.btcpay).origin], allow: [/favicon/], locale: 'en-GB' });
  await choose(visit, { video: SHORT });
  const { id } = await site.invoice();
  const checkout = await visit.paywall.getByRole('link', { name: 'Payment page' }).getAttribute('href');
  await phone.page.goto(checkout);
  await phone.page.locator('#return').click();
  await inState(phone.page, 'offers');
  assert.match(await phone.card.innerText(), new RegExp(`payment page of invoice ${id}. If it is paid, the video opens by itself`), 'not paid yet, and not called so');

  await phone.page.goto(checkout);
  await phone.page.locator('#pay').click();
  await inState(phone.page, 'offers');
  assert.match(await phone.card.innerText(), new RegExp(`Invoice ${id} is paid, says the payment page. The video opens by itself in the browser where you chose[\\s\\S]*Move to another device`));
  await inState(visit.page, 'open');
  await plays(visit.page);

  // As the words say.
  await visit.goto('purchases.html');
  const entry = visit.page.locator(`#purchases [data-id="${id}"]`);
  await entry.getByText('Move to another device').click();
  const link = await entry.locator('.move textarea').first().inputValue();
  await phone.page.goto(link);
  await inState(phone.page, 'open');
  await plays(phone.page);
  await visit.leave();
  await phone.leave();
});

test('another coin: by its own name, its own link in the code, nothing taken for bitcoin, open once it is confirmed', async () => {
  const own = await startSite({ methods: ['BTC-LN', 'XMR-CHAIN'] });
  try {
    await own.fake('switches', { methods: ['BTC-LN', 'BTC-CHAIN', 'XMR-CHAIN'], rates: { XMR: '250' } });
    const visit = await viewer(browser, own);
    const { page, paywall } = visit;
    await choose(visit);
    const { id } = await own.invoice();
    await paywall.getByRole('button', { name: 'Monero', exact: true }).click();
    const code = await readQr(paywall.locator('svg.qr'));
    assert.match(code, /^monero:8\w{94}\?tx_amount=0\.0025$/);
    assert.equal(await paywall.getByRole('link', { name: 'Open in wallet' }).getAttribute('href'), code);
    await paywall.getByRole('button', { name: 'Copy XMR 0.0025' }).waitFor();
    assert.ok(!/bitcoin:/i.test(await visit.card.innerHTML()), 'nothing of it is taken for bitcoin');
    await own.fake('pay', { invoice: id, method: 'XMR-CHAIN' });
    await inState(page, 'processing');
    await own.fake('confirm', { invoice: id });
    await inState(page, 'open');
    await visit.leave();
  } finally {
    await own.stop();
  }
});

test('a server with older keys does not know the claim for a while: it is kept, and opens the film when the right keys are back', async () => {
  const visit = await viewer(browser, site, { allow: [REFUSED, UNAVAILABLE] });
  const { page } = visit;
  await choose(visit);
  const { id } = await site.invoice();
  const right = await site.useKeys([{ kty: 'oct', kid: 'old', alg: 'HS256', k: Buffer.alloc(32, 9).toString('base64url') }]);
  await page.evaluate(() => dispatchEvent(new Event('online')));
  await inState(page, 'offers');
  assert.match(await visit.card.innerText(), /does not know this purchase at the moment[\s\S]*kept/);
  await site.fake('pay', { invoice: id });
  await site.useKeys(right);
  await inState(page, 'open');
  await plays(page);
  await visit.leave();
});

test('back to the offers, and paid after all: the invoice was set aside, not thrown away, also where the site cancelled it', async () => {
  const visit = await viewer(browser, site);
  const { page, paywall } = visit;
  for (const cancelled of [false, true]) {
    await choose(visit, { video: cancelled ? FILM : SHORT });
    const { id } = await site.invoice();
    if (cancelled) {
      await site.fake('mark', { invoice: id, status: 'Invalid' });
      await inState(page, 'invalid');
    }
    await paywall.getByRole('button', { name: 'Back to the offers' }).click();
    await inState(page, 'offers');
    await page.reload();
    await inState(page, 'offers');
    await site.fake('pay', { invoice: id });
    await until(async () => {
      await page.evaluate(() => dispatchEvent(new Event('online')));
      return (await paywall.getAttribute('state')) === 'open';
    }, 'the purchase to be found');
  }
  await visit.leave();
});

test('without storage a cancelled invoice is told as over, waited for by nobody, and opens when it is paid all the same', async () => {
  const visit = await viewer(browser, site, { init: () => Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('denied', 'SecurityError'); } }) });
  const { page, paywall } = visit;
  await choose(visit);
  const { id } = await site.invoice();
  await site.fake('mark', { invoice: id, status: 'Invalid' });
  await page.reload();
  await inState(page, 'offers');
  await paywall.getByText(`The site has cancelled invoice ${id}`).waitFor();
  await site.fake('pay', { invoice: id });
  await page.reload();
  await inState(page, 'open');
  await visit.leave();
});
