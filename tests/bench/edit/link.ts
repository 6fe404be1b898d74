import { connectWebSocket } from "../../../router/link/websocket.ts";
import { encode, parseToRouter } from "../../../shared/protocol.ts";

/** One router's link that takes every push whole and acks it, and does nothing else with it. */
export class Link implements Disposable {
  /** The newest version acked; 0 before the first. */
  acked = 0;
  /** How many pushes have begun. */
  pushes = 0;
  readonly #socket: ReturnType<typeof connectWebSocket>;
  #push: { version: number; epoch: string; left: number } | null = null;
  #closed: string | null = null;

  /** `url` is where the control plane takes routers. */
  constructor(url: string) {
    this.#socket = connectWebSocket(`${url}?id=bench&instance=bench`, {
      protocol: "signalbox.v1",
      token: null,
      limits: { text: 1024 * 1024, binary: 256 * 1024 },
    }, {
      open() {},
      heard() {},
      text: (text) => this.#take(text),
      binary: (data) => this.#takePart(data.length),
      broken: (reason) => this.#closed = reason,
      closing: (code, reason) => this.#closed = `${code} ${reason}`,
      closed: (code, reason) => this.#closed = `${code} ${reason}`,
    });
  }

  /** @throws {Error} if the control plane has closed it. */
  check(): void {
    if (this.#closed !== null) {
      throw new Error(`The link is closed: ${this.#closed}`);
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #take(text: string): void {
    const parsed = parseToRouter(text);
    if (parsed.kind !== "message") return;
    const { message } = parsed;
    if (message.type === "ping") {
      this.#socket.send(encode({ type: "pong", version: null, epoch: null }));
    }
    if (message.type !== "config_begin") return;
    const { version, epoch, bytes } = message;
    this.pushes++;
    this.#push = { version, epoch, left: bytes };
  }

  #takePart(bytes: number): void {
    if (this.#push === null) return;
    this.#push.left -= bytes;
    if (this.#push.left > 0) return;
    const { version, epoch } = this.#push;
    this.#push = null;
    // Before the ack is on its way: nobody can answer for it earlier than this says.
    this.acked = version;
    this.#socket.send(
      encode({
        type: "ack",
        version,
        epoch,
        status: "applied",
        error: null,
        durable: true,
      }),
    );
  }
}
