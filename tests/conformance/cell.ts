import { RawEndpoint, type RawSocket } from "../../router/testing.ts";
import { type Message, takeRequest } from "./messages.ts";

/** Plays one connection of an endpoint; `index` counts those of its scene, from 0. */
export type Play = (socket: RawSocket, index: number) => Promise<void>;

/**
 * An endpoint that listens as long as a test file runs, so that a router's config can name it; each
 * test sets a {@linkcode Scene} on it.
 */
export class Cell implements AsyncDisposable {
  readonly port: number;
  readonly #endpoint: RawEndpoint;
  #scene: Scene | null = null;

  constructor() {
    this.#endpoint = new RawEndpoint((socket) =>
      this.#scene?.take(socket) ?? Promise.resolve()
    );
    this.port = this.#endpoint.port;
  }

  /** Its URL below a base path. */
  url(base = ""): string {
    return `http://127.0.0.1:${this.port}${base}`;
  }

  /** Plays the connections that come from now on, until the scene is disposed. */
  play(play: Play): Scene {
    return this.#scene = new Scene(play);
  }

  /** Answers every request in this way, and remembers the requests. */
  answer(answer: string | ((request: Message) => string) = OK): Answering {
    return this.#scene = new Answering(answer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#endpoint[Symbol.asyncDispose]();
  }
}

/** A plain answer. */
export const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** What an endpoint does during a test. */
export class Scene implements AsyncDisposable {
  /** The connections taken so far. */
  readonly sockets: RawSocket[] = [];
  readonly #play: Play;
  readonly #running: Promise<void>[] = [];

  constructor(play: Play) {
    this.#play = play;
  }

  /** Plays a connection. */
  take(socket: RawSocket): Promise<void> {
    const index = this.sockets.push(socket) - 1;
    // A script that fails for want of bytes just ends: the test sees what it was after.
    const running = this.#play(socket, index).catch(() => {});
    this.#running.push(running);
    return running;
  }

  /** Ends its connections, and waits until the router has ended them too: it reuses none in the next test. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.sockets.map(async (socket) => {
      await socket.finish().catch(() => {});
      await socket.rest();
      socket.close();
    }));
    await Promise.all(this.#running);
  }
}

/** Answers every request, and remembers the requests. */
export class Answering extends Scene {
  readonly requests: Message[];

  constructor(answer: string | ((request: Message) => string)) {
    const requests: Message[] = [];
    super(async (socket) => {
      for (;;) {
        const request = await takeRequest(socket);
        requests.push(request);
        await socket.send(
          typeof answer === "string" ? answer : answer(request),
        );
      }
    });
    this.requests = requests;
  }

  /** The request last received. */
  get last(): Message {
    const last = this.requests.at(-1);
    if (last === undefined) throw new Error("The endpoint received nothing");
    return last;
  }
}
