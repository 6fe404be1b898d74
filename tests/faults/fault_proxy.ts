import { connect, createServer, type Server, type Socket } from "node:net";

/** A way through the proxy: from who connects, or back to it. */
export type Way = "up" | "down";

/** What becomes of bytes on their way. */
export type Treatment =
  | { readonly kind: "pass" }
  /** They are taken and thrown away, like packets in a network that loses them all: nobody is told. */
  | { readonly kind: "drop" }
  /** None is taken: who sends finds its buffers full at some time. */
  | { readonly kind: "stall" }
  | { readonly kind: "slow"; readonly bytesPerSecond: number }
  /** So many more pass, then the connection is reset. Counted for each connection by itself. */
  | { readonly kind: "cut"; readonly afterBytes: number };

const WAYS: readonly Way[] = ["up", "down"];
const PASS: Treatment = { kind: "pass" };

/**
 * A TCP proxy that breaks what goes through it, on loopback. It passes everything until it is told otherwise; what it
 * is told holds for the connections there are and for those to come.
 */
export class FaultProxy implements AsyncDisposable {
  readonly #target: { port: number };
  readonly #pairs = new Set<Pair>();
  readonly #treatments: Record<Way, Treatment> = { up: PASS, down: PASS };
  #server: Server | null = null;
  #port = 0;

  private constructor(port: number) {
    this.#target = { port };
  }

  /** Starts one in front of a port. */
  static async start(targetPort: number): Promise<FaultProxy> {
    const proxy = new FaultProxy(targetPort);
    await proxy.#listen(0);
    return proxy;
  }

  /** Where it listens. */
  get port(): number {
    return this.#port;
  }

  /** How many connections go through it. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Sends new connections to another port. */
  retarget(port: number): void {
    this.#target.port = port;
  }

  /** Treats what goes through from now on, on one way or on both. */
  treat(treatment: Treatment, ways: readonly Way[] = WAYS): void {
    for (const way of ways) {
      this.#treatments[way] = treatment;
      for (const pair of this.#pairs) pair.treat(way, treatment);
    }
  }

  /** Lets everything pass again. Bytes that were dropped stay lost. */
  heal(): void {
    this.treat(PASS);
  }

  /** Resets the connections there are, but for the newest `keep`; later ones are not touched. */
  reset(keep = 0): void {
    const pairs = [...this.#pairs];
    for (const pair of pairs.slice(0, pairs.length - keep)) pair.reset();
  }

  /** Refuses new connections, as a port does on which nobody listens. */
  async refuse(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    const closed = new Promise((resolve) => server.close(resolve));
    this.reset();
    await closed;
  }

  /** Takes connections again after {@linkcode FaultProxy.refuse}, on the same port. */
  async accept(): Promise<void> {
    if (this.#server === null) await this.#listen(this.#port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.refuse();
    this.reset();
  }

  async #listen(port: number): Promise<void> {
    const server = createServer(
      { allowHalfOpen: true, noDelay: true, pauseOnConnect: true },
      (client) => {
        const pair = new Pair(client, this.#target.port, {
          treatments: this.#treatments,
          ended: () => this.#pairs.delete(pair),
        });
        this.#pairs.add(pair);
      },
    );
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve());
    await promise;
    const address = server.address();
    if (address === null || typeof address === "string") {
      throw new TypeError(`Cannot tell the port of ${address}`);
    }
    this.#port = address.port;
    this.#server = server;
  }
}

/** One connection through the proxy: both its sockets, and a pump for each way. */
class Pair {
  readonly #sockets: readonly [client: Socket, server: Socket];
  readonly #pumps: Record<Way, Pump>;
  readonly #ended: () => void;
  #over = false;

  constructor(
    client: Socket,
    targetPort: number,
    { treatments, ended }: {
      treatments: Readonly<Record<Way, Treatment>>;
      ended: () => void;
    },
  ) {
    const server = connect({
      host: "127.0.0.1",
      port: targetPort,
      allowHalfOpen: true,
      noDelay: true,
    });
    this.#sockets = [client, server];
    this.#ended = ended;
    const reset = () => this.reset();
    this.#pumps = {
      up: new Pump(client, server, { treatment: treatments.up, cut: reset }),
      down: new Pump(server, client, {
        treatment: treatments.down,
        cut: reset,
      }),
    };
    // What breaks one side breaks the other, unless nothing gets there any more.
    client.on("error", () => this.#broken("up"));
    server.on("error", () => this.#broken("down"));
    for (const socket of this.#sockets) {
      socket.on("close", () => {
        if (this.#sockets.every(({ destroyed }) => destroyed)) this.#end();
      });
    }
  }

  #broken(way: Way): void {
    if (this.#pumps[way].kind !== "drop") this.reset();
  }

  treat(way: Way, treatment: Treatment): void {
    this.#pumps[way].treat(treatment);
  }

  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#end();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    for (const way of WAYS) this.#pumps[way].stop();
    this.#ended();
  }
}

/** One way of a connection. */
class Pump {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #cut: () => void;
  #treatment: Treatment = PASS;
  /** What may still pass before the cut. */
  #left = Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    from: Socket,
    to: Socket,
    { treatment, cut }: { treatment: Treatment; cut: () => void },
  ) {
    this.#from = from;
    this.#to = to;
    this.#cut = cut;
    from.on("data", (bytes: Uint8Array) => this.#take(bytes));
    from.on("end", () => {
      // A FIN is a packet as well: where all are lost, so is it.
      if (this.kind !== "drop") to.end();
    });
    to.on("drain", () => {
      if (this.kind === "pass" || this.kind === "cut") from.resume();
    });
    this.treat(treatment);
  }

  get kind(): Treatment["kind"] {
    return this.#treatment.kind;
  }

  treat(treatment: Treatment): void {
    this.#treatment = treatment;
    this.#left = treatment.kind === "cut" ? treatment.afterBytes : Infinity;
    clearTimeout(this.#timer);
    if (treatment.kind === "stall") this.#from.pause();
    else this.#from.resume();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #take(bytes: Uint8Array): void {
    const treatment = this.#treatment;
    if (treatment.kind === "drop") return;
    const passed = bytes.subarray(0, this.#left);
    this.#left -= passed.length;
    const room = this.#to.write(passed);
    if (this.#left <= 0) {
      // Behind what was written, so that those bytes arrive.
      this.#to.once("drain", this.#cut);
      if (room) setTimeout(this.#cut, 0);
      return;
    }
    if (treatment.kind === "slow") {
      this.#from.pause();
      this.#timer = setTimeout(
        () => this.#from.resume(),
        bytes.length / treatment.bytesPerSecond * 1000,
      );
    } else if (!room) this.#from.pause();
  }
}
