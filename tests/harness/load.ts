/** Steady requests through some routers, counted; each worker sends the next when the last is answered. */
export class Load {
  answered = 0;
  /** What went wrong, in words; empty is what the tests hope for. */
  readonly failures: string[] = [];
  #running = true;
  readonly #workers: Promise<void>[];

  private constructor(urls: readonly string[], workers: number) {
    this.#workers = Array.from(
      { length: workers },
      (_, i) => this.#work(urls[i % urls.length]!),
    );
  }

  /** Starts `workers` workers, spread over the routers' URLs. */
  static start(urls: readonly string[], workers = 8): Load {
    return new Load(urls, workers);
  }

  /** Ends it when the requests under way are answered. */
  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#workers);
  }

  async #work(url: string): Promise<void> {
    for (let i = 0; this.#running; i++) {
      try {
        const customer = ["acme", "globex", "nobody"][i % 3]!;
        const response = await fetch(`${url}/${i}`, {
          headers: { "X-Routing-Key": customer },
        });
        const text = await response.text();
        if (response.status === 200) this.answered++;
        else this.failures.push(`${response.status}: ${text}`);
      } catch (error) {
        this.failures.push(String(error));
      }
      // Another worker's turn; without it one that is answered at once would starve the rest.
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}
