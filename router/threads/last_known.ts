/** How long an answer is waited for, in milliseconds; then the last one is taken. */
const PATIENCE = 500;

/** What another thread tells when asked, or told last: who wants to know does not wait for a thread that is busy. */
export class LastKnown<T> {
  /** What was told last. */
  value: T;
  readonly #read: () => Promise<T>;
  #asking: Promise<void> | null = null;

  /** `first` stands until anything is told; `read` asks, and where it throws, nothing new is known. */
  constructor(first: T, read: () => Promise<T>) {
    this.value = first;
    this.#read = read;
  }

  /** Asks, and answers what is known then, at most half a second later. */
  async ask(): Promise<T> {
    this.#asking ??= this.#read()
      .then((value) => void (this.value = value), () => {})
      .finally(() => this.#asking = null);
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, PATIENCE);
    await Promise.race([this.#asking, late]);
    clearTimeout(timer);
    return this.value;
  }
}
