/**
 * The paywall's states and what leads from one to the other: one pure reducer, without page, clock or network, so that a test can
 * feed it everything that a shop may say. The views draw what it answers; `paywall-flow.js` acts on it.
 */

/** What is known before anything was asked. `view` names the view (`paywall-views.js`) and the element's attribute `state`. */
export const START = Object.freeze({
  view: 'loading', offers: [], access: null, url: null, methods: undefined, paid: false,
  invoice: null, turn: null, over: null, ended: false, trouble: null, notice: null,
});

/** How much of an invoice has arrived, as far as BTCPay said. */
export function arrived({ paid, partial, late, invoiced }) {
  if (late) return 'all';
  const sum = Number(paid) || 0;
  if (sum <= 0) return 'none';
  return !partial && Number(invoiced?.amount) > 0 && sum >= Number(invoiced.amount) ? 'all' : 'some';
}

/** Which view shows an invoice: the shop's status by what has arrived. `timeUp`: by the page's clock; only BTCPay says `expired`. */
const VIEWS = {
  new: { none: 'paying', some: 'partial', all: 'processing' },
  processing: { none: 'processing', some: 'processing', all: 'processing' },
  // The token is on its way.
  settled: { none: 'processing', some: 'processing', all: 'processing' },
  expired: { none: 'expired', some: 'short', all: 'processing' },
  invalid: { none: 'invalid', some: 'invalid', all: 'invalid' },
};
const TIME_UP = { paying: 'checking', partial: 'checking' };

export function viewOf(invoice, { timeUp = false } = {}) {
  const view = VIEWS[invoice.status]?.[arrived(invoice)] ?? 'paying';
  return timeUp ? TIME_UP[view] ?? view : view;
}

const shop = (state, news = {}) => ({ ...state, invoice: null, notice: null, ...news, view: state.offers.length > 0 ? 'offers' : 'closed' });

/** What each event makes of the state. An event that a state does not expect leaves it as it is. */
const EVENTS = {
  /** Another video, or the first one. */
  begun: () => START,
  /** The shop's answer on the video: `{ offers, access, url, invoice, over, ended, paid }`. */
  looked: (state, { offers, access, url, methods, invoice = null, over = null, ended = false, paid = false, timeUp }) => {
    const known = { ...state, offers, access, url, methods, trouble: null, notice: null };
    if (access.granted) return { ...known, view: 'open', invoice: null, over: null, ended: false, paid: state.paid || paid };
    const locked = { ...known, paid: false, over, ended: ended || access.reason === 'expired' || over?.reason === 'ended' };
    return invoice ? { ...locked, invoice, view: viewOf(invoice, { timeUp }) } : shop(locked);
  },
  /** An invoice is to be paid: a new one, or an open one again. */
  chosen: (state, { invoice, timeUp }) => (state.view === 'open' ? state : { ...state, invoice, trouble: null, notice: null, view: viewOf(invoice, { timeUp }) }),
  /** The shop's answer on the shown invoice. `replaced`: what had been seen was taken back, as a block showed. */
  told: (state, { invoice, timeUp }) => {
    if (!state.invoice || state.view === 'open') return state;
    const before = state.invoice.status;
    const replaced = invoice.replaced || (invoice.status === 'new' && (before === 'processing' || state.invoice.replaced));
    const next = { ...invoice, replaced };
    return { ...state, invoice: next, trouble: null, notice: null, view: viewOf(next, { timeUp }) };
  },
  /** The page's clock says that the invoice's time is up. Nothing is expired before BTCPay says so. */
  timeUp: (state) => ({ ...state, view: TIME_UP[state.view] ?? state.view }),
  /** The shown invoice is over: the shop refuses it, or what it bought has ended already. */
  over: (state, { over = null, error = null }) => shop(state, { over, ended: over?.reason === 'ended', trouble: error }),
  /** The viewer turned to other offers. */
  left: (state) => shop(state, { trouble: null }),
  /** Asking what is on sale failed. */
  failed: (state, { error }) => ({ ...state, view: 'trouble', trouble: error }),
  /** An invoice is being made, after others: `{ before, busy }`. */
  queued: (state, { turn }) => (state.view === 'open' ? state : { ...state, view: 'queued', turn, invoice: null, trouble: null, notice: null }),
  /** Making an invoice failed: the offers stay, and say why. */
  refused: (state, { error }) => shop(state, { trouble: error }),
  /** The shop cannot be asked about the shown invoice just now (or, with null, it can again). */
  silent: (state, { error }) => ({ ...state, notice: error }),
};

/** The state after an event `{ type, … }`. */
export function reduce(state, event) {
  return EVENTS[event.type](state, event);
}

/** The names of all views, in the order in which a viewer may meet them. */
export const ALL_VIEWS = ['loading', 'offers', 'queued', 'paying', 'partial', 'checking', 'processing', 'expired', 'short', 'invalid', 'open', 'closed', 'trouble'];
