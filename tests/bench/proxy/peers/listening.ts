import type { Child } from "../../child.ts";
import type { RunningPeer } from "./peer.ts";

/** Waits until a proxy takes connections, and ends it if it never does. */
export async function listening(
  child: Child,
  port: number,
): Promise<RunningPeer> {
  return await running(child, async () => {
    await child.listens(port);
    return port;
  });
}

/** The same with a proxy that takes a port of its own and prints it. */
export async function printingPort(child: Child): Promise<RunningPeer> {
  return await running(
    child,
    async () => Number(await child.line(/^[0-9]+$/)),
  );
}

async function running(
  child: Child,
  ready: () => Promise<number>,
): Promise<RunningPeer> {
  try {
    return {
      port: await ready(),
      pid: child.pid,
      [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
    };
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  }
}
