import { Buffer } from "node:buffer";
import { Hpack, literal } from "./hpack.ts";

/** A field's name and value, pseudo-header fields with their colon. */
export type Field = readonly [name: string, value: string];

const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const NOTHING = new Uint8Array(0);

/** The types of frames (RFC 9113 section 6). */
const DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6;
const GOAWAY = 7, WINDOW_UPDATE = 8, CONTINUATION = 9;
const END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8, PRIORITY = 32;

const INITIAL_WINDOW = 65_535;
const MAX_FRAME = 16_384;

/** The error codes that tests meet (RFC 9113 section 7). */
export const NO_ERROR = 0, PROTOCOL_ERROR = 1, CANCEL = 8;

/** A stream that its peer has reset. */
export class StreamReset extends Error {
  override name = "StreamReset";
  readonly code: number;

  constructor(code: number) {
    super(`The stream was reset with code ${code}`);
    this.code = code;
  }
}

/** How a client takes what it is sent. */
export type Manner =
  /** As fast as it comes. */
  | "reading"
  /** No more of a stream than its first window, and what it allows. */
  | "paused"
  /** It allows everything, and reads nothing. */
  | "deaf";

/** One request and its answer. */
export class H2Stream {
  readonly id: number;
  /** The heads of the answer as they came: informational ones, the final one, the trailer section. */
  readonly heads: Field[][] = [];
  readonly pieces: Uint8Array[] = [];
  ended = false;
  failure: Error | null = null;
  /** What may still be sent, as the peer has allowed. */
  window: number;
  #client: H2Client;

  constructor(client: H2Client, id: number, window: number) {
    this.#client = client;
    this.id = id;
    this.window = window;
  }

  /** The value of a field of the last head; several are joined by a line feed. */
  field(name: string): string | null {
    const values = (this.heads.at(-1) ?? []).filter(([n]) => n === name);
    return values.length === 0
      ? null
      : values.map(([, value]) => value).join("\n");
  }

  get status(): number {
    return Number(this.field(":status"));
  }

  /** Waits for a final head. */
  async head(): Promise<Field[]> {
    for (;;) {
      const final = this.heads.find(([first]) => !/^1/.test(first![1]));
      if (final !== undefined) return final;
      await this.#progress();
    }
  }

  /** Waits for the end of the answer; answers the bytes of its body, each a character. */
  async body(): Promise<string> {
    while (!this.ended) await this.#progress();
    // The platform's decoder of that name is another one's.
    return Buffer.from(this.bytes()).toString("latin1");
  }

  /** The bytes of the body so far. */
  bytes(): Uint8Array {
    const all = new Uint8Array(
      this.pieces.reduce((sum, { length }) => sum + length, 0),
    );
    let at = 0;
    for (const piece of this.pieces) {
      all.set(piece, at);
      at += piece.length;
    }
    return all;
  }

  /** Waits for how the stream ends: null for a clean end, otherwise the failure. */
  async end(): Promise<Error | null> {
    while (!this.ended && this.failure === null) await this.#client.progress();
    return this.failure;
  }

  async #progress(): Promise<void> {
    if (this.failure !== null) throw this.failure;
    if (this.ended) throw new Error("The stream ended before what is awaited");
    await this.#client.progress();
  }

  /** Sends a piece of the body, as the peer's windows allow. */
  async write(
    piece: string | Uint8Array,
    options: { end?: boolean } = {},
  ): Promise<void> {
    const bytes = typeof piece === "string" ? latin1(piece) : piece;
    for (let at = 0;;) {
      while (
        at < bytes.length && Math.min(this.window, this.#client.window) <= 0
      ) await this.#progress();
      const count = Math.min(
        bytes.length - at,
        MAX_FRAME,
        this.window,
        this.#client.window,
      );
      this.window -= count;
      this.#client.window -= count;
      const last = at + count === bytes.length;
      await this.#client.frame(DATA, {
        flags: last && options.end ? END_STREAM : 0,
        stream: this.id,
        payload: bytes.subarray(at, at + count),
      });
      at += count;
      if (last) return;
    }
  }

  /** Sends a trailer section, which ends the request. */
  async trailers(fields: readonly Field[]): Promise<void> {
    await this.#client.frame(HEADERS, {
      flags: END_HEADERS | END_STREAM,
      stream: this.id,
      payload: encode(fields),
    });
  }

  async reset(code = CANCEL): Promise<void> {
    await this.#client.frame(RST_STREAM, {
      flags: 0,
      stream: this.id,
      payload: word(code),
    });
  }

  /** Lets the peer send `bytes` more on this stream and its connection. */
  async allow(bytes: number): Promise<void> {
    for (const stream of [0, this.id]) {
      const payload = word(bytes);
      await this.#client.frame(WINDOW_UPDATE, { flags: 0, stream, payload });
    }
  }
}

/**
 * An HTTP/2 client that sends what it is told, also what no client should, and shows what comes back.
 */
export class H2Client implements AsyncDisposable {
  /** What may still be sent on the connection. */
  window = INITIAL_WINDOW;
  /** The error code of the peer's GOAWAY; null before one. */
  goneAway: number | null = null;
  closed = false;
  #conn: Deno.Conn;
  #hpack = new Hpack();
  #streams = new Map<number, H2Stream>();
  #next = 1;
  #initialWindow = INITIAL_WINDOW;
  #paused: boolean;
  #reading: Promise<void>;
  #writing: Promise<void> = Promise.resolve();
  #wake = Promise.withResolvers<void>();
  #block: { stream: number; end: boolean; parts: Uint8Array[] } | null = null;

  private constructor(conn: Deno.Conn, manner: Manner) {
    this.#conn = conn;
    this.#paused = manner === "paused";
    this.#reading = manner === "deaf" ? Promise.resolve() : this.#read();
  }

  /**
   * Connects and sends the preface.
   *
   * @throws {Deno.errors.InvalidData} if the certificate is not trusted.
   */
  static async connect(
    port: number,
    options: { ca: string; manner?: Manner },
  ): Promise<H2Client> {
    const below = await Deno.connect({ hostname: "127.0.0.1", port });
    // Without it each request would wait 40 ms for the acknowledgement of the handshake.
    below.setNoDelay();
    const conn = await Deno.startTls(below, {
      hostname: "localhost",
      caCerts: [options.ca],
      alpnProtocols: ["h2"],
    });
    const { alpnProtocol } = await conn.handshake();
    if (alpnProtocol !== "h2") {
      conn.close();
      throw new Error(`The peer speaks ${alpnProtocol}, not HTTP/2`);
    }
    const { manner = "reading" } = options;
    const client = new H2Client(conn, manner);
    // SETTINGS_HEADER_TABLE_SIZE 0: heads come without a table that changes.
    const settings = [0, 1, 0, 0, 0, 0];
    if (manner === "deaf") settings.push(0, 4, 0x7f, 0xff, 0xff, 0xff);
    const payload = Uint8Array.from(settings);
    await client.#write(PREFACE);
    await client.frame(SETTINGS, { flags: 0, stream: 0, payload });
    if (manner === "deaf") {
      const payload = word(0x7fffffff - INITIAL_WINDOW);
      await client.frame(WINDOW_UPDATE, { flags: 0, stream: 0, payload });
    }
    return client;
  }

  /** Sends a request's head; `end` says that there is no body. */
  async request(
    fields: readonly Field[],
    options: { end?: boolean } = {},
  ): Promise<H2Stream> {
    const stream = new H2Stream(this, this.#next, this.#initialWindow);
    this.#next += 2;
    this.#streams.set(stream.id, stream);
    const block = encode(fields);
    for (let at = 0; at === 0 || at < block.length; at += MAX_FRAME) {
      const flags = (at + MAX_FRAME >= block.length ? END_HEADERS : 0) |
        (at === 0 && (options.end ?? true) ? END_STREAM : 0);
      await this.frame(at === 0 ? HEADERS : CONTINUATION, {
        flags,
        stream: stream.id,
        payload: block.subarray(at, at + MAX_FRAME),
      });
    }
    return stream;
  }

  /** Sends a frame. */
  frame(
    type: number,
    options: { flags: number; stream: number; payload: Uint8Array },
  ): Promise<void> {
    const { flags, stream, payload } = options;
    const bytes = new Uint8Array(9 + payload.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, payload.length << 8 | type);
    bytes[4] = flags;
    view.setUint32(5, stream);
    bytes.set(payload, 9);
    return this.#write(bytes);
  }

  #write(bytes: Uint8Array): Promise<void> {
    return this.#writing = this.#writing.then(async () => {
      for (let at = 0; at < bytes.length;) {
        at += await this.#conn.write(bytes.subarray(at));
      }
    }).catch(() => {
      // The reader learns what became of the connection.
    });
  }

  /** Waits until something has come. */
  async progress(): Promise<void> {
    if (this.closed) throw new Error("The connection has ended");
    await this.#wake.promise;
  }

  async #read(): Promise<void> {
    let bytes: Uint8Array = NOTHING;
    const buffer = new Uint8Array(65_536);
    try {
      for (;;) {
        const count = await this.#conn.read(buffer);
        if (count === null) break;
        const more = new Uint8Array(bytes.length + count);
        more.set(bytes);
        more.set(buffer.subarray(0, count), bytes.length);
        bytes = more;
        for (;;) {
          if (bytes.length < 9) break;
          const view = new DataView(bytes.buffer, bytes.byteOffset);
          const end = 9 + (view.getUint32(0) >>> 8);
          if (bytes.length < end) break;
          this.#take(bytes[3]!, bytes[4]!, {
            stream: view.getUint32(5) & 0x7fffffff,
            payload: bytes.slice(9, end),
          });
          bytes = bytes.subarray(end);
        }
        this.#progressed();
      }
    } catch {
      // Closed, or broken: the streams tell.
    }
    this.closed = true;
    for (const stream of this.#streams.values()) {
      if (!stream.ended) {
        stream.failure ??= new Error("The connection ended inside the stream");
      }
    }
    this.#progressed();
  }

  #progressed(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  #take(
    type: number,
    flags: number,
    frame: { stream: number; payload: Uint8Array },
  ): void {
    const stream = this.#streams.get(frame.stream);
    const { payload } = frame;
    switch (type) {
      case HEADERS:
      case CONTINUATION: {
        this.#block ??= {
          stream: frame.stream,
          end: (flags & END_STREAM) !== 0,
          parts: [],
        };
        this.#block.parts.push(
          type === HEADERS ? withoutPadding(payload, flags) : payload,
        );
        if ((flags & END_HEADERS) === 0) return;
        const { parts, end } = this.#block;
        this.#block = null;
        stream?.heads.push(this.#hpack.decode(parts));
        if (end && stream !== undefined) stream.ended = true;
        return;
      }
      case DATA: {
        if (payload.length > 0 && !this.#paused) {
          const size = { flags: 0, payload: word(payload.length) };
          void this.frame(WINDOW_UPDATE, { ...size, stream: 0 });
          if ((flags & END_STREAM) === 0) {
            void this.frame(WINDOW_UPDATE, { ...size, stream: frame.stream });
          }
        }
        stream?.pieces.push(withoutPadding(payload, flags));
        if ((flags & END_STREAM) !== 0 && stream !== undefined) {
          stream.ended = true;
        }
        return;
      }
      case RST_STREAM:
        if (stream !== undefined) {
          const code = new DataView(payload.buffer, payload.byteOffset)
            .getUint32(0);
          stream.failure ??= new StreamReset(code);
        }
        return;
      case SETTINGS:
        if ((flags & ACK) !== 0) return;
        this.#takeSettings(payload);
        void this.frame(SETTINGS, { flags: ACK, stream: 0, payload: NOTHING });
        return;
      case PING:
        if ((flags & ACK) !== 0) return;
        void this.frame(PING, { flags: ACK, stream: 0, payload });
        return;
      case GOAWAY:
        this.goneAway = new DataView(payload.buffer, payload.byteOffset)
          .getUint32(4);
        return;
      case WINDOW_UPDATE: {
        const more = new DataView(payload.buffer, payload.byteOffset)
          .getUint32(0);
        if (frame.stream === 0) this.window += more;
        else if (stream !== undefined) stream.window += more;
      }
    }
  }

  #takeSettings(payload: Uint8Array): void {
    const view = new DataView(payload.buffer, payload.byteOffset);
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      // SETTINGS_INITIAL_WINDOW_SIZE, which changes the windows of open streams as well.
      if (view.getUint16(at) !== 4) continue;
      const size = view.getUint32(at + 2);
      for (const stream of this.#streams.values()) {
        stream.window += size - this.#initialWindow;
      }
      this.#initialWindow = size;
    }
  }

  /** Ends the connection at once. */
  close(): void {
    try {
      this.#conn.close();
    } catch {
      // Closed already.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#reading;
    await this.#writing;
  }
}

function encode(fields: readonly Field[]): Uint8Array {
  return latin1(fields.map(([name, value]) => literal(name, value)).join(""));
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function withoutPadding(payload: Uint8Array, flags: number): Uint8Array {
  const padding = (flags & PADDED) === 0 ? 0 : payload[0]!;
  const from = ((flags & PADDED) === 0 ? 0 : 1) +
    ((flags & PRIORITY) === 0 ? 0 : 5);
  return payload.subarray(from, payload.length - padding);
}
