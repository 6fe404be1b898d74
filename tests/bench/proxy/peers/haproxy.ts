import { Child } from "../../child.ts";
import { freePort } from "../../free_port.ts";
import { installedVersion } from "./installed.ts";
import { listening } from "./listening.ts";
import type { Peer, RunningPeer, Scene } from "./peer.ts";

/** One thread, connections to the endpoint shared by all clients, the customers in a map file. */
function configText(scene: Scene, port: number, mapFile: string): string {
  const backends = scene.cells.map(({ placement, port }) =>
    `backend ${placement}
  http-reuse always
  server cell 127.0.0.1:${port}`
  );
  return `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
frontend clients
  bind 127.0.0.1:${port}
  http-request set-var(txn.placement) req.hdr(x-routing-key),map(${mapFile},${scene.config.default_placement})
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header Via "1.1 haproxy"
  http-request set-header X-Request-Id %[uuid()]
  http-response set-header X-Routed-To %[var(txn.placement)]
  http-response set-header X-Route-Reason assigned
  http-response set-header X-Config-Version 1
  use_backend %[var(txn.placement)]
${backends.join("\n")}
`;
}

export const haproxy: Peer = {
  id: "haproxy",
  name: "HAProxy, 1 thread",
  javaScript: false,
  version: () => installedVersion("haproxy", "-v"),
  async start(scene: Scene): Promise<RunningPeer> {
    const port = freePort();
    const mapFile = `${scene.folder}/haproxy.map`;
    const path = `${scene.folder}/haproxy.cfg`;
    const customers = Object.entries(scene.config.customer_to_placement);
    await Deno.writeTextFile(
      mapFile,
      customers.map((pair) => `${pair.join(" ")}\n`).join(""),
    );
    await Deno.writeTextFile(path, configText(scene, port, mapFile));
    const child = new Child("haproxy", { args: ["-db", "-f", path] });
    return await listening(child, port);
  },
};
