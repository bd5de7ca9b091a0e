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
  /** A purchase under way that a cookie remembers. */
  pending: { invoice: string; status: Status } | null;
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
  /** The viewer turned away from it; a payment still counts. */
  set_aside?: boolean;
  made_at?: number;
  shown_at?: number;
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
  onstatus?: (status: Exclude<Status, 'settled'>) => void;
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
  constructor(reason: string, details?: { status?: number; retryAfter?: number; detail?: string });
  reason: string;
  status: number;
  /** Seconds. */
  retryAfter: number;
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
  buy(video: string, offer: string | Offer, details?: { title?: string }): Promise<Pending>;
  pending(video?: string): Pending[];
  resume(video: string, state?: VideoState): Promise<Pending | null>;
  setAside(pending: Pending): void;
  wait(pending: Pending, options?: WaitOptions): Promise<Purchase>;
  claimPaid(video?: string): Promise<Purchase[]>;
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
