import type { Frames } from "../../../cp/hub/payload.ts";
import { Pacer } from "../../../cp/hub/pacer.ts";
import { systemClock } from "../../../shared/clock.ts";
import {
  type Ack,
  encode,
  parseToControlPlane,
  SUBPROTOCOL,
} from "../../../shared/protocol.ts";
import { EPOCH } from "./prepared_config.ts";
import { now } from "./recording.ts";

/** How one push went, in milliseconds since the Unix epoch. */
export interface Pushed {
  readonly begunAt: number;
  /** When its last byte had left. */
  readonly sentAt: number;
  readonly ackedAt: number;
}

const PING_MS = 5000;
/** A push of a million customers takes some seconds; one that takes this long has failed. */
const ACK_TIMEOUT_MS = 60_000;

/** A control plane of one router that pushes what it is given, as fast as the real one and with little work. */
export class PushingControlPlane implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #pacer = new Pacer(systemClock);
  readonly #connected = Promise.withResolvers<void>();
  readonly #timer: ReturnType<typeof setInterval>;
  #socket: WebSocket | null = null;
  #version = 0;
  #heard: (ack: Ack) => void = () => {};
  #failed: (error: Error) => void = () => {};

  constructor() {
    const options = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
    this.#server = Deno.serve(options, (request) => this.#accept(request));
    this.#timer = setInterval(() => this.#ping(), PING_MS);
  }

  /** As a router's settings have it. */
  get url(): string {
    return `ws://127.0.0.1:${this.#server.addr.port}/v1/connect`;
  }

  /** Resolves when the router is there. */
  get connected(): Promise<void> {
    return this.#connected.promise;
  }

  /**
   * Pushes a version.
   *
   * @throws {Error} if the router rejects it, cannot save it, leaves, or says nothing for a minute.
   */
  async push(version: number, frames: Frames): Promise<Pushed> {
    const { promise, resolve, reject } = Promise.withResolvers<Ack>();
    this.#heard = (ack) => ack.version === version && resolve(ack);
    this.#failed = reject;
    const late = setTimeout(
      () => reject(new Error(`No answer to version ${version} in time`)),
      ACK_TIMEOUT_MS,
    );
    try {
      this.#version = version;
      const begunAt = now();
      const sent = this.#send(frames);
      const [sentAt, [{ status, error, durable }, ackedAt]] = await Promise.all(
        [sent, promise.then((ack) => [ack, now()] as const)],
      );
      if (status !== "applied" || durable !== true) {
        throw new Error(
          `The router has ${status} version ${version}, durable: ${durable}: ${error}`,
        );
      }
      // That a small push has left is seen a millisecond late.
      return { begunAt, sentAt: Math.min(sentAt, ackedAt), ackedAt };
    } finally {
      clearTimeout(late);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#pacer.stop();
    this.#failed = () => {};
    this.#socket?.close();
    await this.#server.shutdown();
  }

  #accept(request: Request): Response {
    const { socket, response } = Deno.upgradeWebSocket(request, {
      protocol: SUBPROTOCOL,
    });
    socket.onopen = () => {
      this.#socket = socket;
      this.#connected.resolve();
    };
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onclose = () => this.#failed(new Error("The router has left"));
    socket.onerror = (event) => event.preventDefault();
    return response;
  }

  #take(data: unknown): void {
    const parsed = parseToControlPlane(String(data));
    if (parsed.kind !== "message") {
      this.#failed(new Error(`The router said ${data}`));
    } else if (parsed.message.type === "ack") this.#heard(parsed.message);
  }

  #ping(): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(
      encode({ type: "ping", version: this.#version, epoch: EPOCH }),
    );
  }

  /** Sends it in the parts and frames of the real control plane; answers when the last byte had left. */
  #send(frames: Frames): Promise<number> {
    const socket = this.#socket!;
    return new Promise((resolve, reject) =>
      this.#pacer.enqueue({
        outlet: {
          send: (data) => socket.send(data as string | Uint8Array<ArrayBuffer>),
          get bufferedAmount() {
            return socket.bufferedAmount;
          },
        },
        begin: () => frames,
        moved: () => {},
        sent: () => resolve(now()),
        evict: () => reject(new Error("The router takes nothing")),
      })
    );
  }
}
