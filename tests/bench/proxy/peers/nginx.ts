import { Child } from "../../child.ts";
import { freePort } from "../../free_port.ts";
import { installedVersion } from "./installed.ts";
import { listening } from "./listening.ts";
import type { Peer, RunningPeer, Scene } from "./peer.ts";

/** One worker, kept connections, the customers in a hash, and the same fields added as ours adds. */
function configText(scene: Scene, port: number, folder: string): string {
  const { config, cells } = scene;
  const customers = Object.entries(config.customer_to_placement)
    .map(([customer, placement]) => `    ${customer} ${placement};`);
  const upstreams = cells.map(({ placement, port }) =>
    `  upstream ${placement} {
    server 127.0.0.1:${port};
    keepalive 128;
    keepalive_requests 100000000;
  }`
  );
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `  ${name}_temp_path ${folder}/${name};`);
  return `daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events {
  worker_connections 4096;
}
http {
  access_log off;
${temporary.join("\n")}
  keepalive_requests 100000000;
  map_hash_max_size 65536;
  map_hash_bucket_size 128;
  map $http_x_routing_key $placement {
    default ${config.default_placement};
${customers.join("\n")}
  }
  map $http_upgrade $connection_upgrade {
    default upgrade;
    "" "";
  }
${upstreams.join("\n")}
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://$placement;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header Via "1.1 nginx";
      proxy_set_header X-Request-Id $request_id;
      add_header X-Routed-To $placement;
      add_header X-Route-Reason assigned;
      add_header X-Config-Version 1;
    }
  }
}
`;
}

export const nginx: Peer = {
  id: "nginx",
  name: "nginx, 1 worker",
  javaScript: false,
  version: () => installedVersion("nginx", "-v"),
  async start(scene: Scene): Promise<RunningPeer> {
    const port = freePort();
    const folder = await Deno.makeTempDir({
      dir: scene.folder,
      prefix: "nginx-",
    });
    // Started by root, nginx gives its worker to another user.
    await Deno.chmod(folder, 0o755);
    const path = `${folder}/nginx.conf`;
    await Deno.writeTextFile(path, configText(scene, port, folder));
    const child = new Child("nginx", {
      args: ["-c", path, "-e", `${folder}/error.log`],
    });
    return await listening(child, port);
  },
};
