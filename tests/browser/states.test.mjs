// What the pages make of everything that a shop may say, without a browser: the reducer, the table of purchases, the pace of asking.
// Time is the test's own, so that hours pass in milliseconds.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { MOST, Pace, SPAN } from '../../examples/site/hlsgate-pace.js';
import { KEPT, STATES, better, forgettable, nextLook, stateOf, stateOfRefusal } from '../../examples/site/hlsgate-purchase.js';
import { ALL_VIEWS, START, arrived, reduce, viewOf } from '../../examples/site/paywall-states.js';
import { PaywallFlow } from '../../examples/site/paywall-flow.js';
import { Hlsgate, HlsgateError } from '../../examples/site/hlsgate.js';

const VIDEO = 'c05f2318';
const DAY = 86_400;

// --- a world with a clock of its own ---------------------------------------------------------------------------------------

const real = { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, now: Date.now, fetch: globalThis.fetch };

/** A page without a browser: a clock that the test moves, a storage, a shop that `answer` plays. Counts every request to it. */
class World {
  now = 1_800_000_000_000;
  requests = [];
  #timers = new Map();
  #ids = 0;
  storage = new Map();

  constructor(answer) {
    this.answer = answer;
    const set = (action, delay, repeat) => {
      const id = (this.#ids += 1);
      this.#timers.set(id, { action, at: this.now + Math.max(0, delay ?? 0), repeat });
      return { id, unref() { return this; }, ref() { return this; }, [Symbol.toPrimitive]: () => id };
    };
    globalThis.setTimeout = (action, delay) => set(action, delay);
    globalThis.setInterval = (action, delay) => set(action, delay, delay);
    globalThis.clearTimeout = globalThis.clearInterval = (timer) => this.#timers.delete(timer?.id ?? timer);
    Date.now = () => this.now;
    globalThis.document = { visibilityState: 'visible', addEventListener() {}, removeEventListener() {} };
    globalThis.addEventListener = globalThis.removeEventListener = () => {};
    globalThis.fetch = (url, options) => this.#fetch(url, options);
    this.local = {
      getItem: (key) => this.storage.get(key) ?? null, setItem: (key, value) => this.storage.set(key, String(value)), removeItem: (key) => this.storage.delete(key),
      key: (index) => [...this.storage.keys()][index] ?? null, get length() { return [...this.owner.keys()].length; }, owner: this.storage,
    };
  }

  #fetch(path, { body, headers, signal } = {}) {
    const shop = path.startsWith('/hlsgate/');
    if (shop) this.requests.push({ at: this.now, path });
    return new Promise((resolve, reject) => {
      const abort = () => reject(signal.reason ?? new DOMException('aborted', 'AbortError'));
      if (signal?.aborted) return abort();
      signal?.addEventListener('abort', abort);
      const { status = 200, json, after = 0.02 } = this.answer({ path, body: body && JSON.parse(body), headers, world: this });
      setTimeout(() => resolve({
        ok: status < 400, status, headers: new Map([['date', new Date(this.now).toUTCString()], ...(status === 429 ? [['retry-after', '1']] : [])]), json: async () => json,
      }), after * 1000);
    });
  }

  /** Lets so many seconds pass. */
  async pass(seconds) {
    const end = this.now + seconds * 1000;
    for (;;) {
      for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => real.setImmediate(resolve));
      const [id, next] = [...this.#timers].reduce((best, it) => (!best[1] || it[1].at < best[1].at ? it : best), []);
      if (!next || next.at > end) break;
      this.now = Math.max(this.now, next.at);
      if (next.repeat) next.at += next.repeat;
      else this.#timers.delete(id);
      next.action();
    }
    this.now = end;
  }

  /** The most requests to the shop that began within any ten seconds. */
  get busiest() {
    return Math.max(0, ...this.requests.map(({ at }) => this.requests.filter((it) => it.at >= at && it.at < at + 10_000).length));
  }

  end() {
    Object.assign(globalThis, { setTimeout: real.setTimeout, clearTimeout: real.clearTimeout, setInterval: real.setInterval, clearInterval: real.clearInterval, fetch: real.fetch });
    Date.now = real.now;
    for (const name of ['document', 'addEventListener', 'removeEventListener']) delete globalThis[name];
  }
}

/** The worlds follow each other in time, for a page's pace is one for all that speak to the shop. */
let epoch = 1_800_000_000_000;
async function inWorld(answer, body) {
  const world = new World(answer);
  world.now = epoch += 3600_000;
  try {
    return await body(world);
  } finally {
    await world.pass(20);
    world.end();
  }
}

const mint = (claims) => {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ alg: 'HS256', kid: 'k1' })}.${part({ sub: VIDEO, tier: '24h', ...claims })}`;
  return `${text}.${createHmac('sha256', 'key').update(text).digest('base64url')}`;
};

// --- A1: the pace ----------------------------------------------------------------------------------------------------------

const SITUATIONS = ['none', 'new', 'processing', 'settled', 'expired', 'invalid', 'settled-and-ended', 'settled-and-revoked'];
const idOf = (source, situation) => `${source}${situation.replaceAll('-', '')}00`;

/** A shop in which a cookie, a stored claim and a stored token each name a purchase in some situation. `kind`: how it behaves otherwise. */
function shopOf({ cookie, claim, token }, kind) {
  const purchases = Object.fromEntries(Object.entries({ cookie, claim, token }).map(([source, it]) => [idOf(source, it), it]));
  const tokenOf = (id, situation, seconds) => mint({ jti: id, iat: seconds - 2 * DAY, ...(situation === 'settled' ? {} : { exp: seconds - (situation.endsWith('ended') ? 3600 : -3600) }) });
  let turn = 0;
  return ({ path, body, world }) => {
    turn += 1;
    const seconds = Math.floor(world.now / 1000);
    if (kind === 'wild') {
      const any = ['new', 'processing', 'settled', 'expired', 'invalid', 'nonsense'][turn % 6];
      if (path.includes('/invoices/')) return { json: { status: any, video: VIDEO, tier: '24h', covers: VIDEO, facts: String(turn), paid: String(turn), ...(any === 'settled' ? { token: tokenOf('w' + turn, 'settled-and-ended', seconds) } : {}) } };
      if (path.endsWith('/session')) return { status: 403, json: { reason: ['revoked', 'expired', 'unknown-key'][turn % 3] } };
      return { json: { video: VIDEO, offers: [], access: { granted: false, reason: 'expired' }, pending: { invoice: `w${turn}`, status: any } } };
    }
    if (kind === 'down') return [{ status: 503, json: { reason: 'busy' } }, { status: 502, json: {} }, { status: 429, json: { reason: 'busy' } }][turn % 3];
    if (kind === 'wrong' && path.includes('/invoices/')) return { status: 403, json: { reason: 'wrong-claim' } };
    if (path.endsWith('/session')) {
      const { jti } = JSON.parse(Buffer.from(body.token.split('.')[1], 'base64url'));
      // A token of a purchase that is none: of another key set, damaged, over by the shop's clock alone.
      const reason = { new: 'unknown-key', processing: 'malformed', invalid: 'bad-signature', expired: 'expired', 'settled-and-revoked': 'revoked', 'settled-and-ended': 'expired' }[purchases[jti]];
      if (reason) return { status: 403, json: { reason } };
      world.granted = true;
      return { json: { token: body.token } };
    }
    const invoice = /\/invoices\/(\w+)\?/.exec(path)?.[1];
    if (invoice) {
      const situation = purchases[invoice];
      const query = new URLSearchParams(path.split('?')[1]);
      if (situation === 'settled-and-revoked') return { status: 403, json: { reason: 'revoked' } };
      const status = situation.startsWith('settled') ? 'settled' : situation;
      if (status === 'settled') {
        world.granted ||= situation === 'settled';
        return { json: { status, video: VIDEO, tier: '24h', covers: VIDEO, token: tokenOf(invoice, situation, seconds) } };
      }
      return { json: { status, video: VIDEO, tier: '24h', covers: VIDEO }, after: kind === 'hasty' || query.get('seen') !== status ? 0.02 : Number(query.get('wait')) };
    }
    // Yesterday's daemon: it names a purchase that is over as well.
    const status = cookie.startsWith('settled') ? 'settled' : cookie;
    return { json: {
      video: VIDEO, offers: [{ tier: '24h', price: '100', currency: 'SATS', duration: DAY, covers: VIDEO }],
      access: world.granted ? { granted: true, tier: '24h' } : { granted: false, reason: cookie.endsWith('ended') ? 'expired' : 'missing' },
      pending: cookie === 'none' || kind === 'new-daemon' ? null : { invoice: idOf('cookie', cookie), status },
    } };
  };
}

/** Opens the film in such a world, lets a minute pass, and answers what the paywall's flow shows and how often it asked. */
function visit(sources, kind, seconds = 60) {
  return inWorld(shopOf(sources, kind), async (world) => {
    const now = Math.floor(world.now / 1000);
    if (sources.claim !== 'none') {
      world.storage.set(`hlsgate:pending:${idOf('claim', sources.claim)}`, JSON.stringify({
        invoice: idOf('claim', sources.claim), claim: 'c'.repeat(64), video: VIDEO, tier: '24h', covers: VIDEO, status: 'new', made_at: now - 60, shown_at: now - 60, invoice_expires_at: now + 1800,
      }));
    }
    if (sources.token !== 'none') {
      const ends = sources.token === 'settled' ? {} : { exp: now + (sources.token === 'settled-and-ended' ? -60 : 3600) };
      const token = mint({ jti: idOf('token', sources.token), iat: now - DAY, ...ends });
      world.storage.set(`hlsgate:purchase:${idOf('token', sources.token)}`, JSON.stringify({ token, video: VIDEO }));
    }
    const gate = new Hlsgate({ storage: world.local });
    const flow = new PaywallFlow(gate);
    const views = [];
    flow.addEventListener('change', () => views.at(-1) !== flow.state.view && views.push(flow.state.view));
    flow.start();
    flow.show(VIDEO, 'The film');
    await world.pass(seconds);
    const { busiest, requests } = world;
    flow.stop();
    return { view: flow.state.view, over: flow.state.over, views, busiest, requests: requests.length, gate, flow };
  });
}

test('no page asks the shop more than once a second on average over ten seconds, whatever cookie, claim and token say', async () => {
  for (const kind of ['held', 'hasty']) {
    for (const cookie of SITUATIONS) {
      for (const claim of SITUATIONS) {
        for (const token of SITUATIONS) {
          const { busiest, view, views } = await visit({ cookie, claim, token }, kind, 40);
          const what = `cookie ${cookie}, claim ${claim}, token ${token}, ${kind}: ${views.join(' → ')}`;
          assert.ok(busiest <= 10, `${busiest} requests within ten seconds: ${what}`);
          assert.ok(views.length <= 6, `it flickers: ${what}`);
          const opens = [cookie, claim, token].includes('settled');
          if (opens) assert.equal(view, 'open', what);
          else assert.ok(['offers', 'paying', 'processing', 'expired', 'invalid'].includes(view), what);
          // A purchase that is over is not pending: nothing waits for it.
          const alive = (it) => ['new', 'processing', 'expired'].includes(it);
          if (!opens && !alive(cookie) && !alive(claim)) assert.ok(['offers', 'invalid'].includes(view), `${what}: ends at ${view}`);
        }
      }
    }
  }
});

test('a shop that errs, refuses, contradicts itself or answers nonsense is not asked faster either', async () => {
  for (const kind of ['wild', 'down', 'wrong']) {
    for (const situation of SITUATIONS) {
      const { busiest, requests } = await visit({ cookie: situation, claim: situation, token: situation }, kind, 60);
      assert.ok(busiest <= 10, `${kind}, ${situation}: ${busiest} requests within ten seconds`);
      assert.ok(requests > 0);
    }
  }
});

test('in a minute of waiting for a purchase that is over, a handful of requests is all there is', async () => {
  for (const situation of ['settled-and-ended', 'settled-and-revoked', 'invalid']) {
    for (const source of ['cookie', 'claim', 'token']) {
      const { requests, view } = await visit({ cookie: 'none', claim: 'none', token: 'none', [source]: situation }, 'held', 60);
      assert.ok(requests <= 8, `${source} ${situation}: ${requests}`);
      assert.ok(['offers', 'invalid'].includes(view), `${source} ${situation}: ${view}`);
    }
  }
});

test('what ended is said in one line, with the time', async () => {
  for (const source of ['cookie', 'claim', 'token']) {
    const { over, view } = await visit({ cookie: 'none', claim: 'none', token: 'none', [source]: 'settled-and-ended' }, 'held', 30);
    assert.equal(view, 'offers');
    assert.equal(over?.reason, 'ended', source);
    assert.ok(over.at > 1_800_000_000, source);
  }
  const { over } = await visit({ cookie: 'none', claim: 'settled-and-revoked', token: 'none' }, 'held', 30);
  assert.equal(over.reason, 'revoked');
});

test('the pace lets ten begin at once, then one whenever another is ten seconds old; what nobody waits for leaves room', async () => {
  await inWorld(() => ({}), async (world) => {
    const pace = new Pace();
    const begun = [];
    for (let index = 0; index < 25; index += 1) pace.turn({ behind: index < 12 }).then(() => begun.push([index, world.now]));
    await world.pass(0.1);
    const first = begun.map(([index]) => index);
    assert.equal(first.length, MOST);
    assert.deepEqual(first.slice(0, 8), [0, 1, 2, 3, 4, 5, 6, 7], 'they came first, and there was room');
    assert.deepEqual(first.slice(8), [12, 13], 'the viewer goes before the rest');
    await world.pass(60);
    assert.equal(begun.length, 25);
    for (const [, at] of begun) assert.ok(begun.filter(([, it]) => it >= at && it < at + SPAN).length <= MOST);
    // Given up while it waits: it never begins.
    for (let index = 0; index < MOST; index += 1) await pace.turn();
    const controller = new AbortController();
    const turn = pace.turn({ signal: controller.signal }).then(() => 'begun', () => 'given up');
    controller.abort();
    assert.equal(await turn, 'given up');
  });
});

// --- A2: nothing that may have been paid is thrown away ----------------------------------------------------------------------

const entries = (world) => [...world.storage].filter(([key]) => key.startsWith('hlsgate:pending:')).map(([, text]) => JSON.parse(text));
const keep = (world, entry) => world.storage.set(`hlsgate:pending:${entry.invoice}`, JSON.stringify({ video: VIDEO, covers: VIDEO, tier: '24h', claim: 'c'.repeat(64), status: 'new', shown_at: 1, ...entry }));
const locked = { video: VIDEO, offers: [{ tier: '24h', price: '100', currency: 'SATS', duration: DAY, covers: VIDEO }], access: { granted: false, reason: 'missing' }, pending: null };

test('a claim that a server with older keys does not know for a minute is kept, asked about again, and opens the film', async () => {
  let healthy = false;
  const answer = ({ path, world }) => {
    if (!path.includes('/invoices/')) return { json: world.granted ? { ...locked, access: { granted: true, tier: '24h' } } : locked };
    if (!healthy) return { status: 403, json: { reason: 'wrong-claim' } };
    world.granted = true;
    return { json: { status: 'settled', video: VIDEO, tier: '24h', covers: VIDEO, token: mint({ jti: 'paid0001', iat: Math.floor(world.now / 1000) }) } };
  };
  await inWorld(answer, async (world) => {
    keep(world, { invoice: 'paid0001', made_at: world.now / 1000 - 60, invoice_expires_at: world.now / 1000 + 1000 });
    const flow = new PaywallFlow(new Hlsgate({ storage: world.local }));
    flow.start();
    flow.show(VIDEO);
    await world.pass(30);
    assert.equal(flow.state.view, 'offers', 'it is not waited for');
    assert.equal(entries(world).length, 1, 'it is kept');
    healthy = true;
    await world.pass(60);
    assert.equal(flow.state.view, 'open');
    assert.equal(entries(world).length, 0);
    flow.stop();
  });
});

test('a second purchase of the same film is claimed while the first is open, and the better one wins', async () => {
  let paid = false;
  const answer = ({ path, body, world }) => {
    const now = Math.floor(world.now / 1000);
    if (path.includes('/invoices/')) return paid ? { json: { status: 'settled', video: VIDEO, tier: 'forever', covers: VIDEO, token: mint({ jti: 'forever1', iat: now, tier: 'forever' }) } } : { json: { status: 'new', video: VIDEO, tier: 'forever', covers: VIDEO } };
    if (path.endsWith('/session')) {
      world.forever = !JSON.parse(Buffer.from(body.token.split('.')[1], 'base64url')).exp;
      return { json: { token: body.token } };
    }
    return { json: { ...locked, access: world.forever ? { granted: true, tier: 'forever' } : { granted: true, tier: '24h', expires_at: now + 600 } } };
  };
  await inWorld(answer, async (world) => {
    keep(world, { invoice: 'forever1', tier: 'forever', made_at: world.now / 1000 - 30, invoice_expires_at: world.now / 1000 + 1000 });
    const gate = new Hlsgate({ storage: world.local });
    const flow = new PaywallFlow(gate);
    const opened = [];
    flow.addEventListener('open', () => opened.push(flow.opened.tier));
    flow.start();
    flow.show(VIDEO);
    await world.pass(30);
    assert.deepEqual(opened, ['24h']);
    paid = true;
    await world.pass(90);
    assert.deepEqual(opened, ['24h', 'forever']);
    assert.equal(flow.state.access.expires_at, undefined);
    assert.equal(gate.list()[0].claim, 'c'.repeat(64), 'with the claim that restores it');
    flow.stop();
  });
});

test('a claim is forgotten only when the shop says, a week after it was made, that nothing was paid', () => {
  const now = 2_000_000_000;
  const old = now - KEPT - 60;
  const entry = (it) => ({ made_at: old, ...it });
  for (const [what, it, gone] of [
    ['never asked', { status: 'new' }, false],
    ['open when it was asked last, a week ago', { status: 'new', asked_at: old + 30 }, false],
    ['expired, but that was a week ago', { status: 'expired', asked_at: old + 3600 }, false],
    ['expired, and asked since', { status: 'expired', asked_at: now - 10 }, true],
    ['expired, as far as is known: who could know does not answer', { status: 'expired', stale: true, asked_at: now - 10 }, false],
    ['expired, half paid', { status: 'expired', paid: '0.00001', asked_at: now - 10 }, false],
    ['not known to the shop', { status: 'doubted', asked_at: now - 10 }, false],
    ['on its way', { status: 'processing', asked_at: now - 10 }, false],
    ['invalid, and nothing paid', { status: 'invalid', asked_at: now - 10 }, true],
    ['invalid, but paid', { status: 'invalid', paid: '0.1', asked_at: now - 10 }, false],
    ['gone at BTCPay', { status: 'missing', asked_at: now - 10 }, true],
    ['revoked', { status: 'revoked', asked_at: old }, true],
    ['nothing can come of it, and the viewer turned away', { status: 'expired', final: true, set_aside: true, made_at: now - 60, asked_at: now }, true],
    ['nothing can come of it, still shown', { status: 'expired', final: true, made_at: now - 60, asked_at: now }, false],
    ['young', { status: 'expired', made_at: now - 60, asked_at: now }, false],
    ['kept by an older version of these pages', { status: 'settled-somehow' }, false],
  ]) assert.equal(forgettable(entry(it), now), gone, what);
});

test('the longer nothing comes of a purchase, the rarer it is looked at, and once a day at least', () => {
  assert.equal(nextLook({ made_at: 1000, asked_at: 1010 }), 1030);
  assert.equal(nextLook({ made_at: 1000, asked_at: 1000 + 3600 }), 1000 + 3600 + 120);
  assert.equal(nextLook({ made_at: 1000, asked_at: 1000 + 400 * DAY }), 1000 + 401 * DAY);
});

test('every state of a purchase has its row, and every answer and refusal leads to one', () => {
  const now = 1000;
  assert.deepEqual(Object.keys(STATES), ['new', 'processing', 'expired', 'invalid', 'doubted', 'missing', 'settled', 'ended', 'revoked']);
  for (const [status, state] of Object.entries({ new: 'new', processing: 'processing', expired: 'expired', invalid: 'invalid', settled: 'settled', 'what is this': 'doubted', toString: 'doubted' })) {
    assert.equal(stateOf({ status }, now), state);
  }
  assert.equal(stateOf({ status: 'settled', expires_at: now }, now), 'ended', 'exp is the first second that is refused');
  assert.equal(stateOf({ status: 'settled', expires_at: now + 1 }, now), 'settled');
  for (const [reason, state] of [['revoked', 'revoked'], ['expired', 'ended'], ['wrong-claim', 'doubted'], ['not-found', 'missing'], ['busy', null], ['unreachable', null], ['btcpay-unavailable', null]]) {
    assert.equal(stateOfRefusal(new HlsgateError(reason)), state, reason);
  }
  const [short, long, ever] = [{ expires_at: 5 }, { expires_at: 9 }, {}];
  assert.deepEqual([short, ever, long].sort(better), [ever, long, short]);
});

// --- the reducer -------------------------------------------------------------------------------------------------------------

test('what is shown of an invoice follows from its status and from what has arrived, in every combination', () => {
  const views = { new: ['paying', 'partial', 'processing'], processing: ['processing', 'processing', 'processing'], expired: ['expired', 'short', 'processing'], invalid: ['invalid', 'invalid', 'invalid'], settled: ['processing', 'processing', 'processing'] };
  const invoiced = { amount: '0.00002000', currency: 'BTC' };
  for (const [status, [none, some, all]] of Object.entries(views)) {
    assert.equal(viewOf({ status, invoiced, paid: '0.00000000' }), none);
    assert.equal(viewOf({ status, invoiced }), none, 'a daemon that does not say');
    assert.equal(viewOf({ status, invoiced, paid: '0.00001000' }), some);
    assert.equal(viewOf({ status, invoiced, paid: '0.00002000' }), all);
    assert.equal(viewOf({ status, invoiced, paid: '0.00002000', partial: true }), some, 'the shop knows better');
  }
  assert.equal(viewOf({ status: 'expired', late: true, paid: '0' }), 'processing', 'late, and seen: nobody pays twice');
  for (const status of ['new']) assert.equal(viewOf({ status }, { timeUp: true }), 'checking', 'only BTCPay says expired');
  assert.equal(arrived({ paid: 'nonsense' }), 'none');
});

test('no event throws in any state, and each leads to a state that has a view', () => {
  const invoice = { invoice: 'i1', status: 'new', tier: '24h', covers: VIDEO };
  const events = [
    { type: 'begun' }, { type: 'looked', offers: [], access: { granted: false, reason: 'missing' } }, { type: 'looked', ...locked },
    { type: 'looked', ...locked, access: { granted: true, tier: '24h' }, url: '/x' }, { type: 'looked', ...locked, invoice }, { type: 'chosen', invoice },
    ...Object.keys(STATES).map((status) => ({ type: 'told', invoice: { ...invoice, status } })), { type: 'told', invoice: { ...invoice, paid: '1', invoiced: { amount: '2' } } },
    { type: 'queued', turn: { before: 12 } }, { type: 'timeUp' }, { type: 'over', over: { reason: 'ended', at: 1 } }, { type: 'over', error: new HlsgateError('wrong-claim') }, { type: 'left' },
    { type: 'failed', error: new HlsgateError('unreachable') }, { type: 'refused', error: new HlsgateError('busy') }, { type: 'silent', error: new HlsgateError('unreachable') }, { type: 'silent', error: null },
  ];
  const seen = new Set();
  const queue = [START];
  const known = new Set([JSON.stringify(START)]);
  while (queue.length > 0) {
    const state = queue.shift();
    for (const event of events) {
      const next = reduce(Object.freeze(state), event);
      assert.ok(ALL_VIEWS.includes(next.view), `${state.view} + ${event.type} → ${next.view}`);
      assert.ok(!['paying', 'partial', 'processing', 'expired', 'short', 'invalid', 'checking'].includes(next.view) || next.invoice, `${next.view} without an invoice, after ${event.type} in ${state.view}`);
      assert.ok(next.view !== 'open' || next.access.granted);
      seen.add(next.view);
      const key = JSON.stringify(next);
      if (!known.has(key) && known.size < 4000) {
        known.add(key);
        queue.push(next);
      }
    }
  }
  assert.deepEqual(ALL_VIEWS.filter((it) => !seen.has(it)), ['short'], 'short needs an expiry with money in it, below');
  const half = { ...invoice, status: 'expired', paid: '1', invoiced: { amount: '2' } };
  assert.equal(reduce({ ...START, invoice }, { type: 'told', invoice: half }).view, 'short');
});

test('a payment that was taken back says so: processing turned to new', () => {
  const invoice = { invoice: 'i1', status: 'processing' };
  const seen = reduce(START, { type: 'chosen', invoice });
  const back = reduce(seen, { type: 'told', invoice: { ...invoice, status: 'new' } });
  assert.deepEqual([back.view, back.invoice.replaced], ['paying', true]);
  assert.equal(reduce(back, { type: 'told', invoice: { ...invoice, status: 'new' } }).invoice.replaced, true, 'it stays said');
});
