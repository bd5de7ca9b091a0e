// The pages themselves: headers that nginx really sends, accessibility, small and large screens, languages, the keyboard alone.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { REFUSED, UNAVAILABLE, accessible, buy, control, inState, launch, plays, readQr, viewer } from './browser.mjs';
import { FILM, SHORT, mint, startSite, test } from './harness.mjs';

const WIDTHS = { 320: 640, 390: 844, 1440: 900 };
const shots = process.env.HLSGATE_SHOTS;

/** A day from now, for access that has not ended. */
const SOON = Math.floor(Date.now() / 1000) + 86_400;

let site, browser;
before(async () => {
  if (shots) mkdirSync(shots, { recursive: true });
  [site, browser] = await Promise.all([startSite(), launch()]);
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

test('every page and script comes with the strict headers', async () => {
  for (const path of ['index.html', `watch.html?v=${FILM}`, 'purchases.html', 'embed.html', 'watch.js', 'vendor/hls.js', 'videos.json']) {
    const { headers, status } = await fetch(`${site.origin}/${path}`);
    assert.equal(status, 200, path);
    const policy = headers.get('content-security-policy');
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/, path);
    assert.ok(!/unsafe|\*\.|https?:/.test(policy), policy);
    assert.ok(policy.endsWith(`frame-ancestors ${path.startsWith('embed') ? '*' : "'self'"}`), policy);
    assert.equal(headers.get('referrer-policy'), 'no-referrer');
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
  }
  assert.match((await fetch(`${site.origin}/vendor/hls.js`)).headers.get('content-type'), /javascript/);
});

/** Every state a viewer may meet, by what leads there. */
const STATES = {
  catalogue: async ({ page, goto }) => {
    await goto('index.html');
    await page.getByText('from 1,000 sats').first().waitFor();
    await page.waitForFunction(() => [...document.images].every((it) => it.complete));
  },
  empty: async ({ page, goto }) => {
    await goto('purchases.html');
    await page.getByText('Nothing bought').waitFor();
  },
  loading: async ({ page, context, goto }) => {
    await context.route('**/hlsgate/videos/*', () => {}); // an answer that does not come
    await goto(`watch.html?v=${FILM}`);
    await inState(page, 'loading');
    await page.getByRole('heading', { name: 'The Long Way Home' }).waitFor();
  },
  offers: async ({ page, context, goto }) => {
    await context.unrouteAll();
    await goto(`watch.html?v=${FILM}`);
    await inState(page, 'offers');
  },
  paying: async ({ page, paywall }) => {
    await paywall.locator('button.offer').first().click();
    await inState(page, 'paying');
  },
  making: async ({ page, paywall, context }) => {
    await paywall.getByRole('button', { name: 'Back to the offers' }).click();
    await inState(page, 'offers');
    await context.route('**/invoices', () => {}); // an answer that does not come
    await paywall.locator('button.offer').nth(1).click();
    await paywall.locator('.view[aria-busy]').waitFor();
    assert.match(await page.locator('hlsgate-paywall .card > [role=status]').textContent(), /Making an invoice/);
  },
  shown: async ({ page, paywall, context, goto }) => {
    await page.goto('about:blank'); // ends the request that is held, so that it makes no invoice after all
    await context.unrouteAll();
    await goto(`watch.html?v=${FILM}`);
    await inState(page, 'offers');
    await paywall.locator('button.offer').first().click();
    await inState(page, 'paying');
  },
  copied: async ({ page, paywall }) => {
    await paywall.getByRole('button', { name: 'Copy Lightning invoice' }).click();
    await paywall.getByRole('button', { name: 'Copied' }).waitFor();
  },
  wallet: async ({ page, paywall }) => {
    await page.evaluate(() => { window.webln = { enable: async () => {}, sendPayment: async () => { throw new Error('User rejected'); } }; });
    await paywall.getByRole('button', { name: 'Back to the offers' }).click();
    await paywall.locator('button.offer').first().click();
    await paywall.getByRole('button', { name: 'Pay with the wallet' }).click();
    await paywall.getByText('You can still scan').waitFor();
  },
  // The cookie alone knows the purchase, and the shop gives its code again.
  remembered: async ({ page, paywall }) => {
    await page.evaluate(() => { Object.keys(localStorage).forEach((key) => key.includes(':pending:') && localStorage.removeItem(key)); });
    await page.reload();
    await paywall.locator('svg.qr').waitFor();
  },
  expired: async ({ page }) => {
    await site.fake('expire', { invoice: (await site.invoice()).id });
    await inState(page, 'expired');
  },
  processing: async ({ page, paywall }) => {
    await paywall.getByRole('button', { name: 'New invoice' }).click();
    await inState(page, 'paying');
    await site.fake('pay', { invoice: (await site.invoice()).id, method: 'BTC-CHAIN' });
    await inState(page, 'processing');
  },
  invalid: async ({ page }) => {
    await site.fake('mark', { invoice: (await site.invoice()).id, status: 'Invalid' });
    await inState(page, 'invalid');
  },
  playing: async ({ page, paywall }) => {
    await site.fake('mark', { invoice: (await site.invoice()).id, status: 'Settled' });
    await inState(page, 'open');
    await plays(page);
    await page.locator('.plyr').hover();
  },
  captions: async ({ page }) => {
    await control(page, page.getByRole('button', { name: 'Captions on' }));
    await page.locator('.plyr__captions', { hasText: 'The road begins' }).waitFor();
  },
  menu: async ({ page }) => {
    await control(page, page.getByRole('button', { name: 'Settings' }));
    await control(page, page.getByRole('menuitem', { name: /Quality/ }));
    await page.getByRole('menuitemradio', { name: '180p' }).waitFor();
    // It slides in.
    await page.waitForFunction(() => document.getAnimations().every((it) => it.playState !== 'running'));
    const [stage, menu] = await Promise.all(['#stage', '.plyr__menu__container'].map((it) => page.locator(it).boundingBox()));
    assert.ok(menu.y >= stage.y, `the menu is cut off ${stage.y - menu.y} px above the picture`);
  },
  several: async ({ page, goto }) => {
    await goto(`purchases.html#restore=${[{ jti: 'pass1', sub: 'pass:summer', tier: '30d', exp: SOON }, { jti: 'all1', sub: '*', tier: 'gift' }, { jti: 'other1', sub: 'a-film-that-is-not-listed', exp: SOON }].map((it) => mint(it)).join(',')}`);
    await page.getByText('Restored: 3').waitFor();
    await page.evaluate((token) => localStorage.setItem('hlsgate:purchase:ended1', JSON.stringify({ token })), mint({ jti: 'ended1', exp: 1_790_000_000 }));
    await goto('purchases.html');
    await page.getByText('ended ').waitFor();
  },
  purchases: async ({ page, goto }) => {
    await page.evaluate(() => { Object.keys(localStorage).forEach((key) => /:(pass|all|other|ended)1$/.test(key) && localStorage.removeItem(key)); });
    await goto('purchases.html');
    await page.getByText('Move to another device').click();
    await page.locator('.move svg.qr').waitFor();
    await page.getByRole('button', { name: 'Remove' }).click();
  },
  unlocked: async ({ page, goto }) => {
    await goto('index.html');
    await page.getByText('Unlocked').first().waitFor();
  },
  embed: async ({ page, goto }) => {
    await goto(`embed.html?v=${FILM}`);
    await page.locator('hlsgate-paywall[state=open]').waitFor({ state: 'attached' });
    await plays(page);
  },
  unknown: async ({ page, goto }) => {
    await goto('watch.html');
    await page.getByText('No video was named').waitFor();
  },
};

/** The same for what goes wrong, in the order in which one visit can meet it. */
const TROUBLES = {
  ended: async (visit) => {
    await buy(visit, site);
    const answer = await visit.page.evaluate((id) => fetch(`/hlsgate/videos/${id}`).then((it) => it.json()), FILM);
    await visit.context.route('**/hls/**', (route) => route.fulfill({ status: 403, contentType: 'application/problem+json', body: '{"reason":"expired"}' }));
    await visit.context.route('**/hlsgate/videos/*', (route) => route.fulfill({ json: { ...answer, access: { granted: false, reason: 'expired' } } }));
    await visit.page.evaluate(() => { document.querySelector('video').currentTime = 100; });
    await visit.page.locator('#curtain', { hasText: 'ended 1:40 into the film' }).waitFor();
    await inState(visit.page, 'offers');
  },
  closed: async (visit) => {
    await visit.context.route('**/hlsgate/videos/*', (route) => route.fulfill({ json: { video: FILM, offers: [], access: { granted: false, reason: 'missing' }, pending: null } }));
    await visit.page.reload();
    await inState(visit.page, 'closed');
  },
  trouble: async (visit) => {
    await visit.context.route('**/hlsgate/videos/*', (route) => route.fulfill({ status: 502, contentType: 'application/problem+json', body: '{"reason":"busy"}' }));
    await visit.page.reload();
    await inState(visit.page, 'trouble');
  },
  cut: async (visit) => {
    await visit.context.unrouteAll();
    await visit.context.route('**/hlsgate/videos/*/invoices', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"reason":"btcpay-unavailable"}' }));
    await visit.context.clearCookies();
    await visit.page.evaluate(() => localStorage.clear());
    await visit.page.reload();
    await inState(visit.page, 'offers');
    await visit.paywall.locator('button.offer').first().click();
    await visit.paywall.getByRole('alert').waitFor();
  },
  forgets: async (visit) => {
    await visit.context.unrouteAll();
    await visit.context.clearCookies();
    await visit.context.addInitScript(() => Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('denied', 'SecurityError'); } }));
    await visit.page.reload();
    await inState(visit.page, 'offers');
    await visit.paywall.getByText('This browser keeps nothing').waitFor();
  },
};

for (const [[width, height], [kind, states, allow]] of Object.entries(WIDTHS).flatMap((size) => [[size, ['state', STATES, []]], [size, ['trouble', TROUBLES, [REFUSED, UNAVAILABLE]]]])) {
  const colorScheme = width === '390' ? 'light' : 'dark';
  test(`every ${kind} at ${width} px, ${colorScheme}: accessible, and nothing wider than the screen`, async () => {
    const visit = await viewer(browser, site, { viewport: { width: Number(width), height }, colorScheme, reducedMotion: 'reduce', allow, permissions: ['clipboard-write'] });
    for (const [name, reach] of Object.entries(states)) {
      await reach(visit);
      await accessible(visit.page, `${name} at ${width} px`);
      const overflow = await visit.page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${name} is ${overflow} px wider than ${width} px`);
      if (name === 'paying') await readQr(visit.paywall.locator('svg.qr'));
      if (shots) await visit.page.screenshot({ path: join(shots, `${name}-${width}.png`), fullPage: true });
    }
    await visit.leave();
  });
}

test('nothing jumps: the layout shifts less than a tenth of what Core Web Vitals call good', async () => {
  const visit = await viewer(browser, site, {
    init: () => {
      window.shifts = 0;
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value;
      }).observe({ type: 'layout-shift', buffered: true });
    },
  });
  for (const [path, ready] of [['index.html', '.offer-line .icon'], [`watch.html?v=${SHORT}`, 'hlsgate-paywall[state=offers]']]) {
    await visit.goto(path);
    await visit.page.locator(ready).first().waitFor();
    await visit.page.waitForLoadState('networkidle');
    const shifts = await visit.page.evaluate(() => window.shifts);
    assert.ok(shifts < 0.01, `${path} shifts by ${shifts}`);
  }
  await visit.leave();
});

for (const [tag, direction, heading] of [['de', 'ltr', 'Dieses Video freischalten'], ['ar', 'rtl', 'افتح هذا الفيديو']]) {
  test(`in the browser's language: ${tag}, ${direction}`, async () => {
    const visit = await viewer(browser, site, { locale: tag, viewport: { width: 800, height: 900 } });
    const { page } = visit;
    await visit.goto(`watch.html?v=${SHORT}`);
    await visit.paywall.getByRole('heading', { name: heading }).waitFor();
    assert.deepEqual(await page.evaluate(() => [document.documentElement.lang, getComputedStyle(document.body).direction]), [tag, direction]);
    assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('h1')).textAlign), direction === 'rtl' ? 'right' : 'left', 'a Latin title on the side where lines begin');
    await accessible(page, tag);
    if (shots) await page.screenshot({ path: join(shots, `offers-${tag}.png`), fullPage: true });
    await visit.paywall.locator('button.offer').first().click();
    await inState(page, 'paying');
    assert.ok(await page.evaluate(() => document.scrollingElement.scrollWidth <= innerWidth));
    await readQr(visit.paywall.locator('svg.qr'));
    if (shots) await page.screenshot({ path: join(shots, `paying-${tag}.png`), fullPage: true });

    await visit.goto('index.html');
    await page.getByRole('combobox').selectOption('en');
    await page.getByRole('heading', { name: 'Videos', level: 1 }).waitFor();
    await visit.leave();
  });
}

test('the keyboard alone buys, in an order that makes sense, and hears what happens', async () => {
  const visit = await viewer(browser, site);
  const { page } = visit;
  await visit.goto('index.html');
  await page.locator('.offer-line .icon').nth(1).waitFor();
  const focused = () => page.evaluate(() => {
    let element = document.activeElement;
    while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
    return element?.innerText?.trim() || element?.tagName;
  });
  const tabTo = async (pattern) => {
    for (let presses = 0; presses < 15; presses += 1) {
      await page.keyboard.press('Tab');
      if (pattern.test(await focused())) return presses + 1;
    }
    throw new Error(`no ${pattern} within 15 presses of Tab; last: ${await focused()}`);
  };
  assert.equal(await tabTo(/Skip to the content/), 1);
  await tabTo(/Northern Lights/);
  await page.keyboard.press('Enter');
  await inState(page, 'offers');
  await tabTo(/24 hours/);
  await page.keyboard.press('Enter');
  await inState(page, 'paying');
  assert.match(await focused(), /Pay 1,000 sats/, 'the focus is on the new heading');
  await tabTo(/Open in wallet/);
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await inState(page, 'open');
  assert.match(await focused(), /Paid\. Enjoy/, 'the focus did not fall off the page');
  assert.match(await page.locator('hlsgate-paywall .card > [role=status]').textContent(), /Paid\. The video is unlocked/);
  await visit.leave();
});

test('an empty catalogue, and a video that cannot exist, are said in words', async () => {
  const visit = await viewer(browser, site, { allow: [/status of 404/] });
  await visit.context.route('**/videos.json', (route) => route.fulfill({ status: 404, body: '' }));
  await visit.goto('index.html');
  await visit.page.getByText('There are no videos here yet.').waitFor();
  await visit.goto('watch.html?v=.hidden');
  await inState(visit.page, 'trouble');
  assert.match(await visit.card.innerText(), /no such video/);
  await visit.leave();
});

test('the snippets of the handbook: a page of one\'s own sells and plays, and has its own looks', async () => {
  const handbook = readFileSync(new URL('../../docs/pages.md', import.meta.url), 'utf8');
  const section = handbook.slice(handbook.indexOf('## The paywall in a page of your own'), handbook.indexOf('## The module alone'));
  const snippet = (kind) => new RegExp(`\`\`\`${kind}\\n([\\s\\S]*?)\`\`\``).exec(section)[1];
  const visit = await viewer(browser, site);
  const files = {
    'own.html': ['text/html', `<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="icon.svg"><link rel="stylesheet" href="own.css"><script type="module" src="own.js"></script>${snippet('html')}</html>`],
    'own.js': ['text/javascript', snippet('js')],
    'own.css': ['text/css', snippet('css')],
  };
  for (const [name, [contentType, body]] of Object.entries(files)) await visit.context.route(`**/${name}`, (route) => route.fulfill({ contentType, body }));
  await visit.goto('own.html');
  await inState(visit.page, 'offers');
  const style = (part, property) => visit.page.evaluate(([name, key]) => getComputedStyle(document.querySelector('hlsgate-paywall').shadowRoot.querySelector(`[part~=${name}]`))[key], [part, property]);
  assert.equal(await style('price', 'backgroundColor'), 'rgb(63, 167, 214)');
  assert.equal(await style('card', 'borderTopLeftRadius'), '4px');
  assert.match(await style('heading', 'fontFamily'), /Georgia/);
  await visit.paywall.locator('button.offer').first().click();
  await inState(visit.page, 'paying');
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await inState(visit.page, 'open');
  await plays(visit.page);

  // Another video in the same element.
  await visit.page.evaluate((id) => document.querySelector('hlsgate-paywall').setAttribute('video', id), SHORT);
  await inState(visit.page, 'offers');
  assert.equal(await visit.page.evaluate(() => document.querySelector('hlsgate-paywall').opened), null);
  await visit.leave();
});

test('prices in every kind of currency, each told apart, with the decimals they have', async () => {
  const visit = await viewer(browser, site);
  const prices = [['1000000', 'SATS'], ['0.00012000', 'BTC'], ['5.00', 'USD'], ['5.00', 'CAD'], ['500', 'JPY'], ['2.50', 'USDT']];
  const offers = prices.map(([price, currency]) => ({ tier: currency, price, currency, duration: 3600, covers: FILM }));
  await visit.context.route('**/hlsgate/videos/*', (route) => route.fulfill({ json: { video: FILM, offers, access: { granted: false, reason: 'missing' }, pending: null } }));
  await visit.goto(`watch.html?v=${FILM}`);
  await inState(visit.page, 'offers');
  const shown = await visit.paywall.locator('[part~=price]').allInnerTexts();
  assert.deepEqual(shown.map((it) => it.replaceAll('\u00a0', ' ')), ['1,000,000 sats', 'BTC 0.00012000', '$5.00', 'CA$5.00', '¥500', '2.50 USDT']);
  await visit.leave();
});
