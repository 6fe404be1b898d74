import { logger } from "../shared/log.ts";

const log = logger("main");

/** How long after its end the server is started again, in milliseconds. */
const PAUSE_MS = 100;

/**
 * Serves the admin app at an address for as long as the process lives. The platform's server ends for good when it
 * cannot accept a connection, as at the limit of open files; it is started again then, on the same port.
 *
 * @throws the platform's errors, if it cannot listen at first.
 */
export function serveAdmin(
  address: { hostname: string; port: number },
  handler: Deno.ServeHandler,
): Deno.NetAddr {
  const server = Deno.serve({ ...address, onListen: () => {} }, handler);
  const { addr } = server;
  server.finished.then(
    () => again(addr, handler),
    (error) => {
      log.error("the admin listener ended, and is opened again", { error });
      again(addr, handler);
    },
  );
  return addr;
}

function again(addr: Deno.NetAddr, handler: Deno.ServeHandler): void {
  setTimeout(() => {
    try {
      serveAdmin({ hostname: addr.hostname, port: addr.port }, handler);
    } catch (error) {
      log.error("the admin listener cannot be opened again yet", { error });
      again(addr, handler);
    }
  }, PAUSE_MS);
}
