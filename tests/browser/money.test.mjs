// Money on its way, as the pages show it: half paid, replaced, late, overpaid, cancelled, and purchases that are over. What BTCPay does is
// played where the stand-in does it; the shop's answers are put in its place where only the words on the page are in question.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { REFUSED, UNAVAILABLE, buy, choose, inState, launch, plays, readQr, viewer } from './browser.mjs';
import { FILM, SHORT, startSite, test, until } from './harness.mjs';

/** Seconds of access in a pass that is over before anybody can watch much of it. */
const BRIEF = 3;

let site, browser;
before(async () => {
  [site, browser] = await Promise.all([
    startSite({ offers: [{ tier: 'brief', price: '2000', currency: 'SATS', duration: `${BRIEF}s` }, { tier: 'forever', price: '3000', currency: 'SATS' }, { tier: 'usd', price: '5.00', currency: 'USD', duration: '7d' }] }),
    launch(),
  ]);
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

/** Requests to the shop that a page makes, by when they began; `busiest()`: the most within ten seconds. */
function counted(page) {
  const times = [];
  page.on('request', (request) => new URL(request.url()).pathname.startsWith('/hlsgate/') && times.push(Date.now()));
  return { times, busiest: () => Math.max(0, ...times.map((at) => times.filter((it) => it >= at && it < at + 10_000).length)) };
}

/** The shop's answers on invoices are this from now on. Held requests are held, as the shop would. */
async function told(visit, answer) {
  await visit.context.unrouteAll({ behavior: 'ignoreErrors' });
  await visit.context.route('**/hlsgate/invoices/*', async (route) => {
    const { searchParams: query } = new URL(route.request().url());
    const json = { video: FILM, tier: 'brief', covers: FILM, facts: JSON.stringify(answer).length.toString(16), ...answer };
    if (query.get('seen') === json.status && query.get('facts') === json.facts) return; // held until the page gives up
    await route.fulfill({ json });
  });
  await visit.page.evaluate(() => dispatchEvent(new Event('online')));
}

const METHODS = (due, bolt11 = 'lnbcrt10u1pnewnewnewnewnewnewnewnewnewnewnewnewnewnewq9d', chain = due) => [
  { id: 'BTC-LN', kind: 'lightning', name: 'Lightning', currency: 'BTC', due, destination: bolt11, uri: `lightning:${bolt11}` },
  { id: 'BTC-CHAIN', kind: 'bitcoin', name: 'Bitcoin', currency: 'BTC', due: chain, destination: 'bcrt1qrestrestrestrestrestrestrestrestrestre', uri: `bitcoin:bcrt1qrestrestrestrestrestrestrestrestrestre?amount=${chain}` },
];
const unified = (methods) => `${methods[1].uri}&lightning=${methods[0].destination}`;
const price = { amount: '0.00002000', currency: 'BTC' };

test('a pass that is over is not pending: offers at once, one line says what ended and when, and it can be bought again', async () => {
  const visit = await viewer(browser, site, { allow: [REFUSED] });
  const { page, paywall } = visit;
  await choose(visit);
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await inState(page, 'open');
  await until(async () => (await page.evaluate(() => Object.values(localStorage).some((it) => it.includes('token')))), 'the purchase to be kept');
  await page.goto('about:blank');
  const bought = Date.now();
  await until(() => Date.now() > bought + (BRIEF + 1) * 1000, 'the pass to be over');

  for (const path of [`watch.html?v=${FILM}`, `embed.html?v=${FILM}`]) {
    const asked = counted(page);
    await visit.goto(path);
    await inState(page, 'offers');
    assert.match(await visit.card.innerText(), /Your access to this video ended on .*\d:\d\d/);
    // As long as the average is taken over; a page that asks in a loop had asked a thousand times.
    await new Promise((resolve) => setTimeout(resolve, 3000));
    assert.ok(asked.busiest() <= 6, `${path}: ${asked.busiest()} requests in three seconds`);
    assert.equal(await paywall.getAttribute('state'), 'offers', 'and it stays there');
  }
  await visit.goto(`watch.html?v=${FILM}`);
  await inState(page, 'offers');
  await paywall.getByRole('button', { name: /Forever/ }).click();
  await inState(page, 'paying');
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await inState(page, 'open');
  await plays(page);
  await visit.leave();
});

test('without storage a pass that is over is not waited for either', async () => {
  const visit = await viewer(browser, site, {
    allow: [REFUSED], init: () => Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('denied', 'SecurityError'); } }),
  });
  const { page } = visit;
  await choose(visit, { video: SHORT });
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await inState(page, 'open');
  await page.goto('about:blank');
  const bought = Date.now();
  await until(() => Date.now() > bought + (BRIEF + 1) * 1000, 'the pass to be over');
  const asked = counted(page);
  await visit.goto(`watch.html?v=${SHORT}`);
  await inState(page, 'offers');
  await new Promise((resolve) => setTimeout(resolve, 3000));
  assert.ok(asked.busiest() <= 6, `${asked.busiest()} requests in three seconds`);
  assert.equal(await visit.paywall.getAttribute('state'), 'offers');
  await visit.leave();
});

test('two offers in two tabs, both paid: the better one is claimed while the other is open, and stays after a reload', async () => {
  const own = await startSite();
  try {
    const visit = await viewer(browser, own);
    await choose(visit, { video: SHORT });
    const day = await own.invoice();
    const second = { ...visit, page: await visit.context.newPage() };
    await second.page.goto(`${own.origin}/watch.html?v=${SHORT}`);
    await inState(second.page, 'paying');
    await second.page.locator('hlsgate-paywall').getByRole('button', { name: 'Back to the offers' }).click();
    await second.page.locator('hlsgate-paywall').getByRole('button', { name: /Forever/ }).click();
    await inState(second.page, 'paying');
    const ever = await own.invoice();
    assert.notEqual(ever.id, day.id);
    await own.fake('pay', { invoice: day.id });
    for (const { page } of [visit, second]) await inState(page, 'open');
    assert.match(await visit.card.innerText(), /You can watch until/);
    await own.fake('pay', { invoice: ever.id });
    await visit.page.evaluate(() => dispatchEvent(new Event('online')));
    await visit.paywall.getByText('It is yours to watch, for ever.').waitFor();
    await visit.page.reload();
    await inState(visit.page, 'open');
    await visit.paywall.getByText('It is yours to watch, for ever.').waitFor();
    await visit.leave();
  } finally {
    await own.stop();
  }
});

test('half paid: what has arrived, what is due, the new code in place of the dead one; after expiry no invitation to pay again', async () => {
  const visit = await viewer(browser, site);
  const { page, paywall } = visit;
  await choose(visit);
  const { id } = await site.invoice();
  const dead = await readQr(paywall.locator('svg.qr'));
  const facts = { invoice: id, checkout_url: `${site.btcpay}/i/${id}`, paid: '0.00001000', partial: true, ...price };

  await told(visit, { ...facts, status: 'new', payable: false, methods: [] });
  await inState(page, 'partial');
  await paywall.getByRole('heading', { name: '1,000 sats of 2,000 sats have arrived' }).waitFor();
  assert.equal(await paywall.locator('svg.qr').count(), 0, 'the dead code is gone before the new one is there');

  const methods = METHODS('0.00001000', undefined, '0.00001200');
  await told(visit, { ...facts, status: 'new', payable: true, methods, unified: unified(methods) });
  await paywall.locator('svg.qr').waitFor();
  await paywall.getByRole('button', { name: 'Lightning', exact: true }).click();
  const fresh = await readQr(paywall.locator('svg.qr'));
  assert.notEqual(fresh, dead);
  assert.equal(fresh, `lightning:${methods[0].destination}`.toUpperCase());
  await paywall.getByRole('button', { name: 'Copy 1,000 sats' }).waitFor();
  assert.ok((await visit.card.innerText()).includes(id));

  await told(visit, { ...facts, status: 'expired', payable: false, methods: [] });
  await inState(page, 'short');
  const text = await visit.card.innerText();
  assert.match(text, /1,000 sats of 2,000 sats have arrived[\s\S]*not lost[\s\S]*do not pay another invoice/);
  assert.ok(text.includes(id));
  assert.equal(await paywall.getByRole('link', { name: 'Payment page' }).getAttribute('href'), facts.checkout_url);
  assert.equal(await paywall.getByRole('button').count(), 0, 'nothing here makes a second invoice');
  await visit.leave();
});

test('what is to be paid is what each way still asks for, never the price: page, link and code agree', async () => {
  const visit = await viewer(browser, site, { permissions: ['clipboard-read', 'clipboard-write'] });
  const { paywall } = visit;
  await choose(visit);
  const { id } = await site.invoice();
  const methods = METHODS('0.00002000', undefined, '0.00002200');
  await told(visit, { status: 'new', invoice: id, checkout_url: `${site.btcpay}/i/${id}`, paid: '0.00000000', payable: true, methods, unified: unified(methods), ...price });
  await paywall.getByText('2,000 sats by Lightning, or 2,200 sats on-chain').waitFor();
  await paywall.getByRole('button', { name: 'On-chain' }).click();
  await paywall.getByRole('heading', { name: 'Pay 2,200 sats' }).waitFor();
  assert.equal(await readQr(paywall.locator('svg.qr')), methods[1].uri, 'a code of its own, all in small letters');
  for (const [name, value] of [['Copy 2,200 sats', '2200'], ['Copy 0.000022 BTC', '0.000022'], ['Copy Bitcoin address', methods[1].destination]]) {
    await paywall.getByRole('button', { name }).click();
    await until(() => visit.page.evaluate(() => navigator.clipboard.readText()).then((it) => it === value), `${value} on the clipboard`);
  }
  await visit.leave();
});

test('the choice of a code is remembered, and the keys of the joint one stay in small letters', async () => {
  const visit = await viewer(browser, site);
  const { page, paywall } = visit;
  await choose(visit);
  const both = await readQr(paywall.locator('svg.qr'));
  assert.match(both, /^bitcoin:BCRT1[A-Z0-9]+\?amount=[0-9.]+&lightning=LNBCRT/);
  await paywall.getByRole('button', { name: 'Lightning', exact: true }).click();
  const alone = await readQr(paywall.locator('svg.qr'));
  assert.match(alone, /^LIGHTNING:LNBCRT[A-Z0-9]+$/);
  await page.reload();
  await inState(page, 'paying');
  assert.equal(await readQr(paywall.locator('svg.qr')), alone);
  await visit.leave();
});

test('a price in other money: the exact satoshis and bitcoin stand beside it, and invoice and address can be compared', async () => {
  const visit = await viewer(browser, site);
  await choose(visit, { offer: 2 });
  const { paywall } = visit;
  await paywall.getByRole('heading', { name: 'Pay $5.00' }).waitFor();
  await paywall.getByRole('button', { name: /^Copy [\d,]+ sats$/ }).waitFor();
  await paywall.getByRole('button', { name: /^Copy 0\.\d+ BTC$/ }).waitFor();
  assert.match(await visit.card.innerText(), /lnbcrt\w+…\w+/);
  assert.match(await visit.card.innerText(), /bcrt1\w+…\w+/);
  await visit.leave();
});

test('other methods keep their own names, links and copy buttons; one without a link leads to the payment page', async () => {
  const visit = await viewer(browser, site);
  const { paywall } = visit;
  await choose(visit);
  const { id } = await site.invoice();
  const methods = [
    { id: 'XMR-CHAIN', kind: 'other', name: 'Monero', currency: 'XMR', due: '0.012', destination: '888tNkZrPN6J', uri: 'monero:888tNkZrPN6J?tx_amount=0.012' },
    { id: 'SOME-THING', kind: 'other', name: 'SOME-THING', currency: 'XYZ', due: '3' },
  ];
  const answer = { status: 'new', invoice: id, checkout_url: `${site.btcpay}/i/${id}`, paid: '0', payable: true, lightning: null, onchain: null, unified: null, ...price };
  await told(visit, { ...answer, methods });
  await paywall.getByRole('button', { name: 'Monero', exact: true }).click();
  assert.equal(await readQr(paywall.locator('svg.qr')), methods[0].uri);
  assert.equal(await paywall.getByRole('link', { name: 'Open in wallet' }).getAttribute('href'), methods[0].uri);
  assert.ok(!/bitcoin:/.test(await visit.card.innerHTML()), 'nothing of it is taken for bitcoin');
  await told(visit, { ...answer, methods: [methods[1]] });
  await paywall.getByRole('link', { name: 'Pay on the payment page' }).waitFor();
  await visit.leave();
});

test('replaced, late, cancelled and overpaid: each in plain words, with the number', async () => {
  const visit = await viewer(browser, site);
  const { page, paywall } = visit;
  await choose(visit);
  const { id } = await site.invoice();
  const facts = { invoice: id, checkout_url: `${site.btcpay}/i/${id}`, ...price };
  const methods = METHODS('0.00002000');
  await told(visit, { ...facts, status: 'processing', paid: '0.00002000', confirmations: { wanted: 2 } });
  await inState(page, 'processing');
  assert.match(await visit.card.innerText(), /Confirmations needed: 2/);
  assert.equal(await paywall.locator('svg.qr').count(), 0, 'once something is seen, the code goes');
  await told(visit, { ...facts, status: 'new', paid: '0', payable: true, methods, unified: unified(methods) });
  await inState(page, 'paying');
  await paywall.getByText('has been replaced or withdrawn').waitFor();

  await told(visit, { ...facts, status: 'expired', late: true, paid: '0.00002000', payable: false });
  await inState(page, 'processing');
  assert.match(await visit.card.innerText(), /came after the time of the invoice[\s\S]*need not pay again/);
  assert.equal(await paywall.getByRole('button', { name: 'New invoice' }).count(), 0);

  await told(visit, { ...facts, status: 'invalid', marked: true, paid: '0.00000000', payable: false });
  await inState(page, 'invalid');
  assert.match(await visit.card.innerText(), /This invoice was cancelled[\s\S]*no payment is known for it/);
  assert.ok((await visit.card.innerText()).includes(id));
  await visit.leave();
});

test('the time is up by the page’s clock: nobody says expired before BTCPay does, and what is not known is said as not known', async () => {
  const visit = await viewer(browser, site);
  const { page, paywall } = visit;
  await choose(visit);
  const { id } = await site.invoice();
  const facts = { invoice: id, checkout_url: `${site.btcpay}/i/${id}`, paid: '0', payable: true, methods: METHODS('0.00002000'), ...price };
  await told(visit, { ...facts, status: 'new', stale: true, invoice_expires_at: Math.floor(Date.now() / 1000) + 2 });
  await inState(page, 'checking');
  const text = await visit.card.innerText();
  assert.match(text, /asking whether a payment has arrived[\s\S]*not known at the moment/);
  assert.ok(!/expired|Nothing has arrived|not been charged/.test(text), text);
  assert.equal(await paywall.locator('svg.qr').count(), 0);
  await told(visit, { ...facts, status: 'expired', stale: false, payable: false });
  await inState(page, 'expired');
  assert.match(await visit.card.innerText(), /No payment had arrived when the payment service was last asked/);
  await visit.leave();
});

test('back from the payment page in another browser: where it opens, how to bring it here, and no word of paying again first', async () => {
  const visit = await viewer(browser, site);
  await visit.goto(`watch.html?v=${FILM}&invoice=HMprBnL9BTXWuPvpoKBS6e`);
  await inState(visit.page, 'offers');
  assert.match(await visit.card.innerText(), /payment page of invoice HMprBnL9BTXWuPvpoKBS6e[\s\S]*opens by itself in the browser where you chose[\s\S]*Move to another device/);
  await visit.leave();

  // In the browser that chose it, the film is simply there.
  const own = await viewer(browser, site);
  await buy(own, site, { video: SHORT, offer: 1 });
  await own.goto(`watch.html?v=${SHORT}&invoice=${(await site.invoice()).id}`);
  await inState(own.page, 'open');
  await own.leave();
});
