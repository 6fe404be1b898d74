import type { Transport } from "../http1/transport.ts";
import { AnswerReader } from "./h2_answer.ts";
import type { BodySource } from "./h2_body.ts";

const LAST_CHUNK = new TextEncoder().encode("0\r\n\r\n");
const LINE_END = LAST_CHUNK.subarray(-2);

/** What resets a stream: an answer that breaks off, or never begins. */
export class CutStream extends Error {
  override name = "CutStream";
}

/** One request that came over HTTP/2, for {@linkcode Lane.answer}. */
export interface LaneRequest {
  readonly method: string;
  /** Its head as HTTP/1.1 writes it, with its empty line. */
  readonly head: string;
  /** Its body; null if there is none. */
  readonly body: BodySource | null;
  /** The body goes on in chunks. */
  readonly chunked: boolean;
  /** Aborted when the client has reset the stream. */
  readonly signal: AbortSignal;
}

/**
 * A connection in memory that speaks HTTP/1.1 on one side, as any client's, and on the other takes
 * requests of HTTP/2 and gives their answers, one at a time. So whoever serves HTTP/1.1 serves both.
 */
export class Lane implements Transport {
  /** It can take another request, now or after the one it carries. */
  open = true;
  #queue: Uint8Array[] = [];
  #wake: (() => void) | null = null;
  #failure: Error | null = null;
  #ended = false;
  #request: LaneRequest | null = null;
  #bodyDone = true;
  #reader: AnswerReader | null = null;
  #respond: ((response: Response) => void) | null = null;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #drained: (() => void) | null = null;
  #over: (() => void) | null = null;

  /**
   * Carries a request; it may not carry another at the time.
   *
   * @param over called when nothing of it is under way any more.
   * @returns its answer; one that is cut before it begins has a body that fails at once.
   */
  answer(request: LaneRequest, over: () => void): Promise<Response> {
    const { promise, resolve } = Promise.withResolvers<Response>();
    this.#request = request;
    this.#over = over;
    this.#respond = resolve;
    this.#reader = new AnswerReader(request.method);
    this.#bodyDone = request.body === null;
    this.#push(latin1(request.head));
    if (request.signal.aborted) this.#gone();
    else request.signal.addEventListener("abort", this.#gone, { once: true });
    return promise;
  }

  #push(bytes: Uint8Array): void {
    this.#queue.push(bytes);
    this.#notify();
  }

  #pushBody(piece: Uint8Array): void {
    if (this.#request?.chunked !== true) return this.#push(piece);
    this.#push(latin1(`${piece.length.toString(16)}\r\n`));
    this.#push(piece);
    this.#push(LINE_END);
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  /** The client is no longer there: as on a connection of its own, reads and writes fail. */
  readonly #gone = (): void => {
    this.#fail(new Error("The client has reset the stream"));
  };

  async read(buffer: Uint8Array): Promise<number | null> {
    for (;;) {
      if (this.#failure !== null) throw this.#failure;
      const next = this.#queue[0];
      if (next !== undefined) {
        const count = Math.min(next.length, buffer.length);
        buffer.set(next.subarray(0, count));
        if (count === next.length) this.#queue.shift();
        else this.#queue[0] = next.subarray(count);
        return count;
      }
      if (this.#bodyDone || this.#request === null) {
        if (this.#ended) return null;
        await new Promise<void>((resolve) => this.#wake = resolve);
      } else if (!await this.#readBody(this.#request)) return null;
    }
  }

  /** Reads on in the request's body; false if that broke off. */
  async #readBody(request: LaneRequest): Promise<boolean> {
    try {
      const piece = await request.body!.next();
      if (this.#request !== request) return true;
      if (piece !== null) this.#pushBody(piece);
      else {
        this.#bodyDone = true;
        if (request.chunked) this.#push(LAST_CHUNK);
      }
      return true;
    } catch {
      // Its stream was reset, or its length was not the announced one.
      return false;
    }
  }

  async write(bytes: Uint8Array): Promise<number> {
    if (this.#failure !== null) throw this.#failure;
    const reader = this.#reader;
    // What comes after an answer, or before a request, is nobody's.
    if (reader === null || reader.done) return bytes.length;
    const pieces = reader.take(bytes);
    if (reader.head === null) return bytes.length;
    if (this.#respond !== null) this.#begin(reader, pieces);
    else for (const piece of pieces) this.#controller?.enqueue(piece);
    if (this.#failure !== null) throw this.#failure;
    if (reader.done) this.#finish();
    else await this.#roomToWrite();
    return bytes.length;
  }

  /** Gives the answer out: whole if it is there, otherwise with a body that goes on. */
  #begin(reader: AnswerReader, pieces: Uint8Array<ArrayBuffer>[]): void {
    const { status, fields, closes } = reader.head!;
    if (closes) this.open = false;
    const whole = reader.done && pieces.length <= 1;
    const body = whole ? pieces[0] ?? null : this.#stream(pieces);
    try {
      this.#respond!(new Response(body, { status, headers: fields }));
      this.#respond = null;
    } catch (cause) {
      // The runtime knows no status above 599, and no body of a 205.
      this.#fail(new Error(`Cannot answer ${status} over HTTP/2`, { cause }));
    }
  }

  #stream(pieces: readonly Uint8Array[]): ReadableStream<Uint8Array> {
    return new ReadableStream({
      start: (controller) => {
        this.#controller = controller;
        for (const piece of pieces) controller.enqueue(piece);
      },
      pull: () => this.#drain(),
      cancel: () => this.#gone(),
    });
  }

  #drain(): void {
    const drained = this.#drained;
    this.#drained = null;
    drained?.();
  }

  /** Waits until the client has taken what was written, so that its pace is the endpoint's. */
  #roomToWrite(): Promise<void> {
    const size = this.#controller?.desiredSize ?? 1;
    if (size > 0) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#drained = () => {
      if (this.#failure === null) resolve();
      else reject(this.#failure);
    };
    return promise;
  }

  /** The answer is whole. */
  #finish(): void {
    this.#controller?.close();
    this.#controller = null;
    // What is left of the request would have to be read: another lane is simpler.
    if (!this.#bodyDone || this.#queue.length > 0) this.close();
    else this.#end();
  }

  /** Takes leave of the request. */
  #end(): void {
    const request = this.#request;
    const over = this.#over;
    if (request === null || over === null) return;
    this.#request = this.#reader = this.#over = null;
    request.signal.removeEventListener("abort", this.#gone);
    if (!this.#bodyDone) request.body?.cancel();
    over();
  }

  #fail(failure: Error): void {
    if (this.#failure !== null) return;
    this.#failure = failure;
    this.open = false;
    this.#respond?.(new Response(failing()));
    this.#respond = null;
    try {
      this.#controller?.error(new CutStream("The answer broke off"));
    } catch {
      // The client has cancelled it before.
    }
    this.#controller = null;
    this.#notify();
    this.#drain();
    this.#end();
  }

  closeWrite(): Promise<void> {
    // A client would end its side as well when it has the last answer.
    this.open = false;
    this.#ended = true;
    this.#notify();
    return Promise.resolve();
  }

  close(): void {
    this.#fail(new Error("The connection is closed"));
  }
}

function failing(): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => {
      controller.error(new CutStream("There is no answer"));
    },
  });
}

function latin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}
