/** Time as the parts of a program take it: passed in, so that tests decide how it goes by. */
export interface Clock {
  /** Milliseconds on a clock that never jumps: for ages and deadlines; only differences mean something. */
  now(): number;
  /** Milliseconds since the Unix epoch: for people, never for measuring. */
  wall(): number;
  /** Calls `callback` once after so many milliseconds, unless the answered function is called first. */
  after(milliseconds: number, callback: () => void): () => void;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(milliseconds, callback) {
    const timer = setTimeout(callback, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** Waits for `promise`, at most so many milliseconds; leaves no timer behind. */
export async function atMost(
  milliseconds: number,
  promise: Promise<unknown> | null,
  clock: Clock = systemClock,
): Promise<void> {
  let cancel = () => {};
  const late = new Promise<void>((resolve) =>
    cancel = clock.after(milliseconds, resolve)
  );
  try {
    await Promise.race([promise, late]);
  } finally {
    cancel();
  }
}

/** A time in RFC 3339 on the never jumping clock; null stays null. */
export function atTime(clock: Clock, text: string | null): number | null {
  return text === null ? null : clock.now() - (clock.wall() - Date.parse(text));
}

/** A point of the never jumping clock as RFC 3339, UTC. */
export function timeText(clock: Clock, at: number): string {
  return new Date(clock.wall() - (clock.now() - at)).toISOString();
}
