import type { Random } from "../../harness/random.ts";

/** Values of one setting: some that are right in themselves, and some that never are. */
interface Values {
  readonly right: readonly string[];
  readonly wrong: readonly string[];
}

const TIME: Values = {
  right: ["250ms", "5s", "1.5s", "1m", "1h", "596h"],
  wrong: ["5", "0s", "-1s", "1d", "5 s", "5S", "1e3ms", "597h", ".5s", "s"],
};
const SIZE: Values = {
  right: ["1B", "64KiB", "128MiB", "1GiB"],
  wrong: ["0B", "1", "1MB", "1.5MiB", "-1B", "9007199254740992B", "1kib"],
};
const LISTEN: Values = {
  right: ["127.0.0.1:0", "[::1]:8443", "localhost:1", ":65535", "0.0.0.0:80"],
  wrong: [
    "127.0.0.1",
    "[::1",
    "::1:80",
    "a:65536",
    "a:-1",
    "[1.2.3.4]:1",
    "a b:1",
  ],
};
const TEXT: Values = { right: ["a", "./data/x", "é", " "], wrong: [] };
const SECRET: Values = {
  right: ["s3cret-token-1", "!~!~!~!~"],
  wrong: ["has a space in it", "nül-und-nichtig", "tab\there-it-is"],
};
const COUNT: Values = {
  right: ["1", "64", "07"],
  wrong: ["0", "-1", "1.0", "1e3", "1000001", "9999999999999999", "0x10"],
};
const HOSTS: Values = {
  right: ["a", "a.example, b_c", "[::1]", "127.0.0.1"],
  wrong: ["a b", "http://a", "a,,b", "a/b"],
};
const SHARE: Values = {
  right: ["0%", "20%", "12.5%", "100%"],
  wrong: ["20", "0.2", "101%", "-1%", "%"],
};
const FLAG: Values = { right: ["true", "false"], wrong: ["1", "yes", "TRUE"] };
const LOG: Readonly<Record<string, Values>> = {
  LOG_LEVEL: { right: ["info", "debug", "error"], wrong: ["loud", "INFO"] },
  LOG_FORMAT: { right: ["json", "pretty"], wrong: ["text", "JSON"] },
};

export const CONTROL_PLANE: Readonly<Record<string, Values>> = {
  CP_LISTEN: LISTEN,
  CP_KV: TEXT,
  CP_PING_INTERVAL: TIME,
  CP_ROUTER_TIMEOUT: TIME,
  CP_MAX_CONFIG_BYTES: SIZE,
  CP_KEEP_VERSIONS: COUNT,
  CP_GUARD_SHARE: SHARE,
  CP_GUARD_MIN: {
    right: ["0", "10", "2000000"],
    wrong: ["-1", "1.0", "1e3", "2000001", "0x10"],
  },
  CP_ADMIN_TOKEN: SECRET,
  CP_ADMIN_TOKENS_FILE: TEXT,
  CP_ROUTER_TOKEN: SECRET,
  CP_INSECURE: FLAG,
  CP_ALLOWED_HOSTS: HOSTS,
  CP_SEED: TEXT,
  ...LOG,
};

export const ROUTER: Readonly<Record<string, Values>> = {
  ROUTER_LISTEN: LISTEN,
  ROUTER_ADMIN_LISTEN: LISTEN,
  ROUTER_ALLOWED_HOSTS: HOSTS,
  ROUTER_ID: { right: ["r1", "a:b._-"], wrong: ["a b", "é", "x".repeat(129)] },
  ROUTER_CP_URL: {
    right: ["", "ws://a/v1/connect", "wss://a:1/x?y, ws://b", "ws://[::1]:1/"],
    wrong: [
      "http://a",
      "ws://u@a/",
      "ws://a#x",
      "ws://",
      "ws://a:0/",
      "ws://a,",
    ],
  },
  ROUTER_CP_TIMEOUT: TIME,
  ROUTER_CP_TOKEN: SECRET,
  ROUTER_MAX_CONFIG_BYTES: SIZE,
  ROUTER_BOOTSTRAP: TEXT,
  ROUTER_STATE_DIR: TEXT,
  ROUTER_KEY: {
    right: ["header:x-routing-key", "header:X-Tenant", "host:{key}.a.example"],
    wrong: [
      "header:host",
      "header:a b",
      "host:a",
      "host:{key}",
      "x",
      "header:via",
    ],
  },
  ROUTER_CONNECT_TIMEOUT: TIME,
  ROUTER_RESPONSE_TIMEOUT: TIME,
  ROUTER_IDLE_TIMEOUT: TIME,
  ROUTER_STREAM_TIMEOUT: TIME,
  ROUTER_HEADER_TIMEOUT: TIME,
  ROUTER_KEEPALIVE_TIMEOUT: TIME,
  ROUTER_MAX_CONNECTIONS: COUNT,
  ROUTER_MAX_CONNECTIONS_PER_ADDRESS: COUNT,
  ROUTER_DRAIN_TIMEOUT: TIME,
  ROUTER_HOLD_TIMEOUT: TIME,
  ROUTER_HOLD_REQUESTS: COUNT,
  ROUTER_GUARD_SHARE: SHARE,
  ROUTER_TRUSTED_PROXIES: {
    right: ["10.0.0.0/8", "::1, 127.0.0.1", "fe80::/10"],
    wrong: ["10.0.0.0/33", "a", "10.0.0/8", "::1/129", "1.2.3.4,"],
  },
  ROUTER_TLS_CERT: TEXT,
  ROUTER_TLS_KEY: TEXT,
  ROUTER_H2_LISTEN: LISTEN,
  ROUTER_CA: TEXT,
  ROUTER_THREADS: { right: ["1", "64"], wrong: ["0", "65", "two"] },
  ROUTER_ACCESS_LOG: { right: ["errors", "all", "off"], wrong: ["on", "ALL"] },
  ...LOG,
};

/** Variables, and which of them cannot be right. */
export interface Environment {
  readonly env: Readonly<Record<string, string>>;
  readonly wrong: readonly string[];
  /** None was mutated, so that all others are right in themselves. */
  readonly known: boolean;
}

/** An environment in which some settings stand. */
export function environment(
  random: Random,
  options: {
    readonly all: Readonly<Record<string, Values>>;
    readonly mutate: (text: string) => string;
  },
): Environment {
  const { all, mutate } = options;
  // As an environment is: a name is a name, whatever an object's prototype has.
  const env: Record<string, string> = Object.create(null);
  const wrong: string[] = [];
  let known = true;
  for (
    const name of random.shuffled(Object.keys(all)).slice(0, random.below(9))
  ) {
    const values = all[name]!;
    if (values.wrong.length > 0 && random.once(6)) {
      env[name] = random.pick(values.wrong);
      wrong.push(name);
    } else env[name] = random.pick(values.right);
    if (random.once(12)) {
      env[name] = mutate(env[name]!);
      known = false;
    }
  }
  const stray = random.pick([
    "CP_LISTN",
    "ROUTER_",
    "PATH",
    "__proto__",
    "CP_X",
  ]);
  if (random.once(4)) env[stray] = "x";
  return { env, wrong, known };
}
