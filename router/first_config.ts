import { errorLine } from "../shared/errors.ts";
import type { NextConfig } from "./active.ts";
import { readConfig } from "./config/config_reader.ts";
import type { SavedConfigs } from "./saved_config.ts";

/** What there is to serve before a control plane has been heard. */
export interface FirstConfig {
  /** Null if there is nothing, which is no problem by itself. */
  readonly config: NextConfig | null;
  /** What is wrong with the bootstrap file; null if nothing is, or there is none. */
  readonly bootstrapProblem: string | null;
}

/**
 * What a router starts with (SPEC section 6, "Start"): the last-known-good config, else the one
 * before it, else the bootstrap file. The bootstrap file is checked in any case: a mistake in it
 * would else stay hidden until the day it is needed. Never throws.
 *
 * @param options.bootstrap the path of the bootstrap file; null for none.
 * @param options.maxConfigBytes the largest bootstrap config, in bytes of JSON.
 */
export async function firstConfig(
  saved: SavedConfigs,
  options: {
    readonly bootstrap: string | null;
    readonly maxConfigBytes: number;
  },
): Promise<FirstConfig> {
  const lastKnownGood = await saved.read();
  const bootstrap = options.bootstrap === null
    ? null
    : await readBootstrap(options.bootstrap, options.maxConfigBytes);
  const bootstrapProblem = typeof bootstrap === "string" ? bootstrap : null;
  if (lastKnownGood !== null) {
    const { version, epoch, packed } = lastKnownGood;
    const source = "last_known_good";
    const config: NextConfig = { version, epoch, source, packed };
    return { config, bootstrapProblem };
  }
  return {
    config: typeof bootstrap === "string" ? null : bootstrap,
    bootstrapProblem,
  };
}

/** The config in a bootstrap file, or what is wrong with it. */
async function readBootstrap(
  path: string,
  maxBytes: number,
): Promise<NextConfig | string> {
  let text: Uint8Array<ArrayBuffer>;
  try {
    text = await Deno.readFile(path);
  } catch (error) {
    return `Cannot read the bootstrap config ${path}: ${errorLine(error)}`;
  }
  const read = readConfig({ kind: "text", text }, {
    maxBytes,
    digest: null,
  });
  if (!read.ok) {
    return `Cannot use the bootstrap config ${path}: ${read.error}`;
  }
  const { packed } = read;
  return { version: 0, epoch: null, source: "bootstrap", packed };
}
