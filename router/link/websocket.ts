import { createHash } from "node:crypto";
import { type IncomingMessage, request } from "node:http";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { errorLine } from "../../shared/errors.ts";
import {
  closeFrame,
  FrameError,
  type Incoming,
  MessageReader,
  pongFrame,
  textFrame,
} from "./frames.ts";
import type { Connect, LinkSocket, SocketHandlers } from "./socket.ts";

/** Bytes that may wait for a peer that does not read; then the connection is given up. */
const MAX_UNSENT_BYTES = 4 * 1024 * 1024;

/** What the server mixes with the key of a handshake (RFC 6455, section 1.3). */
const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/**
 * Opens a WebSocket. The runtime's own client has no way to let go of a peer that never answers a
 * close, nor to stop reading; this one can be destroyed at any moment, and paused.
 */
export function connectWebSocket(
  ...[url, options, handlers]: Parameters<Connect>
): LinkSocket {
  try {
    return new WebSocketClient(url, options, handlers);
  } catch (error) {
    // Such as no permission to connect there.
    queueMicrotask(() => handlers.closed(1006, errorLine(error)));
    return NO_SOCKET;
  }
}

/** Stands for a connection that could not even be tried. */
const NO_SOCKET: LinkSocket = {
  send() {},
  close() {},
  destroy() {},
  pause() {},
  resume() {},
};

class WebSocketClient implements LinkSocket {
  readonly #handlers: SocketHandlers;
  readonly #reader: MessageReader;
  readonly #request: ReturnType<typeof request>;
  #socket: Socket | null = null;
  /** Bytes that came and are not read yet, while paused. */
  readonly #chunks: Uint8Array[] = [];
  #paused = false;
  #pumping = false;
  /** A close frame was sent: nothing may be sent after it. */
  #closing = false;
  #ended = false;

  constructor(...[url, options, handlers]: Parameters<Connect>) {
    this.#handlers = handlers;
    this.#reader = new MessageReader(options.limits);
    const { protocol, host: authority, hostname, port, pathname, search } =
      new URL(url);
    const tls = protocol === "wss:";
    const key = btoa(
      String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))),
    );
    const host = hostname.replace(/^\[|\]$/g, "");
    const target = { host, port: Number(port) || (tls ? 443 : 80) };
    this.#request = request({
      ...target,
      // node:https reads the list of all authorities for each connection, and asks for a permission
      // that cannot be granted by its name; this trusts the same ones. Without an agent, so that
      // no connection is kept or shared.
      createConnection: () => tls ? openTls(target) : connectTcp(target),
      path: pathname + search,
      headers: {
        "host": authority,
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": key,
        "sec-websocket-protocol": options.protocol,
        ...(options.token === null
          ? {}
          : { "authorization": `Bearer ${options.token}` }),
      },
    });
    this.#request.on("upgrade", (answer, socket, head) => {
      const wrong = handshakeProblem(answer, {
        key,
        offered: options.protocol,
      });
      if (wrong !== null || this.#ended) {
        socket.destroy();
        this.#end(1006, wrong ?? "");
        return;
      }
      this.#open(socket as Socket, head);
      this.#handlers.open(answer.headers["sec-websocket-protocol"] ?? null);
      this.#pump();
    });
    this.#request.on("response", (answer) => {
      this.#end(1006, `the answer is HTTP status ${answer.statusCode}`);
      answer.destroy();
      this.#request.destroy();
    });
    this.#request.on("error", (error) => this.#end(1006, errorLine(error)));
    this.#request.on("close", () => {
      if (this.#socket === null) {
        this.#end(1006, "the connection ended before an answer");
      }
    });
    this.#request.end();
  }

  send(text: string): void {
    this.#write(textFrame(text));
  }

  close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#write(closeFrame(code, reason));
    this.#closing = true;
    // The peer's close frame has to be read, so nothing may hold it up.
    this.#chunks.length = 0;
    this.resume();
  }

  destroy(): void {
    this.#ended = true;
    this.#chunks.length = 0;
    this.#request.destroy();
    this.#socket?.destroy();
  }

  pause(): void {
    this.#paused = true;
    this.#socket?.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket?.resume();
    // Not at once: who calls this is in the middle of a step.
    queueMicrotask(() => this.#pump());
  }

  #open(socket: Socket, head: Uint8Array): void {
    this.#socket = socket;
    socket.setNoDelay(true);
    if (head.length > 0) this.#chunks.push(head);
    socket.on("data", (chunk: Uint8Array) => {
      this.#handlers.heard();
      this.#chunks.push(chunk);
      this.#pump();
    });
    socket.on("end", () => socket.destroy());
    socket.on("error", (error: Error) => this.#end(1006, errorLine(error)));
    socket.on("close", () => this.#end(1006, "the connection ended"));
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (!this.#paused && !this.#ended && this.#chunks.length > 0) {
        const chunk = this.#chunks[0]!;
        let at = 0;
        do {
          const next = this.#reader.next(chunk, at);
          at = next.at;
          if (next.message !== null) this.#take(next.message);
        } while (at < chunk.length && !this.#paused && !this.#ended);
        if (at < chunk.length) this.#chunks[0] = chunk.subarray(at);
        else this.#chunks.shift();
      }
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#chunks.length = 0;
      this.#handlers.broken(error.message, error.tooLarge);
    } finally {
      this.#pumping = false;
    }
  }

  #take(message: Incoming): void {
    switch (message.kind) {
      case "text":
        if (!this.#closing) this.#handlers.text(message.text, message.bytes);
        return;
      case "binary":
        if (!this.#closing) this.#handlers.binary(message.data);
        return;
      case "ping":
        this.#write(pongFrame(message.data));
        return;
      case "pong":
        return;
      case "close":
        this.#peerCloses(message.code, message.reason);
        return;
      default:
        message satisfies never;
    }
  }

  #peerCloses(code: number, reason: string): void {
    if (this.#closing) {
      this.#socket?.destroy();
      this.#end(code, reason);
      return;
    }
    this.#write(closeFrame(code, ""));
    this.#closing = true;
    this.#socket?.end();
    this.#handlers.closing(code, reason);
  }

  #write(bytes: Uint8Array): void {
    const socket = this.#socket;
    if (socket === null || this.#closing || this.#ended) return;
    if (socket.writableLength > MAX_UNSENT_BYTES) {
      this.#end(1006, "the peer does not read what it is sent");
      socket.destroy();
      return;
    }
    socket.write(bytes);
  }

  #end(code: number, reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#chunks.length = 0;
    this.#handlers.closed(code, reason);
  }
}

function openTls({ host, port }: { host: string; port: number }) {
  return connectTls({
    host,
    port,
    // An address is no server name (RFC 6066, section 3).
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ALPNProtocols: ["http/1.1"],
  });
}

/** What is wrong with the answer to a handshake (RFC 6455, section 4.1); null if nothing is. */
function handshakeProblem(
  answer: IncomingMessage,
  { key, offered }: { key: string; offered: string },
): string | null {
  const accept = createHash("sha1").update(key + ACCEPT_GUID).digest("base64");
  if (answer.headers["sec-websocket-accept"] !== accept) {
    return "the handshake's answer does not prove that a WebSocket server gave it";
  }
  const protocol = answer.headers["sec-websocket-protocol"];
  return protocol === undefined || protocol === offered
    ? null
    : `the server chose the subprotocol ${
      JSON.stringify(protocol)
    }, which was not offered`;
}
