import type { PackedConfig } from "./config/packed_config.ts";
import { compileRoutes, type Routes } from "./routes.ts";

/** Where the config that is being served came from. */
export type ConfigSource = "bootstrap" | "last_known_good" | "control_plane";

/** A valid config that is to be served: plain data, which threads can pass on to each other. */
export interface NextConfig {
  /** The committed version; 0 for a bootstrap config, which has none. */
  readonly version: number;
  /** The history the version belongs to; null for a bootstrap or a control plane that names none. */
  readonly epoch: string | null;
  readonly source: ConfigSource;
  readonly packed: PackedConfig;
}

/** A config that is ready to be served on this thread. */
export interface ReadyConfig extends Omit<NextConfig, "packed"> {
  /** `sha256:` and 64 hex digits over the canonical text. */
  readonly digest: string;
  readonly routes: Routes;
}

/** A config as another thread is told of it; what is large in it is shared, not copied. */
export function nextConfig(config: ReadyConfig): NextConfig {
  const { version, epoch, source, routes } = config;
  return { version, epoch, source, packed: routes.packed };
}

/** Makes a config ready to be served. */
export function readyConfig(
  { version, epoch, source, packed }: NextConfig,
): ReadyConfig {
  const routes = compileRoutes(packed, version);
  return { version, epoch, digest: packed.digest, source, routes };
}

/** The config that requests are routed by: one immutable object, replaced whole. */
export interface ActiveConfig extends ReadyConfig {
  /** When it was applied, in milliseconds since the Unix epoch (for people). */
  readonly appliedAt: number;
  /** The same moment on the monotonic clock, in milliseconds (for ages). */
  readonly appliedAtMonotonic: number;
}

let active: ActiveConfig | null = null;

/** The config being served, or null before there is one. A request calls this once. */
export function activeConfig(): ActiveConfig | null {
  return active;
}

/** Replaces the served config in one assignment; requests under way keep the one they read. */
export function activate(next: ActiveConfig | null): void {
  active = next === null ? null : Object.freeze(next);
}

/** Configs that are being read over time, and by how many. */
const held = new Map<ActiveConfig, number>();

/** Keeps a config readable, when it is not served any more, until what is answered is called. */
export function holdConfig(config: ActiveConfig): () => void {
  held.set(config, (held.get(config) ?? 0) + 1);
  return () => {
    const others = held.get(config)! - 1;
    if (others > 0) held.set(config, others);
    else held.delete(config);
  };
}

/** Whether somebody reads a config who does not do so in one turn. */
export function isHeld(config: ActiveConfig): boolean {
  return held.has(config);
}
