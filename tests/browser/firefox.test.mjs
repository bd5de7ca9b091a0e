// Debian's Firefox, driven by WebDriver BiDi, which it speaks by itself: buy, play by hls.js, reload, still playing.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before } from 'node:test';
import WebSocket from 'ws';
import { FILM, startSite, test, until } from './harness.mjs';

/** Milliseconds for Firefox, which takes its time to start on a busy machine. */
const PATIENCE = 60_000;

let site, firefox;
before(async () => {
  [site, firefox] = await Promise.all([startSite(), startFirefox()]);
});
after(async () => {
  await Promise.all([firefox?.stop(), site?.stop()]);
});

test('Firefox: locked, paid, playing by hls.js; after a reload still playing', async () => {
  const { navigate, evaluate, complaints } = firefox;
  const card = "document.querySelector('hlsgate-paywall').shadowRoot";
  const state = (name) => until(() => evaluate(`document.querySelector('hlsgate-paywall')?.getAttribute('state') === '${name}'`), `the state ${name}`, new Map(), PATIENCE);
  const playing = () => until(() => evaluate(`(() => {
    const video = document.querySelector('video');
    if (video.paused && video.readyState > 0) video.play().catch(() => {});
    return video.currentTime > 1 && video.getVideoPlaybackQuality().totalVideoFrames > 5;
  })()`), 'the film to play', new Map(), PATIENCE);

  await navigate(`${site.origin}/watch.html?v=${FILM}`);
  await state('offers');
  await evaluate(`${card}.querySelector('button.offer').click()`);
  await state('paying');
  await until(() => evaluate(`Boolean(${card}.querySelector('svg.qr'))`), 'the QR code', new Map(), PATIENCE);
  await site.fake('pay', { invoice: (await site.invoice()).id });
  await state('open');
  await playing();
  assert.match(await evaluate("document.querySelector('video').currentSrc"), /^blob:/);

  await navigate(`${site.origin}/watch.html?v=${FILM}`);
  await state('open');
  await playing();
  assert.deepEqual(complaints, []);
});

/** Firefox with a profile of its own; `evaluate` runs in its first tab. */
async function startFirefox() {
  const profile = mkdtempSync(join(tmpdir(), 'firefox-'));
  writeFileSync(join(profile, 'user.js'), Object.entries({
    'media.autoplay.default': 0, 'media.autoplay.blocking_policy': 0, 'app.update.enabled': false, 'browser.shell.checkDefaultBrowser': false,
    'datareporting.policy.dataSubmissionEnabled': false, 'toolkit.telemetry.enabled': false, 'network.captive-portal-service.enabled': false,
    'network.connectivity-service.enabled': false, 'browser.safebrowsing.malware.enabled': false, 'media.gmp-manager.updateEnabled': false,
  }).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`).join('\n'));
  const child = spawn('firefox-esr', ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port', '0', 'about:blank'],
    { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, HOME: profile } });
  const address = await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error('Firefox did not listen in time')), PATIENCE).unref();
    child.once('error', reject);
    createInterface({ input: child.stderr }).on('line', (line) => {
      const found = /WebDriver BiDi listening on (ws:\S+)/.exec(line);
      if (found) resolve(found[1]);
    });
  });

  const socket = new WebSocket(`${address}/session`);
  await once(socket, 'open');
  const waiting = new Map();
  const complaints = [];
  let last = 0;
  socket.on('message', (data) => {
    const message = JSON.parse(data);
    if (message.method === 'log.entryAdded' && message.params.level === 'error') complaints.push(message.params.text);
    const { resolve, reject } = waiting.get(message.id) ?? {};
    if (message.type === 'error') reject?.(new Error(`${message.error}: ${message.message}`));
    else resolve?.(message.result);
    waiting.delete(message.id);
  });
  const send = (method, params) => new Promise((resolve, reject) => {
    waiting.set((last += 1), { resolve, reject });
    socket.send(JSON.stringify({ id: last, method, params }));
  });
  await send('session.new', { capabilities: {} });
  await send('session.subscribe', { events: ['log.entryAdded'] });
  const { contexts: [{ context }] } = await send('browsingContext.getTree', {});
  return {
    complaints,
    navigate: (url) => send('browsingContext.navigate', { context, url, wait: 'complete' }),
    evaluate: async (expression) => {
      const { result, exceptionDetails } = await send('script.evaluate', { expression, target: { context }, awaitPromise: true });
      if (exceptionDetails) throw new Error(exceptionDetails.text);
      return result.value;
    },
    stop: async () => {
      const ended = once(child, 'exit');
      send('browser.close', {}).catch(() => {});
      const late = setTimeout(() => child.kill('SIGKILL'), 5000);
      await ended;
      clearTimeout(late);
      socket.terminate();
      // Its helpers may write for a moment longer than it lives.
      await until(() => {
        try {
          rmSync(profile, { recursive: true, force: true });
          return true;
        } catch (error) {
          if (error.code !== 'ENOTEMPTY') throw error;
          return false;
        }
      }, 'the helpers of Firefox to end');
    },
  };
}
