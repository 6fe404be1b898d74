import { plainAddress } from "../forwarding.ts";
import type { Transport } from "../http1/transport.ts";
import type { TlsIdentity } from "./tls_identity.ts";

/** How long it takes to try again after a failure to accept, as at the limit of descriptors, in milliseconds. */
const ACCEPT_PAUSE = 50;

/** Who is told of connections. */
export interface Arrivals {
  /** A connection is ready to be served; `peer` is its client's address. */
  arrived(transport: Transport, peer: string): void;
  /** A connection could not be accepted, for this reason. */
  failed(reason: unknown): void;
}

/** Where connections come from. */
export interface Acceptor {
  readonly address: Deno.NetAddr;
  /** Whether its connections are encrypted. */
  readonly secure: boolean;
  /** Shows another certificate from now on, where it shows one. */
  renew?(identity: TlsIdentity): void;
  /** Begins to accept. */
  start(arrivals: Arrivals): void;
  /** Ends what has not become a connection in time; to be called regularly. */
  sweep(now: number): void;
  /** Accepts no more; resolves when nothing is under way. */
  stop(): Promise<void>;
}

/** Accepts plain TCP connections. */
export class TcpAcceptor implements Acceptor {
  readonly secure = false;
  #listener: Deno.TcpListener;
  #stopping = false;
  #running: Promise<void> = Promise.resolve();

  /** @throws the platform's errors, such as {@linkcode Deno.errors.AddrInUse}. */
  constructor(
    options: { hostname: string; port: number; reusePort?: boolean },
  ) {
    const { hostname, port, reusePort = false } = options;
    this.#listener = Deno.listen({ hostname, port, reusePort });
  }

  get address(): Deno.NetAddr {
    return this.#listener.addr;
  }

  start(arrivals: Arrivals): void {
    this.#running = this.#accept(arrivals);
  }

  async #accept(arrivals: Arrivals): Promise<void> {
    while (!this.#stopping) {
      try {
        const conn = await this.#listener.accept();
        conn.setNoDelay(true);
        arrivals.arrived(conn, plainAddress(conn.remoteAddr.hostname));
      } catch (error) {
        if (this.#stopping) return;
        // The platform's own iteration ends for good at the limit of open descriptors.
        arrivals.failed(error);
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE));
      }
    }
  }

  sweep(): void {
    // A TCP connection is one as soon as it is accepted.
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#listener.close();
    await this.#running;
  }
}
