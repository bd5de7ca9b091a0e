// Watches the film of FOLDER in Chromium and prints how that ended: watch.mjs FOLDER PLACE PLAYER STATUS TIMES.
//
// PLACE: where `from_debian` unpacked Chromium and `from_npm` installed hls.js and playwright-core. PLAYER: `native` or `hls.js`, with
// its default settings. The first TIMES requests for 8.ts are answered with STATUS. One line: what `canPlayType` says of HLS, requests for
// 8.ts, and how it ended: `ended`, `error CODE AHEAD` (of the video element, with AHEAD seconds loaded) or `fatal DETAILS SECONDS`.
import http from 'node:http';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
const [folder, place, player, status, times] = process.argv.slice(2);
const { chromium } = createRequire(`${place}/`)('playwright-core');

const TYPES = { html: 'text/html', js: 'text/javascript', m3u8: 'application/vnd.apple.mpegurl', ts: 'video/mp2t' };
let asked = 0;
const server = http.createServer(async (request, response) => {
  const file = request.url.slice(1);
  if (file === '8.ts' && ++asked <= Number(times)) return response.writeHead(Number(status)).end();
  const path = file === 'hls.js' ? `${place}/node_modules/hls.js/dist/hls.min.js` : `${folder}/${file}`;
  const body = file === '' ? '<!doctype html><video muted></video><script src=hls.js></script>' : await readFile(path).catch(() => null);
  response.writeHead(body === null ? 404 : 200, { 'Content-Type': TYPES[file.split('.').pop()] ?? 'text/html' }).end(body);
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));

const browser = await chromium.launch({
  executablePath: `${place}/debian/usr/lib/chromium/chromium`,
  env: { ...process.env, LD_LIBRARY_PATH: process.env.CHROMIUM_LIBRARIES },
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--autoplay-policy=no-user-gesture-required'],
});
const page = await browser.newPage();
await page.goto(`http://127.0.0.1:${server.address().port}/`);
const [says, end] = await page.evaluate(async (player) => {
  const video = document.querySelector('video');
  const began = performance.now();
  const end = await new Promise((resolve) => {
    video.onended = () => resolve('ended');
    video.onerror = () => resolve(`error ${video.error.code} ${Math.floor((video.buffered.length && video.buffered.end(0)) - video.currentTime)}`);
    if (player === 'native') {
      video.src = 'index.m3u8';
    } else {
      const hls = new Hls();
      hls.on(Hls.Events.ERROR, (_, data) => data.fatal && resolve(`fatal ${data.details} ${Math.round((performance.now() - began) / 1000)}`));
      hls.loadSource('index.m3u8');
      hls.attachMedia(video);
    }
    video.play().catch(() => {});
  });
  return [video.canPlayType('application/vnd.apple.mpegurl') || 'no', end];
}, player);
console.log(says, asked, end);
await browser.close();
server.close();
