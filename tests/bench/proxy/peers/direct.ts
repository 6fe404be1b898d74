import type { Peer, RunningPeer, Scene } from "./peer.ts";

/** No proxy: the load goes to the endpoint itself, whose own use of the machine this row shows. */
export const direct: Peer = {
  id: "direct",
  name: "direct (the endpoint)",
  javaScript: false,
  version: () => Promise.resolve(`Deno ${Deno.version.deno}`),
  start: ({ cells, endpointPid }: Scene): Promise<RunningPeer> =>
    Promise.resolve({
      port: cells[0]!.port,
      pid: endpointPid,
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
};
