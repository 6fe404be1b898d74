/** A port where a router finds no control plane. */
export interface Port extends AsyncDisposable {
  readonly name: string;
  readonly port: number;
}

const HOSTNAME = "127.0.0.1";

/** Refuses at once: nobody listens. */
export function closedPort(): Promise<Port> {
  using listener = Deno.listen({ hostname: HOSTNAME, port: 0 });
  return Promise.resolve({
    name: "closed",
    port: listener.addr.port,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

/**
 * Does not answer the connecting itself, as a host that is gone does: the connections that nobody
 * accepts have filled the listener's queue, and the kernel drops what comes to a full one.
 */
export async function blackHole(): Promise<Port> {
  const listener = Deno.listen({
    hostname: HOSTNAME,
    port: 0,
    tcpBacklog: 1,
  });
  const { port } = listener.addr;
  // A queue holds one more than it is said to.
  const queued = [
    await Deno.connect({ hostname: HOSTNAME, port }),
    await Deno.connect({ hostname: HOSTNAME, port }),
  ];
  return {
    name: "black hole",
    port,
    [Symbol.asyncDispose]() {
      for (const connection of queued) connection.close();
      listener.close();
      return Promise.resolve();
    },
  };
}

/** Accepts, and never answers the handshake. */
export function silentPort(): Promise<Port> {
  const listener = Deno.listen({ hostname: HOSTNAME, port: 0 });
  const accepting = accept(listener);
  return Promise.resolve({
    name: "accepts, never answers",
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
    },
  });
}

async function accept(listener: Deno.TcpListener): Promise<void> {
  const held = new Set<Promise<void>>();
  for await (const connection of listener) {
    const holding = hold(connection).then(() => void held.delete(holding));
    held.add(holding);
  }
  await Promise.all(held);
}

/** Keeps a connection until the other side lets go of it. */
async function hold(connection: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(1024);
  try {
    while (await connection.read(buffer) !== null);
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  } finally {
    connection.close();
  }
}
