import { Child } from "../../child.ts";
import { freePort } from "../../free_port.ts";
import { installedVersion } from "./installed.ts";
import { listening } from "./listening.ts";
import type { Peer, RunningPeer, Scene } from "./peer.ts";

/**
 * All cores, as it comes. Its `map` is searched entry by entry, and 10,000 entries would be most of
 * what it does; so there is one for each first digit of the customers' names.
 */
function configText(scene: Scene, port: number): string {
  const { config, cells } = scene;
  const endpoints = new Map(
    cells.map(({ placement, port }) => [placement, `127.0.0.1:${port}`]),
  );
  const byDigit = Map.groupBy(
    Object.entries(config.customer_to_placement),
    ([customer]) => customer[0]!,
  );
  const maps = [...byDigit].map(([digit, customers]) =>
    `  @digit_${digit} header X-Routing-Key ${digit}*
  map @digit_${digit} {header.X-Routing-Key} {placement} {cell} {
${
      customers.map(([customer, placement]) =>
        `    ${customer} ${placement} ${endpoints.get(placement)}\n`
      ).join("")
    }    default ${config.default_placement} ${
      endpoints.get(config.default_placement)
    }
  }`
  );
  return `{
  admin off
  auto_https off
  log {
    level ERROR
  }
}
http://:${port} {
  bind 127.0.0.1
${maps.join("\n")}
  header X-Routed-To {placement}
  header X-Route-Reason assigned
  header X-Config-Version 1
  reverse_proxy {cell} {
    header_up Via "1.1 caddy"
    header_up X-Request-Id {http.request.uuid}
    transport http {
      keepalive_idle_conns_per_host 256
    }
  }
}
`;
}

export const caddy: Peer = {
  id: "caddy",
  name: "Caddy",
  javaScript: false,
  version: () => installedVersion("caddy", "version"),
  async start(scene: Scene): Promise<RunningPeer> {
    const port = freePort();
    const path = `${scene.folder}/Caddyfile`;
    await Deno.writeTextFile(path, configText(scene, port));
    const child = new Child("caddy", {
      args: ["run", "--config", path, "--adapter", "caddyfile"],
      env: { XDG_DATA_HOME: scene.folder, XDG_CONFIG_HOME: scene.folder },
    });
    return await listening(child, port);
  },
};
