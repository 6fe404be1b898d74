import { Child } from "../../child.ts";
import type { Case } from "../cases.ts";
import { printingPort } from "./listening.ts";
import { lockedVersion } from "./project.ts";
import type { Peer, RunningPeer, Scene } from "./peer.ts";

/** A proxy of `programs/` on Deno. */
async function start(program: string, scene: Scene): Promise<RunningPeer> {
  return await printingPort(
    new Child(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--allow-net=127.0.0.1",
        "--allow-env",
        `--allow-read=${scene.folder}`,
        new URL(`../programs/${program}`, import.meta.url).pathname,
        scene.configFile,
      ],
    }),
  );
}

export const denoFetch: Peer = {
  id: "fetch",
  name: "Deno.serve and fetch",
  javaScript: true,
  version: () => Promise.resolve(`Deno ${Deno.version.deno}`),
  start: (scene) => start("fetch_proxy.ts", scene),
};

export const honoProxy: Peer = {
  id: "hono",
  name: "Hono's proxy helper",
  javaScript: true,
  version: async () =>
    `${await lockedVersion("hono")}, Deno ${Deno.version.deno}`,
  start: (scene) => start("hono_proxy.ts", scene),
  cannot: ({ webSocket }: Case) =>
    webSocket ? "it does not pass WebSockets" : undefined,
};
