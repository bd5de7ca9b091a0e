// A film in Chromium, to its end: natively or with hls.js. Usage: browser.mjs native|hls.js URL. Ends with 0 when the video has ended.
import { createRequire } from 'node:module';
const require = createRequire(process.env.PLAYWRIGHT ?? import.meta.url);
const { chromium } = require('playwright-core');
const [how, url] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--autoplay-policy=no-user-gesture-required', '--disable-quic'] });
try {
    const page = await browser.newPage();
    await page.goto(new URL('/page.html', url).href);
    const ended = await page.evaluate(([how, url]) => new Promise((resolve) => {
        const video = document.querySelector('video');
        video.addEventListener('ended', () => resolve(`ended at ${video.currentTime}`));
        video.addEventListener('error', () => resolve(`error ${video.error.code} at ${video.currentTime}: ${video.error.message}`));
        if (how === 'native') {
            video.src = url;
        } else {
            const hls = new Hls({ maxBufferLength: 6, maxMaxBufferLength: 6 });
            hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) resolve(`fatal ${data.details} at ${video.currentTime}`); });
            hls.loadSource(url);
            hls.attachMedia(video);
        }
        video.play().catch(() => {});
    }), [how, url]);
    console.log(ended);
    process.exitCode = ended.startsWith('ended') ? 0 : 1;
} finally {
    await browser.close();
}
