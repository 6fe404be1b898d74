import type { Socket } from "node:net";
import { createServer, type Server } from "node:tls";
import { plainAddress } from "../forwarding.ts";
import { TlsTransport } from "../http1/tls_transport.ts";
import type { Acceptor, Arrivals } from "./acceptor.ts";
import { checkIdentity, type TlsIdentity } from "./tls_identity.ts";

/** How {@linkcode TlsAcceptor.listen} listens. */
export interface TlsOptions extends TlsIdentity {
  readonly hostname: string;
  readonly port: number;
  /** Other threads of this process listen on the same address. */
  readonly reusePort?: boolean;
  /** How long a handshake may take, in milliseconds. */
  readonly handshakeTimeout: number;
  /** The most handshakes under way; what comes beyond is closed. */
  readonly maxHandshakes: number;
  /**
   * What is offered in a handshake, the best first (RFC 7301).
   *
   * @default {["http/1.1"]}
   */
  readonly protocols?: readonly string[];
}

/**
 * Accepts TLS connections. It stands on `node:tls`, for the same reason as
 * {@linkcode TlsTransport} does.
 */
export class TlsAcceptor implements Acceptor {
  readonly secure = true;
  readonly address: Deno.NetAddr;
  #options: TlsOptions;
  #server: Server;
  /** Sockets whose handshake is not done, by their peer, and when they were first swept. */
  #handshakes = new Map<string, { socket: Socket; since: number }>();

  private constructor(
    server: Server,
    address: Deno.NetAddr,
    options: TlsOptions,
  ) {
    this.#server = server;
    this.address = address;
    this.#options = options;
  }

  /**
   * Listens on an address.
   *
   * @throws {TypeError} if the certificate and its key cannot be used.
   * @throws the platform's errors, if the address cannot.
   */
  static async listen(options: TlsOptions): Promise<TlsAcceptor> {
    const { cert, key, hostname, port, protocols = ["http/1.1"] } = options;
    const reusePort = options.reusePort ?? false;
    checkIdentity(options);
    const server = createServer({ cert, key, ALPNProtocols: [...protocols] });
    const listening = Promise.withResolvers<void>();
    server.once("error", listening.reject);
    server.listen({ port, host: hostname, reusePort }, listening.resolve);
    await listening.promise;
    server.off("error", listening.reject);
    const bound = server.address();
    if (bound === null || typeof bound === "string") {
      throw new TypeError(
        `Cannot listen on ${hostname}:${port}: it is bound to ${bound}`,
      );
    }
    return new TlsAcceptor(
      server,
      { transport: "tcp", hostname: bound.address, port: bound.port },
      options,
    );
  }

  /**
   * Shows another certificate in the handshakes from now on; connections that are open go on.
   *
   * @throws {TypeError} if the certificate and its key cannot be used.
   */
  renew(identity: TlsIdentity): void {
    checkIdentity(identity);
    const { cert, key } = identity;
    this.#server.setSecureContext({ cert, key });
  }

  start(arrivals: Arrivals): void {
    const server = this.#server;
    server.on("error", (error: Error) => arrivals.failed(error));
    server.on("connection", (socket) => this.#begin(socket, arrivals));
    server.on("tlsClientError", (_error, socket) => socket.destroy());
    server.on("secureConnection", (socket) => {
      this.#handshakes.delete(peerOf(socket));
      socket.setNoDelay(true);
      arrivals.arrived(
        new TlsTransport(socket),
        plainAddress(socket.remoteAddress ?? ""),
      );
    });
  }

  #begin(socket: Socket, arrivals: Arrivals): void {
    // Nobody else listens to a raw socket's errors, and one unheard would end the process.
    socket.on("error", () => {});
    const { maxHandshakes } = this.#options;
    if (this.#handshakes.size >= maxHandshakes) {
      arrivals.failed(
        new Error(`${maxHandshakes} TLS handshakes are under way`),
      );
      socket.destroy();
      return;
    }
    const peer = peerOf(socket);
    this.#handshakes.set(peer, { socket, since: 0 });
    socket.once("close", () => {
      if (this.#handshakes.get(peer)?.socket === socket) {
        this.#handshakes.delete(peer);
      }
    });
  }

  sweep(now: number): void {
    for (const [peer, handshake] of this.#handshakes) {
      if (handshake.since === 0) handshake.since = now;
      else if (now - handshake.since > this.#options.handshakeTimeout) {
        this.#handshakes.delete(peer);
        handshake.socket.destroy();
      }
    }
  }

  stop(): Promise<void> {
    for (const { socket } of this.#handshakes.values()) socket.destroy();
    this.#handshakes.clear();
    // The server's own end would wait for all its connections, which have a grace of their own.
    this.#server.close();
    return Promise.resolve();
  }
}

function peerOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}
