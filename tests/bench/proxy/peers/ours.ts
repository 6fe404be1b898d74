import { dataFolder } from "../../../harness/program.ts";
import { Router } from "../../../harness/router.ts";
import { projectVersion } from "./project.ts";
import type { Peer, RunningPeer, Scene } from "./peer.ts";

/** The router as its task runs it: metrics on, the access log telling errors. */
export const ours: Peer = {
  id: "ours",
  name: "Signalbox",
  javaScript: false,
  version: async () => `${await projectVersion()}, Deno ${Deno.version.deno}`,
  async start({ config, routerEnv }: Scene): Promise<RunningPeer> {
    await using stack = new AsyncDisposableStack();
    // Its permissions let it read the project and write to data/, nothing else.
    const folder = stack.use(await dataFolder());
    const bootstrap = `${folder.path}/bootstrap.json`;
    await Deno.writeTextFile(bootstrap, JSON.stringify(config));
    const router = stack.use(
      await Router.start("bench", {
        folder: folder.path,
        cpUrl: "",
        env: {
          ROUTER_BOOTSTRAP: bootstrap,
          ROUTER_ACCESS_LOG: "errors",
          ...routerEnv,
        },
      }),
    );
    await router.program.line("config applied");
    const started = stack.move();
    return {
      port: Number(new URL(router.url).port),
      pid: router.program.pid,
      [Symbol.asyncDispose]: () => started.disposeAsync(),
    };
  },
};
