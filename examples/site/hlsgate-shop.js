/** Speaking to the shop: one paced request at a time of asking, its errors in one shape, and its time. */

import { pace } from './hlsgate-pace.js';
import { Clock } from './hlsgate-time.js';

/** What can be a video's id (`docs/protocol.md`). */
const VIDEO_ID = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
/** Seconds until an answer that is not held is given up. */
const TIMEOUT = 30;

/** A refusal or a failure. `reason` is the shop's stable word for it, or one of ours: see `hlsgate.d.ts`. */
export class HlsgateError extends Error {
  constructor(reason, { status = 0, retryAfter = 0, detail = '', problem = {} } = {}) {
    super(detail || reason);
    this.name = 'HlsgateError';
    this.reason = reason;
    this.status = status;
    this.retryAfter = retryAfter;
    this.problem = problem;
  }

  /** True if asking again may help: the network, our own fault, BTCPay away, too many requests. */
  get passing() {
    return this.reason === 'unreachable' || this.status >= 500 || this.status === 408 || this.status === 429;
  }
}

export class Shop {
  #prefix;
  clock = new Clock();

  /** `prefix`: where the shop is, with a slash at its end. */
  constructor(prefix) {
    this.#prefix = prefix;
  }

  /**
   * One request. Its errors are problem documents (RFC 9457) with a `reason`. `interrupted`: a promise that ends it; then it throws
   * an `AbortError`. `behind`: nobody waits for the answer, so others go first. `timeout`: seconds.
   */
  async request(path, { body, claim, interrupted, behind = false, timeout = TIMEOUT } = {}) {
    const controller = new AbortController();
    const { signal } = controller;
    let timer;
    interrupted?.then(() => controller.abort());
    try {
      await pace.turn({ behind, signal });
      timer = setTimeout(() => controller.abort(new HlsgateError('unreachable', { detail: 'no answer in time' })), timeout * 1000);
      const answer = await fetch(this.#prefix + path, {
        method: body ? 'POST' : 'GET',
        cache: 'no-store',
        headers: { ...(body ? { 'content-type': 'application/json' } : {}), ...(claim ? { authorization: `Bearer ${claim}` } : {}) },
        body: body && JSON.stringify(body),
        signal,
      });
      this.clock.learn(answer.headers.get('date'));
      if (answer.ok) return await answer.json();
      const problem = await answer.json().catch(() => ({}));
      throw new HlsgateError(problem?.reason ?? reasonOf(answer.status), {
        status: answer.status, detail: problem?.detail, retryAfter: Number(answer.headers.get('retry-after')) || 0, problem: problem ?? {},
      });
    } catch (error) {
      if (error instanceof HlsgateError || error.name === 'AbortError') throw error;
      throw new HlsgateError('unreachable', { detail: error.message });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Where the shop speaks of a video. A server reads `%2F` as `/`: an id from an address must not lead to other answers. */
export function pathOf(video) {
  if (!VIDEO_ID.test(video)) throw new HlsgateError('not-found', { status: 404 });
  return `videos/${video}`;
}

/** Why a request failed, where the answer does not say: a proxy in between that is not ours. */
function reasonOf(status) {
  if (status === 404) return 'not-found';
  return status >= 500 || status === 408 || status === 429 ? 'unreachable' : `status-${status}`;
}
