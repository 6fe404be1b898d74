import type { TLSSocket } from "node:tls";
import type { Transport } from "./transport.ts";

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

  /** `socket` must be connected, paused, and its handshake done. */
  constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on("readable", this.#notify);
    socket.on("end", () => {
      this.#ended = true;
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

  async read(buffer: Uint8Array): Promise<number | null> {
    for (;;) {
      const ready = this.#socket.readableLength;
      if (ready > 0) {
        const chunk: Uint8Array | null = this.#socket.read(
          Math.min(ready, buffer.length),
        );
        if (chunk !== null) {
          buffer.set(chunk);
          return chunk.length;
        }
      }
      if (this.#ended) return null;
      if (this.#failure !== null) throw this.#failure;
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      // Asking for bytes is what makes the socket read on, and say `readable` or `end`.
      this.#socket.read(0);
      await woken.promise;
    }
  }

  write(bytes: Uint8Array): Promise<number> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
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
