/**
 * What can become of a purchase, in one table; pure: it knows no clock, no storage and no network. Everything that is asked of the
 * shop is judged here, so that a page, the module and the paywall cannot differ about when a purchase is over.
 */

const DAY = 86_400;
/** Seconds that a purchase may be silent before it may be forgotten; the shop's own cookie for it lasts as long. */
export const KEPT = 7 * DAY;
/** Seconds between looks at a purchase that nobody waits for: the first, and the longest. */
const LOOK_FIRST = 20;
const LOOK_LAST = DAY;
/** A look is due again when this part of the purchase's age has passed. */
const LOOK_SHARE = 30;

/**
 * - `alive`: it can still become access, so a page that opens goes on with it.
 * - `asked`: money may have been sent for it, so it is asked about again, whatever else is open.
 * - `over`: what a viewer is told once it is over, by the name of a text; null where there is nothing to say.
 * - `unpaid`: the shop knows that nothing was paid. Once that is an old purchase's last answer, it may be forgotten.
 */
export const STATES = Object.freeze({
  new: { alive: true, asked: true, over: null, unpaid: false },
  processing: { alive: true, asked: true, over: null, unpaid: false },
  // A late payment still counts.
  expired: { alive: true, asked: true, over: null, unpaid: true },
  // Confirmed too late, or marked by a person: either may be mended at BTCPay.
  invalid: { alive: false, asked: true, over: 'invalid', unpaid: true },
  // The shop does not know the claim. A server with older keys says so, and knows it a minute later.
  doubted: { alive: false, asked: true, over: null, unpaid: false },
  // BTCPay removes old unpaid invoices.
  missing: { alive: false, asked: true, over: null, unpaid: true },
  settled: { alive: false, asked: false, over: null, unpaid: false },
  ended: { alive: false, asked: false, over: 'ended', unpaid: false },
  revoked: { alive: false, asked: false, over: 'revoked', unpaid: false },
});

/** The shop's refusals that say what a purchase is. All others say nothing of it. */
const REFUSALS = { revoked: 'revoked', expired: 'ended', 'wrong-claim': 'doubted', 'not-found': 'missing' };

/** The state that an answer of the shop means. Money on its way counts as more than a status that does not know of it. */
export function stateOf({ status, expires_at: end }, now) {
  if (status === 'settled') return end !== undefined && end <= now ? 'ended' : 'settled';
  return Object.hasOwn(STATES, status) ? status : 'doubted';
}

/** The state that a refusal means, or null: the purchase is what it was. */
export const stateOfRefusal = ({ reason }) => REFUSALS[reason] ?? null;

/** A kept purchase's state; one that an older version of these pages kept has the shop's word for it. */
export const kept = (entry) => STATES[entry.status] ?? STATES.doubted;

/** When a purchase that nobody waits for is looked at again: often while it is young, once a day when it is old. */
export function nextLook({ made_at = 0, asked_at = 0 }) {
  const age = Math.max(0, asked_at - made_at);
  return asked_at + Math.min(Math.max(LOOK_FIRST, age / LOOK_SHARE), LOOK_LAST);
}

/** True if it may be forgotten: old, and the shop said after all that time that nothing was paid, or that it is over. */
export function forgettable(entry, now) {
  const { made_at = now, asked_at = 0 } = entry;
  if (entry.stale) return false; // who could know did not answer
  const { unpaid, asked } = kept(entry);
  if (!asked || (unpaid && entry.final)) return made_at + KEPT < now || Boolean(entry.set_aside && entry.final);
  return unpaid && !(Number(entry.paid) > 0) && made_at + KEPT < now && asked_at >= made_at + KEPT;
}

/** Orders what opens the same video: what lasts longest comes first; of two that last equally long, what was bought first. */
export const better = (a, b) => lasts(b) - lasts(a) || (a.bought_at ?? 0) - (b.bought_at ?? 0) || 0;

/** When something ends; what never ends, ends last. Not Infinity, for two of these have to be equal. */
export const lasts = ({ expires_at: end }) => end ?? Number.MAX_SAFE_INTEGER;
