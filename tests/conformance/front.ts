import { Buffer } from "node:buffer";
import { RawSocket } from "../../router/testing.ts";
import { TEST_CERT } from "../../router/upstream/testing.ts";
import {
  type Field,
  type ReceivedAnswer,
  takeAnswer,
  valuesOf,
} from "./messages.ts";

/** A request, without what a version of HTTP adds to it. */
export interface Asked {
  /** @default {"GET"} */
  readonly method?: string;
  /** @default {"/"} */
  readonly target?: string;
  /**
   * `Host` is the authority, and framing fields are not given. `Host` and `X-Routing-Key: acme` are added
   * where they are missing.
   */
  readonly headers?: readonly Field[];
  readonly body?: string | Uint8Array;
  readonly trailers?: readonly Field[];
}

/** An answer, without what a version of HTTP adds to it. Names are in lower case; values have a character for each byte. */
export interface Answered {
  readonly status: number;
  readonly headers: readonly Field[];
  readonly body: Uint8Array;
  readonly trailers: readonly Field[];
  readonly informational: readonly {
    readonly status: number;
    readonly headers: readonly Field[];
  }[];
}

/** A way into a router. */
export interface Front {
  readonly name: string;
  /** Sends one request, on a connection of its own, and takes the whole answer. */
  exchange(asked: Asked): Promise<Answered>;
}

/** A way into a router on which HTTP/1.1 can be spoken byte by byte. */
export class WireFront implements Front {
  readonly name: string;
  readonly hostname: string;
  readonly port: number;
  readonly secure: boolean;

  constructor(url: URL) {
    this.secure = url.protocol === "https:";
    this.name = this.secure ? "HTTP/1.1 over TLS" : "HTTP/1.1";
    this.hostname = url.hostname.replace(/^\[|\]$/g, "");
    this.port = Number(url.port);
  }

  async connect(): Promise<RawSocket> {
    const { hostname, port } = this;
    const conn = await Deno.connect({ hostname, port });
    if (!this.secure) return new RawSocket(conn);
    // Without it each request would wait 40 ms for the acknowledgement of the handshake.
    conn.setNoDelay();
    return new RawSocket(
      await Deno.startTls(conn, { hostname, caCerts: [TEST_CERT] }),
    );
  }

  /** Sends bytes on a connection of its own, and takes everything until the router ends it, as it must. */
  async send(text: string): Promise<string> {
    await using socket = await this.connect();
    // What is refused early may not be read to its end.
    const sent = socket.send(text).catch(() => {});
    const received = await socket.rest();
    socket.close();
    await sent;
    return received;
  }

  /** Sends bytes on a connection of its own, and takes one answer. */
  async ask(text: string): Promise<ReceivedAnswer> {
    await using socket = await this.connect();
    const sent = socket.send(text).catch(() => {});
    const answer = await takeAnswer(socket, text.slice(0, text.indexOf(" ")));
    socket.close();
    await sent;
    return answer;
  }

  async exchange(asked: Asked): Promise<Answered> {
    await using socket = await this.connect();
    await socket.send(requestText(asked));
    const answer = await takeAnswer(socket, asked.method);
    return {
      status: answer.status,
      headers: lowerCase(answer.fields),
      body: bytesOf(answer.body),
      trailers: lowerCase(answer.trailers),
      informational: answer.informational.map(({ line, fields }) => ({
        status: Number(line.slice(9, 12)),
        headers: lowerCase(fields),
      })),
    };
  }
}

/** A request as HTTP/1.1 writes it. */
export function requestText(asked: Asked): string {
  const { method = "GET", target = "/", headers = [], trailers = [] } = asked;
  const lines = [`${method} ${target} HTTP/1.1`];
  if (valuesOf(headers, "host").length === 0) lines.push("Host: a.example");
  if (valuesOf(headers, "x-routing-key").length === 0) {
    lines.push("X-Routing-Key: acme");
  }
  lines.push(...headers.map(([name, value]) => `${name}: ${value}`));
  const body = asked.body === undefined ? null : textOf(asked.body);
  if (trailers.length > 0) {
    const section = trailers.map(([name, value]) => `${name}: ${value}\r\n`);
    lines.push("Transfer-Encoding: chunked");
    const chunk = body ? `${body.length.toString(16)}\r\n${body}\r\n` : "";
    return `${lines.join("\r\n")}\r\n\r\n${chunk}0\r\n${section.join("")}\r\n`;
  }
  if (body !== null) lines.push(`Content-Length: ${body.length}`);
  return `${lines.join("\r\n")}\r\n\r\n${body ?? ""}`;
}

/** The bytes of a text, each character one. */
export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** Bytes as a text, each a character. */
export function textOf(bytes: string | Uint8Array): string {
  return typeof bytes === "string"
    ? bytes
    // The platform's decoder of the name `iso-8859-1` is that of windows-1252.
    : Buffer.from(bytes).toString("latin1");
}

function lowerCase(fields: readonly Field[]): Field[] {
  return fields.map(([name, value]) => [name.toLowerCase(), value]);
}
