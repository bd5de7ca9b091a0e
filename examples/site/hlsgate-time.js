/** Time as the shop sees it, waiting, and waking up: a phone that went to its wallet app comes back with dead sockets. */

/** Seconds by which a clock may differ before the shop's is believed: `Date` has whole seconds and the network delays. */
export const SKEW_TOLERATED = 5;
/** Timers longer than this many milliseconds fire at once, so longer waits are cut into pieces. */
const LONGEST_TIMER = 3600_000;

export class Clock {
  #skew = 0;
  /** True once the shop's time is known. */
  certain = false;

  /** `date`: the `Date` header of an answer that just arrived, or null. */
  learn(date) {
    const skew = (Date.parse(date ?? '') - Date.now()) / 1000;
    if (Number.isNaN(skew)) return;
    this.certain = true;
    this.#skew = Math.abs(skew) > SKEW_TOLERATED ? skew : 0;
  }

  now() {
    return Math.floor(Date.now() / 1000 + this.#skew);
  }

  /** Runs each `[moment, action]` once when its moment has come, also after sleep. Answers a function that stops it. */
  at(moments) {
    let left = moments;
    let timer;
    const check = () => {
      clearTimeout(timer);
      const now = this.now();
      const due = left.filter(([moment]) => moment <= now);
      left = left.filter(([moment]) => moment > now);
      for (const [, action] of due) action();
      if (left.length === 0) return stop();
      const next = Math.min(...left.map(([moment]) => moment)) * 1000 - (Date.now() + this.#skew * 1000);
      timer = setTimeout(check, Math.min(Math.max(next, 50), LONGEST_TIMER));
    };
    const unlisten = onWake(check);
    const stop = () => {
      clearTimeout(timer);
      unlisten();
    };
    timer = setTimeout(check, 0);
    return stop;
  }
}

/** Calls back when the page is looked at again, restored from the back-forward cache, or online again. */
export function onWake(callback) {
  const visible = () => document.visibilityState === 'visible' && callback();
  const restored = (event) => event.persisted && callback();
  document.addEventListener('visibilitychange', visible);
  addEventListener('pageshow', restored);
  addEventListener('online', callback);
  return () => {
    document.removeEventListener('visibilitychange', visible);
    removeEventListener('pageshow', restored);
    removeEventListener('online', callback);
  };
}

/** Wake-ups as promises: `next()` settles at the next one, or when `signal` aborts. One is waited for at a time. */
export class Wakeups {
  #resolve = () => {};
  #unlisten;

  constructor(signal) {
    const release = () => this.#resolve();
    const unlisten = onWake(release);
    signal?.addEventListener('abort', release);
    this.#unlisten = () => {
      unlisten();
      signal?.removeEventListener('abort', release);
    };
  }

  next() {
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  stop() {
    this.#unlisten();
  }
}

/** Sleeps some seconds, or less if `interrupted` settles first. */
export function pause(seconds, interrupted) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    interrupted?.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
