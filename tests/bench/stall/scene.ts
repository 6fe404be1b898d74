import type { Buffer } from "node:buffer";
import type { Endpoint } from "../proxy/start_endpoint.ts";
import { Router } from "../../harness/router.ts";

/** What all measurements are given to work with. */
export interface Scene {
  readonly endpoint: Endpoint;
  /** A folder for temporary files. */
  readonly folder: string;
  /** Settings of the router beside those of the benchmark. */
  readonly routerEnv: Readonly<Record<string, string>>;
  readonly rounds: number;
  /** Aborted when the benchmark is to end. */
  readonly signal: AbortSignal;
  /** Takes a line on how it goes. */
  readonly tell: (text: string) => void;
}

/** The customers of a size. */
export interface Customers {
  readonly names: Buffer;
  /** The same as a file. */
  readonly namesFile: string;
}

/** Starts a router as its task runs it, with its state in a folder. */
export async function startRouter(
  scene: Scene,
  options: { folder: string; cpUrl: string },
): Promise<Router> {
  const env = { ROUTER_ACCESS_LOG: "errors", ...scene.routerEnv };
  return await Router.start("bench", { ...options, env });
}
