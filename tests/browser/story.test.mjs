// The whole story of one film and one viewer, and of the same viewer elsewhere.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before } from 'node:test';
import { buy, inState, launch, plays, readQr, viewer } from './browser.mjs';
import { FILM, startSite, test } from './harness.mjs';

let site, browser;
before(async () => {
  [site, browser] = await Promise.all([startSite(), launch()]);
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

test('catalogue, locked, offers, QR, paid, playing, reload: still playing', async (t) => {
  const visit = await viewer(browser, site);
  const { page, paywall, card } = visit;
  await visit.goto('index.html');
  const entry = page.locator('.card', { hasText: 'The Long Way Home' });
  await entry.getByText('from 1,000 sats').waitFor();
  await entry.locator('a').click();

  await inState(page, 'offers');
  assert.equal(await page.locator('h1').textContent(), 'The Long Way Home');
  assert.match(await card.innerText(), /24 hours[\s\S]*1,000 sats[\s\S]*Forever[\s\S]*3,000 sats[\s\S]*“summer”[\s\S]*20,000 sats/);
  assert.equal(await page.evaluate(() => document.querySelector('video').currentSrc), '', 'a locked film is not even asked for');
  assert.equal((await page.evaluate((id) => fetch(`/hls/${id}/master.m3u8`).then((it) => it.status), FILM).catch(() => 0)), 403);
  visit.complaints.length = 0; // the refusal that was just provoked

  await paywall.getByRole('button', { name: /24 hours/ }).click();
  await inState(page, 'paying');
  const invoice = await site.invoice();
  const shown = await readQr(paywall.locator('svg.qr'));
  const methods = await fetch(`${site.origin}/hlsgate/videos/${FILM}`).then((it) => it.json());
  assert.equal(methods.access.granted, false);
  const wallet = await paywall.getByRole('link', { name: 'Open in wallet' }).getAttribute('href');
  const bolt11 = wallet.replace(/^lightning:/, '');
  assert.match(bolt11, /^lnbcrt/);
  assert.ok(shown.toLowerCase().startsWith('bitcoin:bcrt1'), shown);
  assert.ok(shown.toLowerCase().endsWith(`lightning=${bolt11}`) || shown.toLowerCase().includes(`lightning=${bolt11}&`), shown);
  assert.match(shown, /amount=0\.00000?1/);
  assert.match(await paywall.locator('[part~=countdown]').innerText(), /Valid for\s+(30:00|29:5\d)/);

  await site.fake('pay', { invoice: invoice.id });
  await inState(page, 'open');
  assert.equal(page.url(), `${site.origin}/watch.html?v=${FILM}`, 'in place: no reload, no redirect');
  await plays(page);
  assert.match(await card.innerText(), /Paid\. Enjoy[\s\S]*You can watch until/);

  await page.reload();
  await inState(page, 'open');
  await plays(page);
  await visit.goto('index.html');
  await page.locator('.card', { hasText: 'The Long Way Home' }).getByText('Unlocked').waitFor();
  await visit.leave();
  t.diagnostic(`invoice ${invoice.id}`);
});

test('another browser is locked, and restores by code, by file and by link', async () => {
  const first = await viewer(browser, site, { permissions: ['clipboard-read', 'clipboard-write'], acceptDownloads: true });
  await buy(first, site);
  await first.paywall.getByRole('button', { name: 'Copy the code' }).click();
  await first.paywall.getByRole('button', { name: 'Copied' }).waitFor();
  const code = await first.page.evaluate(() => navigator.clipboard.readText());
  const [download] = await Promise.all([first.page.waitForEvent('download'), first.paywall.getByRole('button', { name: 'Save as a file' }).click()]);
  const file = readFileSync(await download.path(), 'utf8');
  assert.match(download.suggestedFilename(), /^purchases-127\.0\.0\.1\.json$/);

  await first.goto('purchases.html');
  await first.page.getByText('Move to another device').click();
  const link = await readQr(first.page.locator('.move svg.qr'));
  await first.page.getByRole('button', { name: 'Copy the link' }).click();
  await first.page.getByRole('button', { name: 'Copied' }).waitFor();
  assert.equal(await first.page.evaluate(() => navigator.clipboard.readText()), link, 'the QR code is the link');
  assert.ok(link.startsWith(`${site.origin}/watch.html?v=${FILM}#restore=`));
  await first.leave();

  for (const [name, restore] of Object.entries({
    code: async ({ page }) => {
      await page.getByLabel('Code or link').fill(`my code: ${code}\n`);
      await page.getByRole('button', { name: 'Restore' }).click();
    },
    file: ({ page }) => page.locator('#file').setInputFiles({ name: 'purchases.json', mimeType: 'application/json', buffer: Buffer.from(file) }),
  })) {
    const other = await viewer(browser, site);
    await other.goto(`watch.html?v=${FILM}`);
    await inState(other.page, 'offers');
    await other.paywall.getByText('Restore it here').click();
    await other.paywall.getByRole('link', { name: 'My purchases' }).click();
    await restore(other);
    await other.page.getByText('Restored: 1').waitFor();
    await other.page.locator('.entry').getByRole('link', { name: 'Watch' }).click();
    await inState(other.page, 'open');
    await plays(other.page);
    await other.leave();
    assert.ok(true, name);
  }

  // On a slow line the page is there before its script.
  const early = await viewer(browser, site);
  let arrives;
  const script = new Promise((resolve) => { arrives = resolve; });
  await early.page.route('**/purchases.js', (route) => script.then(() => route.continue()));
  await early.page.goto(`${site.origin}/purchases.html`, { waitUntil: 'commit' });
  assert.ok(await early.page.getByRole('button', { name: 'Restore' }).isDisabled(), 'nobody would hear it');
  await early.page.locator('#file').setInputFiles({ name: 'purchases.json', mimeType: 'application/json', buffer: Buffer.from(file) });
  arrives();
  await early.page.getByText('Restored: 1').waitFor();
  assert.ok(await early.page.getByRole('button', { name: 'Restore' }).isEnabled());
  await early.leave();

  const third = await viewer(browser, site);
  await third.page.goto(link);
  await inState(third.page, 'open');
  await plays(third.page);
  assert.equal(new URL(third.page.url()).hash, '', 'the purchase is taken out of the address');
  await third.leave();
  assert.ok(!/eyJ/.test(site.accessLog()), 'no token reached the access log');
});

test('the claim alone restores too, and so does a code whose token cannot be read any more', async () => {
  const first = await viewer(browser, site);
  await buy(first, site);
  const { token, claim } = await first.page.evaluate(() => JSON.parse(Object.entries(localStorage).find(([key]) => key.startsWith('hlsgate:purchase:'))[1]));
  const { id } = await site.invoice();
  await first.leave();
  const stale = `${token.split('.').slice(0, 2).join('.')}.${'A'.repeat(43)}`;
  for (const code of [`${id}~${claim}`, `${stale},${id}~${claim}`]) {
    const other = await viewer(browser, site, { allow: [/status of 403/] });
    await other.goto('purchases.html');
    await other.page.getByLabel('Code or link').fill(code);
    await other.page.getByRole('button', { name: 'Restore' }).click();
    await other.page.getByText('Restored: 1').waitFor();
    assert.equal(await other.page.evaluate(() => JSON.parse(Object.entries(localStorage).find(([key]) => key.startsWith('hlsgate:purchase:'))[1]).token), token, 'the same bytes');
    await other.leave();
  }
});

test('a purchase is removed, and a damaged code is told apart', async () => {
  const visit = await viewer(browser, site, { allow: [/status of 403/] });
  await buy(visit, site);
  await visit.goto('purchases.html');
  const token = await visit.page.evaluate(() => JSON.parse(Object.entries(localStorage).find(([key]) => key.startsWith('hlsgate:purchase:'))[1]).token);
  await visit.page.getByRole('button', { name: 'Remove' }).click();
  await visit.page.getByRole('button', { name: 'Keep it' }).click();
  assert.equal(await visit.page.locator('.entry').count(), 1);
  await visit.page.getByRole('button', { name: 'Remove' }).click();
  await visit.page.getByRole('button', { name: 'Remove' }).click();
  await visit.page.getByText('Removed.').waitFor();
  assert.equal(await visit.page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith('hlsgate:purchase:')).length), 0);
  // What a cookie still opens is not hushed up.
  await visit.page.locator('.entry', { hasText: 'Opened by a cookie only' }).waitFor();
  await visit.context.clearCookies();
  await visit.page.reload();
  await visit.page.getByText('Nothing bought in this browser yet.').waitFor();

  for (const [text, message] of [['hello', 'No purchase was found in it'], [`${token.slice(0, -4)}AAAA`, 'damaged, or from another site']]) {
    await visit.page.getByLabel('Code or link').fill(text);
    await visit.page.getByRole('button', { name: 'Restore' }).click();
    await visit.page.locator('#told', { hasText: message }).waitFor();
  }
  await visit.leave();
});
