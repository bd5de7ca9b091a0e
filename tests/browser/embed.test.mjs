// The film in a frame on a page of another site, where browsers withhold ordinary cookies: by path token, and by partitioned cookies.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { launch, viewer } from './browser.mjs';
import { FILM, startSite, test } from './harness.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** The site's film on a page of another site, paid there. */
async function paidInFrame(site, way) {
  const [host, films] = [`http://other.localhost:${site.port}`, `http://films.localhost:${site.port}`];
  const visit = await viewer(browser, site, { origins: [host, films], allow: [/favicon/] });
  const frame = visit.page.frameLocator('#film');
  const state = (it) => frame.locator(`hlsgate-paywall[state=${it}]`).waitFor({ state: 'attached' });
  const playing = () => visit.page.frames().find((it) => it.url().startsWith(films)).waitForFunction(() => {
    const video = document.querySelector('video');
    if (video.paused && video.readyState > 0) video.play().catch(() => {});
    return video.currentTime > 0.5 && video.getVideoPlaybackQuality().totalVideoFrames > 5;
  });
  await visit.page.goto(`${host}/`);
  await state('offers');
  const told = await frame.locator('[part=card]').innerText();
  await frame.getByRole('button', { name: /24 hours/ }).click();
  await state('paying');
  const segment = visit.page.waitForRequest(way);
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await state('open');
  await segment;
  await playing();
  return { visit, frame, state, playing, told };
}

test('embedded on another site, with partitioned cookies: paid, playing, and playing after a reload', async () => {
  const site = await startSite({ cookie: 'same_site = "none"\npartitioned = true' });
  try {
    const { visit, state, playing } = await paidInFrame(site, new RegExp(`/hls/${FILM}/.*\\.ts$`));
    await visit.page.reload();
    await state('open');
    await playing();
    await visit.leave();
  } finally {
    await site.stop();
  }
});

test('embedded on another site, with ordinary cookies: the token goes into the path, and what the browser forgets is said', async () => {
  const site = await startSite();
  try {
    const { visit, frame, told } = await paidInFrame(site, new RegExp(`/hls/~[^/]+/${FILM}/.*\\.ts$`));
    // Debian's Chromium gives frames of other sites no storage either.
    assert.match(told, /This browser keeps nothing for this site/);
    await frame.getByRole('button', { name: 'Copy the code' }).waitFor();
    assert.equal(await frame.getByRole('link', { name: 'My purchases' }).getAttribute('target'), '_blank');
    assert.ok(!/eyJ/.test(site.accessLog()), 'no token reached the access log');
    await visit.leave();
  } finally {
    await site.stop();
  }
});
