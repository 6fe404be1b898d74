import { textOf } from "./front.ts";
import { PeerEndpoint } from "./peer.ts";
import { readRequest } from "./smuggling_reader.ts";

/** How an answer of a {@linkcode RecordingEndpoint} says which request it answers. */
export const ANSWERED = "x-answered";

/**
 * An endpoint that reads strictly by the framing it is sent, answers every whole request, keeps its
 * connections, and records every byte. It closes a connection only on what is malformed.
 */
export class RecordingEndpoint implements AsyncDisposable {
  /** All bytes of each connection. */
  readonly connections: string[] = [];
  readonly #endpoint: PeerEndpoint;
  readonly #running: Promise<void>[];

  private constructor(
    endpoint: PeerEndpoint,
    { connections, running }: {
      connections: string[];
      running: Promise<void>[];
    },
  ) {
    this.#endpoint = endpoint;
    this.connections = connections;
    this.#running = running;
  }

  static async listen(): Promise<RecordingEndpoint> {
    const connections: string[] = [];
    const running: Promise<void>[] = [];
    const endpoint = await PeerEndpoint.listen((peer, index) => {
      connections[index] = "";
      const played = (async () => {
        let at = 0;
        let continued = false;
        for (let bytes; (bytes = await peer.read()) !== null;) {
          connections[index] += textOf(bytes);
          for (;;) {
            const { request, next, malformed } = readRequest(
              connections[index]!,
              at,
            );
            // Whoever waits for an answer to that need not wait long.
            if (malformed !== undefined) return;
            if (request === undefined) break;
            if (!request.complete) {
              const expects = request.fields.some(([name]) =>
                name.toLowerCase() === "expect"
              );
              if (expects && !continued) {
                continued = true;
                await peer.send("HTTP/1.1 100 Continue\r\n\r\n");
              }
              break;
            }
            at = next;
            continued = false;
            await peer.send(
              `HTTP/1.1 200 OK\r\n${ANSWERED}: ${request.target}\r\nContent-Length: 0\r\n\r\n`,
            );
          }
        }
      })();
      running.push(played.catch(() => {}));
      return played;
    });
    return new RecordingEndpoint(endpoint, { connections, running });
  }

  get url(): string {
    return this.#endpoint.url;
  }

  /** Waits until the router has ended all connections. */
  async left(): Promise<void> {
    await Promise.all(this.#running);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#endpoint[Symbol.asyncDispose]();
  }
}
