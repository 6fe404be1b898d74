import type { z } from "zod";
import {
  duration,
  flag,
  isLoopback,
  list,
  listenAddress,
  LOG_SETTINGS,
  percent,
  readSettings,
  secret,
  type SettingProblem,
  size,
  text,
  type UnknownSetting,
  whole,
} from "../shared/settings.ts";

/** A larger config could not be pushed: routers take no more by default either. */
const MAX_CONFIG_BYTES = 2 ** 30;
/** A token that can be guessed is none. */
const MIN_TOKEN_LENGTH = 8;

const SHAPE = {
  CP_LISTEN: listenAddress().optional(),
  CP_KV: text().optional(),
  CP_PING_INTERVAL: duration().optional(),
  CP_ROUTER_TIMEOUT: duration().optional(),
  CP_MAX_CONFIG_BYTES: size().optional(),
  CP_KEEP_VERSIONS: whole(1, 1_000_000).optional(),
  CP_GUARD_SHARE: percent().optional(),
  CP_GUARD_MIN: whole(0, 2_000_000).optional(),
  CP_ADMIN_TOKEN: secret().optional(),
  CP_ADMIN_TOKENS_FILE: text().optional(),
  CP_ROUTER_TOKEN: secret().optional(),
  CP_INSECURE: flag().optional(),
  CP_ALLOWED_HOSTS: list(
    (part) => /^(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?$/i.test(part),
    "a host name or address, with or without a port",
  ).optional(),
  CP_SEED: text().optional(),
  ...LOG_SETTINGS,
} satisfies z.ZodRawShape;

type Given = z.output<z.ZodObject<typeof SHAPE>>;

/** The control plane's settings (SPEC section 7). Spans of time are in milliseconds. */
export interface Settings {
  readonly listen: { readonly hostname: string; readonly port: number };
  /** A path, `:memory:` or a KV Connect URL; undefined: the platform's own. */
  readonly kv: string | undefined;
  /** Whether no other control plane can share the store: it is a file, or in memory. */
  readonly exclusive: boolean;
  readonly pingIntervalMs: number;
  readonly routerTimeoutMs: number;
  readonly maxConfigBytes: number;
  readonly keepVersions: number;
  /** From where on an edit has to be confirmed. */
  readonly guard: { readonly share: number; readonly min: number };
  readonly adminToken: string | undefined;
  readonly adminTokensFile: string | undefined;
  readonly routerToken: string | undefined;
  /** Lower case. */
  readonly allowedHosts: readonly string[];
  readonly seed: string | undefined;
  readonly logLevel: NonNullable<Given["LOG_LEVEL"]>;
  /** Undefined: what fits where the log goes. */
  readonly logFormat: Given["LOG_FORMAT"];
}

/** The settings that name files to be read at the start, and what these are checked with. */
export type FileSettings = Pick<
  Settings,
  "adminToken" | "adminTokensFile" | "seed" | "maxConfigBytes"
>;

export type ControlPlaneSettings =
  | {
    readonly ok: true;
    readonly settings: Settings;
    readonly unknown: readonly UnknownSetting[];
  }
  | {
    readonly ok: false;
    readonly problems: readonly SettingProblem[];
    /** What is right in itself, so that what is wrong with the files is told as well. */
    readonly files: FileSettings;
  };

/** Reads the control plane's settings, or says all that is wrong with them. */
export function readControlPlaneSettings(
  env: Readonly<Record<string, string>>,
): ControlPlaneSettings {
  const result = readSettings(SHAPE, {
    env,
    prefix: "CP_",
    check: crossProblems,
  });
  if (!result.ok) {
    const { problems, sound } = result;
    return { ok: false, problems, files: fileSettings(sound) };
  }
  const given = result.settings;
  const files = fileSettings(given);
  // The platform sets this one, and there its own database is the only one that lasts.
  const kv = given.CP_KV ??
    (env["DENO_DEPLOYMENT_ID"] === undefined ? "./data/cp.kv" : undefined);
  return {
    ok: true,
    unknown: result.unknown,
    settings: {
      listen: given.CP_LISTEN ?? DEFAULT_LISTEN,
      kv,
      exclusive: kv !== undefined && !/^https?:\/\//.test(kv),
      pingIntervalMs: given.CP_PING_INTERVAL ?? DEFAULT_PING_MS,
      routerTimeoutMs: given.CP_ROUTER_TIMEOUT ?? DEFAULT_TIMEOUT_MS,
      ...files,
      keepVersions: given.CP_KEEP_VERSIONS ?? 1000,
      guard: {
        share: given.CP_GUARD_SHARE ?? 0.2,
        min: given.CP_GUARD_MIN ?? 10,
      },
      routerToken: given.CP_ROUTER_TOKEN,
      allowedHosts: (given.CP_ALLOWED_HOSTS ?? []).map((host) =>
        host.toLowerCase()
      ),
      logLevel: given.LOG_LEVEL ?? "info",
      logFormat: given.LOG_FORMAT,
    },
  };
}

const DEFAULT_LISTEN = { hostname: "127.0.0.1", port: 8081 };
const DEFAULT_PING_MS = 5000;
const DEFAULT_TIMEOUT_MS = 12_000;

function fileSettings(given: Given): FileSettings {
  return {
    adminToken: given.CP_ADMIN_TOKEN,
    adminTokensFile: given.CP_ADMIN_TOKENS_FILE,
    seed: given.CP_SEED,
    maxConfigBytes: given.CP_MAX_CONFIG_BYTES ?? 128 * 2 ** 20,
  };
}

function crossProblems(given: Given): SettingProblem[] {
  const problems: SettingProblem[] = [];
  const add = (name: string, detail: string) => problems.push({ name, detail });
  if (given.CP_ADMIN_TOKEN && given.CP_ADMIN_TOKENS_FILE) {
    add(
      "CP_ADMIN_TOKENS_FILE",
      "CP_ADMIN_TOKEN and CP_ADMIN_TOKENS_FILE are both set; set one of them.",
    );
  }
  for (const name of ["CP_ADMIN_TOKEN", "CP_ROUTER_TOKEN"] as const) {
    const token = given[name];
    if (token !== undefined && token.length < MIN_TOKEN_LENGTH) {
      add(
        name,
        `${name} must have at least ${MIN_TOKEN_LENGTH} characters; it has ${token.length}.`,
      );
    }
  }
  const { hostname } = given.CP_LISTEN ?? DEFAULT_LISTEN;
  const open = !given.CP_ADMIN_TOKEN && !given.CP_ADMIN_TOKENS_FILE;
  if (!isLoopback(hostname) && open && given.CP_INSECURE !== true) {
    add(
      "CP_LISTEN",
      `CP_LISTEN is ${hostname}, which others can reach, and there is no admin token; set CP_ADMIN_TOKEN or CP_ADMIN_TOKENS_FILE, or CP_INSECURE=true if everyone who reaches it may edit.`,
    );
  }
  const ping = given.CP_PING_INTERVAL ?? DEFAULT_PING_MS;
  const timeout = given.CP_ROUTER_TIMEOUT ?? DEFAULT_TIMEOUT_MS;
  if (timeout <= ping) {
    add(
      "CP_ROUTER_TIMEOUT",
      `CP_ROUTER_TIMEOUT (${timeout} ms) must be longer than CP_PING_INTERVAL (${ping} ms): a router answers pings.`,
    );
  }
  if ((given.CP_MAX_CONFIG_BYTES ?? 0) > MAX_CONFIG_BYTES) {
    add(
      "CP_MAX_CONFIG_BYTES",
      `CP_MAX_CONFIG_BYTES must be at most 1GiB; ${given.CP_MAX_CONFIG_BYTES} bytes are more.`,
    );
  }
  return problems;
}
