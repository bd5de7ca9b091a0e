/** Types of `hlsgate.js`. Times are UNIX seconds, durations seconds, money decimal strings. */

export interface Offer {
  tier: string;
  price: string;
  /** ISO 4217, `BTC`, or `SATS`. */
  currency: string;
  /** null: never ends. */
  duration: number | null;
  /** What the token will be for: the video's id, `pass:NAME`, or `*`. */
  covers: string;
}

export interface Access {
  granted: boolean;
  tier?: string;
  /** Missing where access never ends. */
  expires_at?: number;
  /** Why not: `missing`, `expired`, `other-video`, `revoked`, `unknown-key`, `bad-signature`, `malformed`. */
  reason?: string;
}

export type Status = 'new' | 'processing' | 'settled' | 'expired' | 'invalid';

export interface VideoState {
  video: string;
  /** Empty: not on sale. */
  offers: Offer[];
  access: Access;
  /** A purchase under way that a cookie remembers; never one that is over. */
  pending: { invoice: string; status: Status; tier?: string; covers?: string } | null;
  /** What a cookie remembered until this answer: a purchase that is over. */
  ended?: { why: 'ended' | 'revoked' | 'invalid' | 'expired'; at?: number; invoice?: string; tier: string; covers: string } | null;
  /** What this shop takes, in words. */
  methods?: string[];
}

/** One way to pay an invoice. */
export interface Method {
  /** BTCPay's id, e.g. `BTC-LN`. */
  id: string;
  kind: 'lightning' | 'bitcoin' | 'lnurl' | 'other';
  name: string;
  currency: string;
  /** What is still to be paid this way. */
  due: string;
  due_sats?: string;
  destination?: string;
  uri?: string;
}

export interface OpenState extends VideoState {
  /** Where the stream is, if access is granted. */
  url?: string;
}

/** A purchase under way. Without storage only `invoice`, `status` and `video` are known after a reload. */
export interface Pending {
  invoice: string;
  status: Status;
  video: string;
  /** The secret of this purchase. */
  claim?: string;
  tier?: string;
  covers?: string;
  amount?: string;
  currency?: string;
  title?: string;
  invoice_expires_at?: number;
  /** BTCPay's own page for it. */
  checkout_url?: string;
  lightning?: { bolt11: string; uri: string } | null;
  onchain?: { address: string; uri: string } | null;
  /** One URI for both ways, for a QR code. */
  unified?: string;
  methods?: Method[];
  /** What has arrived, unconfirmed included, in the invoice's currency. */
  paid?: string;
  /** The invoice's own price and currency: satoshis are invoiced as `BTC`. */
  invoiced?: { amount: string; currency: string };
  /** Part of the price lies in it. */
  partial?: boolean;
  /** Paid after its time, and seen: it opens when it is confirmed. */
  late?: boolean;
  /** False: nothing is to be paid just now, so no code is shown. */
  payable?: boolean;
  /** A payment that had been seen was taken back. */
  replaced?: boolean;
  /** BTCPay, or its Lightning node where only that can still say, does not answer: what is known may be wrong. */
  stale?: boolean;
  /** Nothing can come of it any more. */
  final?: boolean;
  /** Opaque: sent back, so that the shop answers when anything of this changes. */
  facts?: string;
  /** The viewer turned away from it; a payment still counts. */
  set_aside?: boolean;
  made_at?: number;
  shown_at?: number;
  /** When the shop was asked last. */
  asked_at?: number;
}

/** What was bought, as this browser keeps it. */
export interface Purchase {
  /** `jti` of the token: the invoice's id, or a random one. */
  id: string;
  token: string;
  claim?: string;
  /** The video's id, `pass:NAME`, or `*`. */
  covers: string;
  /** The video it was bought for; unknown for a restored pass. */
  video?: string;
  tier: string;
  title?: string;
  bought_at: number;
  expires_at?: number;
  expired: boolean;
  /** Why the shop refuses it for good, e.g. `revoked`. */
  refused?: string;
  /** What was paid beyond the price. */
  overpaid?: { value: string; currency: string };
}

/** What became of a purchase that is over. */
export interface Over {
  reason: 'ended' | 'revoked' | 'invalid' | 'cancelled' | 'expired';
  /** When; missing where that is not known. */
  at?: number;
  invoice?: string;
  tier?: string;
  covers?: string;
}

export interface Claims {
  sub: string;
  tier: string;
  iat: number;
  exp?: number;
  jti: string;
}

export interface Options {
  /** Prefix of the shop; `/hlsgate/` by default. */
  shop?: string;
  /** `media` of hlsgate.toml; `/hls/{video}/` by default. */
  media?: string;
  /** File name of the playlist; `master.m3u8` by default. */
  playlist?: string;
  /** `localStorage` by default. */
  storage?: Storage;
}

export interface WaitOptions {
  signal?: AbortSignal;
  /** Called with the first answer, and whenever anything of it changes. */
  onstatus?: (status: Exclude<Status, 'settled'>, pending: Pending) => void;
  /** The shop cannot be asked just now; null when it answers again. */
  ontrouble?: (error: HlsgateError | null) => void;
  /** Seconds that the shop may hold an answer; 25 by default, at most 50. */
  hold?: number;
}

/**
 * `reason`: the shop's stable word (`btcpay-unavailable`, `busy`, `wrong-claim`, …), or `unreachable`, `status-NNN` (refused by
 * something that is not the shop), `unpaid` (a claim that is not settled yet), `nothing-found` or `too-large` (a backup).
 */
export class HlsgateError extends Error {
  constructor(reason: string, details?: { status?: number; retryAfter?: number; detail?: string; problem?: object });
  reason: string;
  status: number;
  /** Seconds. */
  retryAfter: number;
  /** The problem document (RFC 9457) of the answer. */
  problem: object;
  /** Asking again may help. */
  get passing(): boolean;
}

/** Fires `change` when a purchase is added or removed, in this tab or another one. */
export class Hlsgate extends EventTarget {
  constructor(options?: Options);
  /** False where the browser keeps nothing for this page. */
  get remembers(): boolean;
  /** The shop's time. */
  now(): number;
  /** Learns the shop's time, for a page that judges what is kept before it asks the shop anything else. */
  setClock(): Promise<void>;
  offers(video: string): Promise<VideoState>;
  open(video: string): Promise<OpenState>;
  streamUrl(video: string, token?: string): string;
  buy(video: string, offer: string | Offer, details?: {
    title?: string;
    onturn?: (turn: { before?: number; busy?: boolean }) => void;
    signal?: AbortSignal;
  }): Promise<Pending>;
  pending(video?: string): Pending[];
  resume(video: string, state?: VideoState): Promise<Pending | null>;
  setAside(pending: Pending): void;
  wait(pending: Pending, options?: WaitOptions): Promise<Purchase>;
  over(video: string, ended?: VideoState['ended']): Over | null;
  /** What `open` would answer of a purchase that was paid just now, in a browser that keeps cookies. */
  opened(video: string, purchase: Purchase): { access: Access; url: string };
  /** Whether the cookies of the shop come back: true, or null where that does not show. */
  keepsCookies(video: string): Promise<true | null>;
  claimPaid(video?: string, options?: { due?: boolean; except?: string }): Promise<Purchase[]>;
  keep(token: string, details?: { claim?: string }): Promise<Purchase>;
  list(): Purchase[];
  forget(id: string): void;
  code(purchases?: Purchase[]): string;
  link(purchases?: Purchase[], page?: string): string;
  file(purchases?: Purchase[]): File;
  restore(text: string): Promise<Array<{ id: string; purchase?: Purchase; error?: HlsgateError }>>;
  watchExpiry(
    expiresAt: number | undefined,
    callbacks: { warn?: number; onwarn?: (seconds: number) => void; onend?: () => void },
  ): () => void;
}

/** The claims of a token, unchecked, or null. */
export function inspect(token: string): Claims | null;
