/**
 * The one place through which every request to the shop goes. However a page errs, and whatever the shop answers, no more
 * than `MOST` requests begin within any `SPAN` milliseconds; what is too many waits its turn, the viewer's own doing first.
 */

/** Milliseconds in which so many requests may begin: one a second on average, ten at once on a page that just opened. */
export const SPAN = 10_000;
export const MOST = 10;
/** Of these, what nobody waits for (prices of a catalogue, claims set aside) leaves some to the viewer. */
const MOST_BEHIND = 8;

export class Pace {
  /** When the last requests began, oldest first. */
  #begun = [];
  #waiting = [];
  #timer;

  /**
   * Settles when a request may begin; rejects with the signal's reason if that aborts before. `behind`: nobody waits for it, so
   * everything else goes first.
   */
  turn({ behind = false, signal } = {}) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const entry = { behind, begin: resolve };
      signal?.addEventListener('abort', () => {
        this.#waiting = this.#waiting.filter((it) => it !== entry);
        reject(signal.reason);
      }, { once: true });
      this.#waiting.push(entry);
      this.#go();
    });
  }

  #go() {
    clearTimeout(this.#timer);
    const now = Date.now();
    // A clock that was set back would stop everything until it has caught up.
    this.#begun = this.#begun.filter((it) => it > now - SPAN && it <= now);
    for (;;) {
      const next = this.#waiting.find((it) => !it.behind) ?? this.#waiting[0];
      if (!next) return;
      const room = next.behind ? MOST_BEHIND : MOST;
      if (this.#begun.length >= room) {
        // Room is made when this one is older than the span.
        const oldest = this.#begun[this.#begun.length - room];
        this.#timer = setTimeout(() => this.#go(), oldest + SPAN - now + 1);
        return;
      }
      this.#waiting = this.#waiting.filter((it) => it !== next);
      this.#begun.push(now);
      next.begin();
    }
  }
}

/** A page has one, however many objects speak to the shop. */
export const pace = new Pace();
