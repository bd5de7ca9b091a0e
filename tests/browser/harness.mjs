// A whole site on loopback, as an operator would have it: the shipped nginx files and pages, the daemon, the stand-in BTCPay.
// Everything lives in a temporary folder and ends with the test file; when a test fails, the logs are printed.

import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { test as nodeTest } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
/** The film that is long enough to end access in its middle, and the short one. */
export const FILM = 'c05f2318';
export const SHORT = 'd41d8cd9';
/** Milliseconds until something that must come has failed to come. */
export const DEADLINE = 45_000;

/** The key that signs the site's tokens, and its id. */
const KEY = { kid: 'k1', bytes: Buffer.alloc(32, 7) };

/** What the shop's API key is, and what it may. */
const API_KEY = '0123456789abcdef0123456789abcdef01234567';
const RIGHTS = ['cancreateinvoice', 'canviewinvoices', 'webhooks.canmodifywebhooks'];
/** What the daemon says when it has read its files anew. */
const RELOADED = /reloaded/;

const running = new Set();

/** A test of `node:test` that prints what the site's programs said when it fails. */
export function test(name, body) {
  nodeTest(name, async (t) => {
    try {
      await body(t);
    } catch (error) {
      for (const site of running) console.error(site.logs());
      throw error;
    }
  });
}

/** A token as the site's operator would issue it by hand; with another key, as another site would. */
export function mint(claims, { kid, bytes } = KEY) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ alg: 'HS256', kid })}.${part({ sub: FILM, tier: '24h', iat: Math.floor(Date.now() / 1000) - 60, ...claims })}`;
  return `${text}.${createHmac('sha256', bytes).update(text).digest('base64url')}`;
}

const OFFERS = [
  { tier: '24h', price: '1000', currency: 'SATS', duration: '24h' },
  { tier: 'forever', price: '3000', currency: 'SATS' },
];

/** `offers`, `expiration` (of invoices), `cookie` (lines of `[cookie]`), `methods` (of payment), `hosts` (names the site answers to beside 127.0.0.1). */
export async function startSite({ offers = OFFERS, expiration = '30m', cookie = 'secure = false', methods = ['BTC-LN', 'BTC-CHAIN'] } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'site-'));
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const children = [];
  const logs = new Map();
  const start = (name, file, args, ready) => startChild({ name, file, args, ready, children, logs });

  let site;
  const stop = async () => {
    running.delete(site);
    for (const child of children.reverse()) await endChild(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const secret = 'a-webhook-secret-for-tests-only';
    const listening = /listening on (\S+)/;
    const btcpay = await start('stand-in', required('BTCPAY_DOUBLE_BIN'),
      ['--listen', '127.0.0.1:0', '--control', '127.0.0.1:0', '--until-stdin-closes', '--webhook-url', `${origin}/hlsgate/webhooks/btcpay`, '--webhook-secret', secret, '--time-scale', '0.01'],
      [listening, /control on (\S+)/]);
    const [shop, control] = btcpay.matches;
    const { store } = await fetch(`${control}/fake/state`).then((it) => it.json());

    mkdirSync(join(folder, 'run'));
    writeFileSync(join(folder, 'btcpay-api-key'), `${API_KEY}\n`, { mode: 0o600 });
    writeFileSync(join(folder, 'btcpay-webhook-secret'), `${secret}\n`, { mode: 0o600 });
    writeFileSync(join(folder, 'keys.json'), JSON.stringify({ keys: [{ kty: 'oct', kid: KEY.kid, alg: 'HS256', k: KEY.bytes.toString('base64url') }] }), { mode: 0o600 });
    writeFileSync(join(folder, 'hlsgate.toml'), toml({ folder, origin, shop, store: store.id ?? store, offers, expiration, cookie, methods, admin: await freePort() }));
    const daemon = await start('hlsgate', required('HLSGATE_BIN'), ['serve', '--config', join(folder, 'hlsgate.toml')]);
    await until(() => existsSync(join(folder, 'run/hlsgate.sock')), 'the daemon to listen', logs);

    prepareNginx(folder, port);
    let nginx;
    const openDoors = async () => {
      nginx = await start('nginx', 'nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')]);
      await until(() => fetch(`${origin}/hlsgate/videos/${FILM}`).then((it) => it.ok, () => false), 'nginx and the daemon to answer', logs);
    };
    await openDoors();

    const fake = async (path, body) => {
      const answer = await fetch(`${control}/fake/${path}`, body === undefined ? {} : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
      const result = await answer.json();
      if (!answer.ok) throw new Error(`stand-in: ${path}: ${JSON.stringify(result)}`);
      return result;
    };
    site = {
      origin, port, folder, stop, fake, openDoors,
      /** nginx ends, and with it every connection. */
      closeDoors: () => endChild(nginx.child),
      /** Where the stand-in's checkout pages are. */
      btcpay: shop,
      /** Gives the shop's API key further rights over the store. */
      allow: (...further) => fake('keys', { key: API_KEY, permissions: [...RIGHTS, ...further].map((name) => `btcpay.store.${name}:${store.id ?? store}`) }),
      /** Puts these keys in force, without a restart; answers those that were. */
      useKeys: async (keys) => {
        const file = join(folder, 'keys.json');
        const before = JSON.parse(readFileSync(file, 'utf8')).keys;
        writeFileSync(file, JSON.stringify({ keys }));
        const reloads = () => logs.get('hlsgate').filter((line) => RELOADED.test(line)).length;
        const seen = reloads();
        daemon.child.kill('SIGHUP');
        await until(() => reloads() > seen, 'the daemon to take the keys', logs);
        return before;
      },
      /** The newest invoice of the stand-in. */
      invoice: async () => {
        const { invoices } = await fake('invoices').then((it) => (Array.isArray(it) ? { invoices: it } : it));
        return [...invoices].sort((a, b) => (a.createdTime ?? a.expirationTime) - (b.createdTime ?? b.expirationTime)).at(-1);
      },
      invoiceCount: async () => fake('invoices').then((it) => (Array.isArray(it) ? it : it.invoices).length),
      accessLog: () => readFileSync(join(folder, 'access.log'), 'utf8'),
      /** What pages and scripts were asked with, query and Referer included. */
      rawLog: () => readFileSync(join(folder, 'raw.log'), 'utf8'),
      logs: () => [...logs].map(([name, lines]) => `--- ${name}\n${lines.slice(-30).join('\n')}`).join('\n') + `\n--- nginx error.log\n${tail(join(folder, 'error.log'))}`,
    };
    running.add(site);
    return site;
  } catch (error) {
    await stop();
    throw error;
  }
}

function toml({ folder, origin, shop, store, offers, expiration, cookie, methods, admin }) {
  const offer = ({ tier, price, currency, duration }) => `[[offers]]\ntier = "${tier}"\nprice = "${price}"\ncurrency = "${currency}"\n${duration ? `duration = "${duration}"\n` : ''}`;
  return `listen = "unix:${folder}/run/hlsgate.sock"
socket_mode = "0666"
socket_group = "${process.getgid() === 0 ? 'root' : ''}"
admin_listen = "127.0.0.1:${admin}"
public_url = "${origin}"
[keys]
file = "keys.json"
[revocations]
file = "${folder}/revoked"
[cookie]
${cookie}
[btcpay]
url = "${shop}"
public_url = "${shop}"
store = "${store}"
api_key_file = "btcpay-api-key"
webhook_secret_file = "btcpay-webhook-secret"
payment_methods = ${JSON.stringify(methods)}
invoice_expiration = "${expiration}"
${offers.map(offer).join('')}
[passes.summer]
videos = ["${FILM}", "${SHORT}"]
offers = [{ tier = "30d", price = "20000", currency = "SATS", duration = "30d" }]
`;
}

/** The shipped files with this folder's paths in place of the system's, and a vhost as the handbook shows it. */
function prepareNginx(folder, port) {
  const own = (text) => text
    .replaceAll('/run/hlsgate/hlsgate.sock', `${folder}/run/hlsgate.sock`)
    .replaceAll('/run/hlsgate-nginx-cache', `${folder}/cache`)
    .replaceAll('/var/log/nginx/access.log', `${folder}/access.log`);
  for (const name of ['conf.d/hlsgate.conf', 'snippets/hlsgate.conf', 'snippets/hlsgate-protect.conf', 'snippets/hlsgate-cache.conf']) {
    mkdirSync(join(folder, dirname(name)), { recursive: true });
    writeFileSync(join(folder, name), own(readFileSync(join(ROOT, 'nginx', name), 'utf8')));
  }
  cpSync(join(ROOT, 'examples/site/nginx-site.conf'), join(folder, 'snippets/nginx-site.conf'));
  // A page of another site, for embeds.
  mkdirSync(join(folder, 'other'));
  writeFileSync(join(folder, 'other/index.html'), `<!doctype html><html lang="en"><title>Another site</title>
<iframe id="film" width="700" height="900" allow="fullscreen; autoplay; clipboard-write" title="film" src="http://films.localhost:${port}/embed.html?v=${FILM}"></iframe></html>`);
  const media = required('HLSGATE_TEST_MEDIA');
  writeFileSync(join(folder, 'nginx.conf'), `${process.getuid() === 0 ? 'user root;' : ''}
daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
events { worker_connections 512; }
http {
  include /etc/nginx/mime.types; default_type application/octet-stream; access_log off;
  log_format raw '$request "$http_referer"';
  client_body_temp_path ${folder}/tmp1; proxy_temp_path ${folder}/tmp2; fastcgi_temp_path ${folder}/tmp3; uwsgi_temp_path ${folder}/tmp4; scgi_temp_path ${folder}/tmp5;
  include ${folder}/conf.d/hlsgate.conf;
  server {
    listen 127.0.0.1:${port};
    include ${folder}/snippets/hlsgate.conf;
    access_log ${folder}/raw.log raw;
    root ${ROOT}/examples/site;
    location / { include ${folder}/snippets/nginx-site.conf; }
    location ^~ /hls/ { include ${folder}/snippets/hlsgate-protect.conf; include ${folder}/snippets/hlsgate-cache.conf; root ${media}; }
    location /posters/ { root ${media}; }
    location /previews/ { root ${media}; }
    location = /videos.json { include ${folder}/snippets/nginx-site.conf; root ${media}; }
  }
  server { listen 127.0.0.1:${port}; server_name other.localhost; root ${folder}/other; }
}
`);
}

function startChild({ name, file, args, ready = [], children, logs }) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const lines = [];
    const matches = [];
    const failed = (why) => reject(new Error(`${name} ${why}\n${lines.join('\n')}`));
    const timer = setTimeout(() => failed('was not ready in time'), DEADLINE);
    const read = (line) => {
      lines.push(line);
      ready.forEach((pattern, index) => (matches[index] ??= pattern.exec(line)?.[1]));
      if (ready.every((_, index) => matches[index])) done();
    };
    const done = () => {
      clearTimeout(timer);
      resolve({ child, matches });
    };
    children.push(child);
    logs.set(name, lines);
    createInterface({ input: child.stdout }).on('line', read);
    createInterface({ input: child.stderr }).on('line', read);
    child.once('error', (error) => failed(error.message));
    child.once('exit', (code) => failed(`ended with ${code}`));
    if (ready.length === 0) child.once('spawn', done);
  });
}

async function endChild(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.stdin.end();
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 5000);
  await ended;
  clearTimeout(late);
}

/** Waits until `condition` holds; fails with what it waited for, and the logs. */
export async function until(condition, what, logs = new Map(), deadline = DEADLINE) {
  const end = Date.now() + deadline;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}\n${[...logs].map(([name, lines]) => `${name}: ${lines.join('\n')}`).join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Below those that the system lends to outgoing connections (32768 and up): a browser's next one might take it meanwhile. */
function freePort() {
  const port = 10_000 + Math.floor(Math.random() * 22_000);
  return new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(freePort())).listen(port, '127.0.0.1', () => server.close(() => resolve(port)));
  });
}

function required(name) {
  if (!process.env[name]) throw new Error(`${name} is not set; start the tests with tests/browser/run`);
  return process.env[name];
}

const tail = (file) => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(-20).join('\n') : '');
