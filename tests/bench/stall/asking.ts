import type { Buffer } from "node:buffer";
import { setTimeout as pause } from "node:timers/promises";
import { type Answer, Asker } from "./asker.ts";
import { cellOf, NAME_BYTES, sizeOf } from "./customers.ts";
import { now } from "./recording.ts";

export interface AskingOptions {
  /** Where the router is going to listen. */
  readonly port: number;
  /** Whom to ask for, in turn. */
  readonly names: Buffer;
  /** The one that has to be served. */
  readonly version: number;
  readonly cells: number;
  /** Ends it. */
  readonly signal: AbortSignal;
}

const POLL_MS = 1;

/** Asks a router for one customer after another, from the moment its port opens. */
export class Asking {
  /** Resolves when the first request was routed, with the time. */
  readonly routed: Promise<number>;
  readonly ended: Promise<void>;
  /** Answers that wanted anything but what has to be served, by kind. */
  readonly failures: Record<string, number> = {};
  /** Requests answered 503. */
  early = 0;
  readonly #options: AskingOptions;
  readonly #routed = Promise.withResolvers<number>();

  constructor(options: AskingOptions) {
    this.#options = options;
    this.routed = this.#routed.promise;
    this.ended = this.#run();
  }

  async #run(): Promise<void> {
    const { port, signal } = this.#options;
    while (!signal.aborted) {
      try {
        const asker = await Asker.connect(port);
        try {
          await this.#askOn(asker);
        } finally {
          asker.close();
        }
        await pause(POLL_MS);
      } catch (error) {
        if (error instanceof Deno.errors.ConnectionRefused) {
          await pause(POLL_MS);
        } else this.#fail((error as Error).message);
      }
    }
    this.#routed.reject(new Error("No request was routed in time"));
  }

  /** Asks on one connection until told to stop, or that it is too early. */
  async #askOn(asker: Asker): Promise<void> {
    const { names, signal } = this.#options;
    for (let i = 0; !signal.aborted; i++) {
      const customer = i % sizeOf(names);
      const at = customer * NAME_BYTES;
      const name = names.subarray(at, at + NAME_BYTES);
      const answer = await asker.ask(name);
      if (answer.status === 503) {
        this.early++;
        return;
      }
      this.#judge(answer, customer);
    }
  }

  #judge({ status, cell, version }: Answer, customer: number): void {
    const { cells, version: expected } = this.#options;
    if (status !== 200) this.#fail(`status ${status}`);
    else if (version === 0) this.#fail("an answer of the bootstrap config");
    else if (
      version !== expected || cell !== cellOf(customer, { version, cells })
    ) this.#fail(`an answer of version ${version} and cell ${cell}`);
    else this.#routed.resolve(now());
  }

  #fail(what: string): void {
    this.failures[what] = (this.failures[what] ?? 0) + 1;
  }
}
