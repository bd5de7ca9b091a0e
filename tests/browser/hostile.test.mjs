// What others write, and what a browser does to a page: hostile addresses, files and storage; two tabs; back and forward.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { REFUSED, UNAVAILABLE, choose, control, inState, launch, plays, viewer } from './browser.mjs';
import { DEADLINE, FILM, SHORT, mint, startSite, test, until } from './harness.mjs';

const MARKUP = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>';

let site, browser;
before(async () => {
  [site, browser] = await Promise.all([startSite(), launch()]);
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

const noMarkup = async (page) => {
  assert.deepEqual(await page.evaluate(() => [window.hit, document.querySelectorAll('img[onerror], img[src=x], body script').length]), [undefined, 0]);
};

/** What this browser keeps under a prefix, parsed. */
const kept = (page, kind) => page.evaluate((prefix) => Object.entries(localStorage).filter(([key]) => key.startsWith(prefix)).map(([, text]) => JSON.parse(text)), `hlsgate:${kind}:`);

async function restore(page, text) {
  await page.getByLabel('Code or link').fill(text);
  await page.getByRole('button', { name: 'Restore' }).click();
}

test('a videos.json that others had a hand in: text stays text, and what is broken is left out', async () => {
  const visit = await viewer(browser, site, { allow: [/violates the following Content Security Policy/] });
  await visit.context.route('**/videos.json', (route) => route.fulfill({ json: { videos: [
    null, 7, { title: 'without an id' }, { id: 8 },
    { id: FILM, title: MARKUP, description: MARKUP, poster: 'javascript:window.hit=1', duration: 'long', width: '1; } * { display: none', height: 2,
      captions: [{ lang: 'en', label: MARKUP, src: `/hls/${FILM}/en.vtt` }], preview: null },
    { id: SHORT, captions: null },
    { id: '../../purchases.html?x', title: 'a path' },
  ] } }));
  await visit.goto('index.html');
  await visit.page.locator('.offer-line .icon').nth(1).waitFor();
  assert.deepEqual(await visit.page.locator('.card .name').allTextContents(), [MARKUP, SHORT, 'a path']);
  await noMarkup(visit.page);

  await visit.page.locator('.card a').first().click();
  await inState(visit.page, 'offers');
  assert.equal(await visit.page.locator('h1').textContent(), MARKUP);
  await visit.paywall.locator('button.offer').first().click();
  await inState(visit.page, 'paying');
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await inState(visit.page, 'open');
  await plays(visit.page);
  // Plyr writes the labels of captions as markup.
  await control(visit.page, visit.page.getByRole('button', { name: 'Settings' }));
  await control(visit.page, visit.page.getByRole('menuitem', { name: /Captions/ }));
  await visit.page.getByRole('menuitemradio', { name: /img src=x/ }).waitFor();
  await noMarkup(visit.page);
  await visit.goto('purchases.html');
  assert.equal(await visit.page.locator('.entry strong').first().textContent(), MARKUP);
  await noMarkup(visit.page);
  await visit.goto(`watch.html?v=${SHORT}`);
  await inState(visit.page, 'offers');
  await visit.leave();
});

test('a videos.json that is no list is told in words, and the film is sold all the same', async () => {
  const visit = await viewer(browser, site);
  for (const body of ['{"videos":{}}', '[]', 'null', '{', '<html>']) {
    await visit.context.route('**/videos.json', (route) => route.fulfill({ body, contentType: 'application/json' }));
    await visit.goto('index.html');
    await visit.page.getByText('could not be loaded').waitFor();
    await visit.goto(`watch.html?v=${FILM}`);
    await inState(visit.page, 'offers');
    assert.equal(await visit.page.locator('h1').textContent(), FILM);
  }
  await visit.leave();
});

test('a hostile id in the address is text, and no such video', async () => {
  const visit = await viewer(browser, site);
  for (const id of [MARKUP, '..', '../invoices/x', '%00', 'a/b', '?token=x', 'x'.repeat(7000), '\u202e‮gnp.exe', '{video}', 'constructor/__proto__']) {
    await visit.goto(`watch.html?v=${encodeURIComponent(id)}`);
    await inState(visit.page, 'trouble');
    assert.match(await visit.card.innerText(), /no such video/, id.slice(0, 50));
    assert.ok(await visit.page.evaluate(() => document.scrollingElement.scrollWidth <= innerWidth), id.slice(0, 50));
    await noMarkup(visit.page);
  }
  assert.ok(!/GET \/hlsgate\/videos\/[^ ]*(%2F|\.\.|\/)/i.test(site.rawLog().replaceAll('/invoices', '')), 'no request that such an id leads elsewhere');
  await visit.leave();
});

test('a hostile fragment neither stops the page nor stays in the address', async () => {
  const visit = await viewer(browser, site, { allow: [REFUSED] });
  const tokens = Array.from({ length: 1100 }, (_, index) => mint({ jti: `j${index}` }, { kid: 'other', bytes: Buffer.alloc(32, 9) })).join(',');
  for (const hash of ['#restore=%', '#restore=%E0%A4%A', `#restore=${MARKUP}`, '#restore=', `#restore=${tokens}`]) {
    for (const [path, ready] of [[`watch.html?v=${SHORT}`, 'hlsgate-paywall[state=offers]'], ['purchases.html', '#message.bad']]) {
      await visit.goto('index.html');
      await visit.goto(`${path}${hash}`);
      await visit.page.locator(ready).waitFor();
      await visit.page.waitForFunction(() => location.hash === '');
      await noMarkup(visit.page);
    }
  }
  // What looks like the beginning of a token at every third character takes no longer than other text.
  for (const word of ['eyJ', 'aB3', 'eyJ.eyJ']) {
    await visit.page.evaluate((it) => { location.hash = `restore=${it.repeat(100_000)}~`; }, word);
    await visit.page.waitForFunction(() => location.hash === '', undefined, { timeout: 10_000 });
  }
  await visit.leave();
});

test('a back-up that is too large, empty, broken or of another site is told apart', async () => {
  const visit = await viewer(browser, site, { allow: [REFUSED] });
  await visit.goto('purchases.html');
  const { page } = visit;
  const choose = (body, times = 1) => page.evaluate(([bytes, count]) => {
    const picked = new DataTransfer();
    picked.items.add(new File(Array(count).fill(new Uint8Array(bytes)), 'purchases.json', { type: 'application/json' }));
    const input = document.getElementById('file');
    input.files = picked.files;
    input.dispatchEvent(new Event('change'));
  }, [[...Buffer.from(body)], times]);
  const said = (text) => page.locator('#told.bad', { hasText: text }).waitFor();
  const other = { kid: 'k9', bytes: Buffer.alloc(32, 9) };

  await choose('x', 9_000_000);
  await said('too large to be a backup');
  // The second one is read long before the first one is: each has its answer in its turn.
  await page.evaluate(() => {
    window.said = [];
    new MutationObserver(() => window.said.push(document.getElementById('told').textContent)).observe(document.getElementById('told'), { childList: true });
  });
  await Promise.all([choose('eyJ'.repeat(1000), 1500), choose('')]);
  await page.waitForFunction(() => ['too large', 'No purchase'].every((part) => window.said.some((it) => it.includes(part))));
  await said('No purchase was found');
  await choose(Buffer.from([0xff, 0xfe, 0, 0, 1, 2, 3]));
  await said('No purchase was found');
  await choose(JSON.stringify({ hlsgate: 1, purchases: [{ token: 7, claim: {} }] }));
  await said('No purchase was found');
  await restore(page, mint({ jti: 'x1' }, other));
  await said('from another site, or too old');
  await restore(page, mint({ jti: 'x2' }, { ...other, kid: 'k1' }));
  await said('damaged, or from another site');
  await restore(page, `HMprBnL9BTXWuPvpoKBS6e~${'A'.repeat(64)}`);
  await said('does not know this purchase');
  await restore(page, mint({ jti: 'x3', exp: 1_700_000_000 }));
  await said('has ended');
  assert.deepEqual(await kept(page, 'purchase'), []);

  // A file that was cut short still has its first purchases.
  await choose(`{"hlsgate":1,"purchases":[{"title":"${MARKUP.replaceAll('"', '\\"')}","token":"${mint({ jti: 'good1' })}"},{"token":"eyJhb`);
  await page.getByText('Restored: 1').waitFor();
  await noMarkup(page);
  await visit.leave();
});

test('storage that others wrote into: what cannot be read is as good as absent', async () => {
  const visit = await viewer(browser, site, { allow: [REFUSED] });
  await visit.goto('purchases.html');
  const claims = (it) => `eyJhbGciOiJIUzI1NiJ9.${Buffer.from(JSON.stringify(it)).toString('base64url')}.AAAA`;
  const entries = {
    'purchase:a': '7', 'purchase:b': 'null', 'purchase:c': '[]', 'purchase:d': '{"token":"', 'purchase:e': '"x"', 'purchase:f': '{"token":{"split":1}}',
    'purchase:g': JSON.stringify({ token: claims({ jti: 'g', sub: 'x', tier: 't', iat: 1, exp: 'soon' }) }),
    'purchase:h': JSON.stringify({ token: claims({ jti: 'h', sub: 'x', tier: {}, iat: 1 }) }),
    'purchase:i': JSON.stringify({ token: claims({ jti: 'i', sub: '*', tier: MARKUP, iat: 1, exp: 9_007_199_254_740_991 }), title: MARKUP, video: MARKUP }),
    'pending:a': '7', 'pending:b': 'null', 'pending:c': '{}', 'pending:d': JSON.stringify({ invoice: 'x', video: FILM, status: 'new', claim: 'nonsense', made_at: 'long ago' }),
    language: '__proto__',
  };
  await visit.page.evaluate((all) => Object.entries(all).forEach(([key, text]) => localStorage.setItem(`hlsgate:${key}`, text)), entries);
  await visit.goto('purchases.html');
  await visit.page.locator('.entry', { hasText: 'onerror' }).waitFor();
  assert.equal(await visit.page.locator('#purchases .entry').count(), 1);
  await noMarkup(visit.page);
  for (const path of ['index.html', `watch.html?v=${FILM}`]) {
    await visit.goto(path);
    await visit.page.locator('hlsgate-paywall[state=offers], .offer-line .icon').first().waitFor();
    await noMarkup(visit.page);
  }
  await visit.leave();
});

test('storage is full: what it holds is still there, a new purchase plays, and the viewer is told to save it', async () => {
  const visit = await viewer(browser, site, { permissions: ['clipboard-read', 'clipboard-write'] });
  const { page, paywall } = visit;
  await visit.goto(`purchases.html#restore=${mint({ sub: SHORT, jti: 'before1' })}`);
  await page.getByText('Restored: 1').waitFor();
  await page.evaluate(() => {
    for (let size = 1 << 20; size >= 1; size >>= 1) {
      try {
        for (let turn = 0; turn < 8; turn += 1) localStorage.setItem(`fill${size}.${turn}`, 'x'.repeat(size));
      } catch { /* the next size is half of it */ }
    }
  });
  await page.reload();
  await page.locator('.entry', { hasText: 'Northern Lights' }).waitFor();
  await choose(visit);
  assert.match(await visit.card.innerText(), /Pay 1,000 sats/);
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await inState(page, 'open');
  await plays(page);
  await paywall.getByText('Save this purchase now').waitFor();
  await paywall.getByRole('button', { name: 'Copy the code' }).click();
  await paywall.getByRole('button', { name: 'Copied' }).waitFor();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^eyJ.*~/);
  await page.reload();
  await inState(page, 'open');
  await visit.goto('purchases.html');
  await page.locator('.entry', { hasText: 'Northern Lights' }).getByRole('button', { name: 'Remove' }).click();
  await page.locator('.entry', { hasText: 'Northern Lights' }).getByRole('button', { name: 'Remove' }).click();
  await page.reload();
  // The new purchase is in a cookie alone.
  await page.locator('.entry', { hasText: 'Opened by a cookie only' }).filter({ hasText: 'The Long Way Home' }).waitFor();
  assert.deepEqual(await kept(page, 'purchase'), [], 'removed for good');
  await visit.leave();
});

test('a double click, and two tabs at once, make one invoice: it cannot be paid twice', async () => {
  const visit = await viewer(browser, site);
  const count = await site.invoiceCount();
  await visit.goto(`watch.html?v=${FILM}`);
  await inState(visit.page, 'offers');
  await visit.paywall.locator('button.offer').first().evaluate((button) => {
    button.click();
    button.click();
    button.click();
  });
  await inState(visit.page, 'paying');
  assert.equal(await site.invoiceCount(), count + 1);

  // Browsers tell a tab of what another one stored in their own time: the other's turn comes a while after that.
  const held = await visit.page.evaluate(async (video) => {
    const { Hlsgate } = await import('./hlsgate.js');
    await new Hlsgate().buy(video, 'forever');
    return (await navigator.locks.query()).held.map((it) => it.name);
  }, FILM);
  assert.deepEqual(held, [`hlsgate:buy:${FILM}`]);
  assert.equal(await site.invoiceCount(), count + 2);

  const tabs = [visit.page, await visit.context.newPage()];
  for (const tab of tabs) {
    await tab.goto(`${site.origin}/watch.html?v=${SHORT}`);
    await inState(tab, 'offers');
  }
  await Promise.all(tabs.map((tab) => tab.locator('hlsgate-paywall button.offer').first().evaluate((button) => button.click())));
  await Promise.all(tabs.map((tab) => inState(tab, 'paying')));
  assert.equal(await site.invoiceCount(), count + 3);
  await site.fake('pay', { invoice: (await site.invoice()).id });
  for (const tab of tabs) await inState(tab, 'open');
  await visit.leave();
});

test('paid with another offer in another tab: the tab that shows a QR code stops asking for money', async () => {
  const visit = await viewer(browser, site);
  await choose(visit);
  const second = await visit.context.newPage();
  await second.goto(`${site.origin}/watch.html?v=${FILM}`);
  await inState(second, 'paying');
  await second.locator('hlsgate-paywall').getByRole('button', { name: 'Back to the offers' }).click();
  await second.locator('hlsgate-paywall button.offer').nth(2).click();
  await second.locator('hlsgate-paywall').getByRole('heading', { name: 'Pay 20,000 sats' }).waitFor();
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await inState(second, 'open');
  await inState(visit.page, 'open');
  await visit.leave();
});

test('the purchase is kept before its QR code is shown', async () => {
  const visit = await viewer(browser, site, {
    init: () => {
      window.shown = [];
      const { setItem } = Storage.prototype;
      Storage.prototype.setItem = function keep(key, text) {
        if (key.startsWith('hlsgate:pending:')) window.shown.push(Boolean(document.querySelector('hlsgate-paywall').shadowRoot.querySelector('.qr')));
        return setItem.call(this, key, text);
      };
    },
  });
  await choose(visit);
  assert.equal((await visit.page.evaluate(() => window.shown))[0], false);
  const [{ invoice, claim }] = await kept(visit.page, 'pending');
  assert.equal(invoice, (await site.invoice()).id);
  assert.match(claim, /^[\w-]{64}$/);
  const cookies = await visit.context.cookies(`${site.origin}/hlsgate/videos/${FILM}`);
  assert.ok(cookies.some((it) => it.name === 'hlsgate_pending' && it.httpOnly), 'and as a cookie');
  await visit.leave();
});

test('a tab that wakes up asks at once', async () => {
  const visit = await viewer(browser, site);
  await choose(visit);
  for (const wake of [
    () => document.dispatchEvent(new Event('visibilitychange')),
    () => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })),
    () => dispatchEvent(new Event('online')),
  ]) {
    const asked = visit.page.waitForRequest(/\/hlsgate\/invoices\//, { timeout: 15_000 }); // a held request lasts 25 s
    await visit.page.evaluate(wake);
    await asked;
  }
  await visit.leave();
});

test("the browser's back button: a page from its cache knows what was paid meanwhile", async () => {
  const own = await launch({ ignoreDefaultArgs: ['--disable-back-forward-cache'] });
  try {
    const visit = await viewer(own, site);
    await choose(visit);
    // A page that holds a lock is not kept in that cache.
    await visit.page.waitForFunction(async () => (await navigator.locks.query()).held.length === 0);
    await visit.page.evaluate(() => addEventListener('pageshow', (event) => { window.cached = event.persisted; }));
    await visit.goto('purchases.html');
    await visit.page.getByRole('link', { name: 'Continue' }).waitFor();
    await site.fake('pay', { invoice: (await site.invoice()).id });
    await visit.page.goBack({ waitUntil: 'commit' });
    await inState(visit.page, 'open');
    await plays(visit.page);
    await visit.leave();
  } finally {
    await own.close();
  }
});

test('a clock that is a month ahead throws no purchase away, and no access', async () => {
  const visit = await viewer(browser, site);
  await choose(visit);
  await visit.context.addInitScript(() => {
    const real = Date.now.bind(Date);
    Date.now = () => real() + 30 * 86400_000;
  });
  await visit.page.reload();
  await inState(visit.page, 'paying');
  assert.match(await visit.card.innerText(), /Valid for\s+(30:0\d|29:[45]\d)/);
  assert.equal((await kept(visit.page, 'pending')).length, 1);
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await inState(visit.page, 'open');
  await visit.goto('purchases.html');
  await visit.page.locator('.entry').getByRole('link', { name: 'Watch' }).waitFor();
  await visit.leave();
});

test('a link is taken in where it is pasted, kept while the site is away, and its purchase reaches no log', async () => {
  const visit = await viewer(browser, site, { allow: [UNAVAILABLE, /net::ERR_FAILED/] });
  const { page } = visit;
  await visit.goto('purchases.html');
  await page.getByText('Nothing bought').waitFor();
  await page.evaluate((token) => { location.hash = `restore=${token}`; }, mint({ jti: 'pasted1', sub: 'pass:summer' }));
  await page.getByText('Restored: 1').waitFor();
  assert.equal(new URL(page.url()).hash, '');

  const link = `watch.html?v=${SHORT}#restore=${mint({ jti: 'pasted2', sub: SHORT }).replace('.', '%2E')}`;
  const other = await viewer(browser, site, { allow: [/net::ERR_FAILED/] });
  await other.context.route('**/hlsgate/session', (route) => route.abort());
  await other.goto(link);
  await other.page.locator('#strip', { hasText: 'cannot be reached' }).waitFor();
  await inState(other.page, 'offers');
  assert.match(other.page.url(), /#restore=/, 'a reload tries again');
  await other.context.unrouteAll();
  await inState(other.page, 'open', 2 * DEADLINE);
  await until(() => new URL(other.page.url()).hash === '', 'the address to be clean');
  await other.leave();
  await visit.leave();
  assert.match(site.rawLog(), /GET \/watch\.html\?v=/);
  assert.ok(!/eyJ|restore=|~/.test(site.rawLog()), 'no purchase in a request line or a Referer');
  assert.match(site.rawLog(), /GET \/watch\.js HTTP\/1\.1 "-"/, 'no Referer at all');
});

test('a link whose purchase has ended, or was damaged, says why the film stays locked', async () => {
  const visit = await viewer(browser, site, { allow: [REFUSED] });
  for (const [token, why] of [[mint({ jti: 'old1', exp: 1_700_000_000 }), 'has ended'], [mint({ jti: 'cut1' }).slice(0, -6), 'damaged']]) {
    await visit.goto('index.html');
    await visit.goto(`watch.html?v=${FILM}#restore=${token}`);
    await visit.page.locator('#strip', { hasText: why }).waitFor();
    await inState(visit.page, 'offers');
  }
  await visit.leave();
});
