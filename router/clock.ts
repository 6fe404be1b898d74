/** Time as the router's control side takes it; tests pass one of their own. */
export interface Clock {
  /** The monotonic clock, in milliseconds: for ages and deadlines. */
  now(): number;
  /** Milliseconds since the Unix epoch: for people. */
  wallNow(): number;
  /** Calls back once, after `ms` milliseconds; what is answered calls it off. */
  after(ms: number, callback: () => void): () => void;
}

/** The clocks of this machine. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};
