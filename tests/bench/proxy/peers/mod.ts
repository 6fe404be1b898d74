import { caddy } from "./caddy.ts";
import { denoFetch, honoProxy } from "./deno.ts";
import { direct } from "./direct.ts";
import { haproxy } from "./haproxy.ts";
import { nginx } from "./nginx.ts";
import { fastifyHttpProxy, httpProxy3 } from "./node.ts";
import { ours } from "./ours.ts";
import type { Peer } from "./peer.ts";

/** All of them, in the order of the tables. */
export const PEERS: readonly Peer[] = [
  direct,
  ours,
  nginx,
  haproxy,
  caddy,
  denoFetch,
  honoProxy,
  httpProxy3,
  fastifyHttpProxy,
];
