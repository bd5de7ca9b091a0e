/**
 * Making an invoice, however long it takes: the viewer's turn may come after others, or BTCPay may be slow. A secret (`order`)
 * stands for the whole of it from the first request on, so that however often it is asked for, there is one invoice.
 */

import { pathOf } from './hlsgate-shop.js';
import { pause } from './hlsgate-time.js';

/** Seconds that the shop may hold an answer on a turn. */
const HOLD = 25;
/** Seconds for the making itself, which the shop begins to answer after 15 at the latest. */
const MAKING = 30;
/** Seconds between two questions that were answered at once with nothing new. */
const BREATH = 1;
/** How often a connection may fail before the viewer is told; seconds until the first and the last try. */
const TRIES = 6;
const RETRY_LAST = 8;
/** Bytes of an order's secret. */
const SECRET = 24;

/**
 * Answers the invoice. `body`: what is bought. `onturn({ before, busy })`: how many are before the viewer, undefined while that is not
 * known; `busy` while the shop takes nobody in and is asked again. `signal`: the viewer does not want it any more.
 */
export async function makeInvoice(shop, video, body, { onturn, signal } = {}) {
  const order = secret();
  const interrupted = signal && new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  let before;
  let asking = false;
  let failures = 0;
  for (;;) {
    signal?.throwIfAborted();
    try {
      const asked = Date.now();
      const answer = asking
        ? await shop.request(`order?${new URLSearchParams({ wait: HOLD, ...(before === undefined ? {} : { before }) })}`, { claim: order, interrupted, timeout: HOLD + 10 })
        : await shop.request(`${pathOf(video)}/invoices`, { body: { ...body, order }, interrupted, timeout: MAKING });
      failures = 0;
      if (answer.invoice) return answer;
      if (answer.before === before && Date.now() - asked < 500) await pause(BREATH, interrupted);
      asking = true;
      before = answer.before;
      onturn?.({ before });
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      // The daemon was restarted, or nobody asked in time: the same order again.
      if (asking && error.reason === 'not-found') {
        asking = false;
        await pause(BREATH, interrupted);
        continue;
      }
      if (error.reason === 'busy') {
        asking = false;
        before = undefined;
        onturn?.({ busy: true });
        await pause(Math.max(1, error.retryAfter) + Math.random(), interrupted);
        continue;
      }
      failures += 1;
      if (error.reason !== 'unreachable' || failures >= TRIES) throw error;
      onturn?.({ before });
      await pause(Math.min(2 ** (failures - 1), RETRY_LAST), interrupted);
    }
  }
}

/** A new order's name: whoever has it gets the invoice, so it goes into no address. */
const secret = () => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(SECRET)))).replaceAll('+', '-').replaceAll('/', '_');
