// The pages themselves: headers that nginx really sends, accessibility, small and large screens, languages, the keyboard alone.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { REFUSED, UNAVAILABLE, accessible, buy, inState, launch, plays, readQr, viewer } from './browser.mjs';
import { FILM, SHORT, startSite, test } from './harness.mjs';

const WIDTHS = { 320: 640, 800: 900, 1400: 900 };
const shots = process.env.HLSGATE_SHOTS;

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
    await page.getByText('from 100 sats').first().waitFor();
    await page.waitForFunction(() => [...document.images].every((it) => it.complete));
  },
  offers: async ({ page, goto }) => {
    await goto(`watch.html?v=${FILM}`);
    await inState(page, 'offers');
  },
  paying: async ({ page, paywall }) => {
    await paywall.locator('button.offer').first().click();
    await inState(page, 'paying');
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
  purchases: async ({ page, goto }) => {
    await goto('purchases.html');
    await page.getByText('Move to another device').click();
    await page.locator('.move svg.qr').waitFor();
    await page.getByRole('button', { name: 'Remove' }).click();
  },
  unlocked: async ({ page, goto }) => {
    await goto('index.html');
    await page.getByText('Unlocked').first().waitFor();
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
    await visit.page.locator('#curtain', { hasText: 'Access ended at 1:40' }).waitFor();
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
  const colorScheme = width === '800' ? 'light' : 'dark';
  test(`every ${kind} at ${width} px, ${colorScheme}: accessible, and nothing wider than the screen`, async () => {
    const visit = await viewer(browser, site, { viewport: { width: Number(width), height }, colorScheme, reducedMotion: 'reduce', allow });
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
  assert.match(await focused(), /Pay 100 sats/, 'the focus is on the new heading');
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
