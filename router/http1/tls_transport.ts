import type { TLSSocket } from "node:tls";
import type { Transport } from "./transport.ts";

/** What lies below the encryption, of which the platform's encrypted sockets offer too little. */
interface Below {
  readStart(): unknown;
  readStop(): unknown;
  /** 0, or the negative number of an error: of a connection that was reset nobody is the peer. */
  getpeername(out: object): number;
}

/**
 * An encrypted connection as a {@linkcode Transport}. It stands on `node:tls`, because its sockets
 * can be destroyed in every state; the platform's own leave the descriptor open until the peer goes,
 * where a handshake is unfinished or the peer has stopped reading.
 */
export class TlsTransport implements Transport {
  #socket: TLSSocket;
  #ended = false;
  #failure: Error | null = null;
  #wake: (() => void) | null = null;
  readonly #below: Below | null;
  /** Nothing is taken from the network for now. */
  #held = false;

  /** `socket` must be connected, paused, and its handshake done. */
  constructor(socket: TLSSocket) {
    this.#socket = socket;
    this.#below = belowOf(socket);
    // Otherwise the peer's FIN would end this side as well, and answers not yet written were lost
    // (RFC 9112 section 9.6).
    socket.allowHalfOpen = true;
    neverFull(socket);
    socket.on("readable", () => {
      // It is told of once, not of all that comes after it.
      if (this.#wake === null && socket.readableLength > 0) this.#hold();
      this.#notify();
    });
    socket.on("end", () => {
      // A reset comes as an end too.
      if (this.#reset) this.#failure ??= resetError();
      else this.#ended = true;
      this.#notify();
    });
    socket.on("error", (error: Error) => {
      this.#failure ??= error;
      this.#notify();
    });
    socket.on("close", () => {
      this.#failure ??= new Error("The encrypted connection was closed");
      this.#notify();
    });
  }

  #notify = (): void => {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  };

  /** Takes no more from the network while something waits to be read: the socket by itself never stops. */
  #hold(): void {
    if (this.#held) return;
    this.#held = true;
    this.#below?.readStop();
  }

  /** Whether the peer is gone, with a reset. */
  get #reset(): boolean {
    return (this.#below?.getpeername({}) ?? 0) < 0;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    for (;;) {
      const ready = this.#socket.readableLength;
      if (ready > 0) {
        const chunk: Uint8Array | null = this.#socket.read(
          Math.min(ready, buffer.length),
        );
        if (chunk !== null) {
          buffer.set(chunk);
          if (chunk.length < ready) this.#hold();
          return chunk.length;
        }
      }
      if (this.#ended) return null;
      if (this.#failure !== null) throw this.#failure;
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      if (this.#held) {
        this.#held = false;
        this.#below?.readStart();
      }
      // Asking for bytes is what makes the socket read on, and say `readable` or `end`.
      this.#socket.read(0);
      await woken.promise;
    }
  }

  write(bytes: Uint8Array): Promise<number> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (bytes.length === 0) {
      // Who writes nothing asks if the peer is there. The socket would fail, and be destroyed, either way.
      return this.#reset ? Promise.reject(resetError()) : Promise.resolve(0);
    }
    return new Promise((resolve, reject) => {
      const failed = () => {
        reject(this.#failure ?? new Error("The encrypted connection closed"));
      };
      this.#socket.once("close", failed);
      this.#socket.write(bytes, (error) => {
        this.#socket.off("close", failed);
        if (error) reject(error);
        else resolve(bytes.length);
      });
    });
  }

  closeWrite(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#failure !== null) return resolve();
      this.#socket.once("close", resolve);
      this.#socket.end(() => {
        this.#socket.off("close", resolve);
        resolve();
      });
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}

/**
 * Lets a socket's own limit never be reached. It would not hold the network back, but an end that came
 * meanwhile would be lost for ever (Deno 2.9.6): `#hold` is what bounds the bytes that wait.
 */
function neverFull(socket: TLSSocket): void {
  const { _readableState: state } = socket as unknown as {
    _readableState?: { highWaterMark: number };
  };
  if (state !== undefined) state.highWaterMark = 2 ** 30;
}

function resetError(): Error {
  return new Error("The encrypted connection was reset");
}

/**
 * The platform's encrypted sockets read on for ever, whoever takes nothing from them: `pause()` and their
 * own handle's `readStop` do nothing (Deno 2.9.6), and an upload to an endpoint that takes nothing grows by
 * 250 MiB a second. The handle below can be stopped. Where it is another than this, all works but that.
 */
function belowOf(socket: TLSSocket): Below | null {
  const { _handle: handle } = socket as unknown as {
    _handle?: { _parent?: Partial<Below> } | null;
  };
  const below = handle?._parent;
  return typeof below?.readStart === "function" &&
      typeof below.readStop === "function" &&
      typeof below.getpeername === "function"
    ? below as Below
    : null;
}
