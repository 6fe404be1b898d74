import { KeepAlive } from "./keep_alive.ts";

/** How a {@linkcode Load} is made up. */
export interface LoadOptions {
  /**
   * Connections, spread over the routers, each with one request at a time.
   *
   * @default {8}
   */
  readonly connections?: number;
  /**
   * What customers' requests name, in turn.
   *
   * @default {["acme", "globex", "nobody"]}
   */
  readonly customers?: readonly string[];
  /**
   * Milliseconds between an answer and the next request of its connection.
   *
   * @default {1}
   */
  readonly pauseMs?: number;
  /** Told of each answer how many milliseconds it took. */
  readonly onAnswer?: (ms: number) => void;
}

/**
 * Steady requests through some routers over kept connections, counted. No request is ever sent twice: one that is
 * not answered with 200, by the cell that the router says it chose, is a failure.
 */
export class Load implements AsyncDisposable {
  answered = 0;
  /** What went wrong, in words; empty is what the tests hope for. */
  readonly failures: string[] = [];
  readonly #customers: readonly string[];
  readonly #pauseMs: number;
  readonly #onAnswer: (ms: number) => void;
  #running = true;
  readonly #workers: Promise<void>[];

  private constructor(urls: readonly string[], options: LoadOptions) {
    const { connections = 8 } = options;
    this.#customers = options.customers ?? ["acme", "globex", "nobody"];
    this.#pauseMs = options.pauseMs ?? 1;
    this.#onAnswer = options.onAnswer ?? (() => {});
    this.#workers = Array.from(
      { length: connections },
      (_, i) => this.#work(urls[i % urls.length]!),
    );
  }

  /** Starts it; `urls` are those of the routers' data listeners. */
  static start(urls: readonly string[], options: LoadOptions = {}): Load {
    return new Load(urls, options);
  }

  /** Requests sent: those answered as they should be, and the others. */
  get requests(): number {
    return this.answered + this.failures.length;
  }

  /** Ends it when the requests under way are answered. */
  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#workers);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #work(url: string): Promise<void> {
    let connection: KeepAlive | null = null;
    for (let i = 0; this.#running; i++) {
      const customer = this.#customers[i % this.#customers.length]!;
      try {
        connection ??= await KeepAlive.connect(url);
        const from = performance.now();
        const { status, headers, body } = await connection.get(
          `/${i}`,
          `X-Routing-Key: ${customer}\r\n`,
        );
        const routedTo = headers.get("x-routed-to");
        this.#onAnswer(performance.now() - from);
        if (status === 200 && JSON.parse(body).cell === routedTo) {
          this.answered++;
        } else this.failures.push(`${status} from ${routedTo}: ${body}`);
        if (headers.get("connection") === "close") {
          connection[Symbol.dispose]();
          connection = null;
        }
      } catch (error) {
        this.failures.push(String(error));
        connection?.[Symbol.dispose]();
        connection = null;
      }
      // Another connection's turn; without it one that is answered at once would starve the rest.
      await new Promise((resolve) => setTimeout(resolve, this.#pauseMs));
    }
    connection?.[Symbol.dispose]();
  }
}
