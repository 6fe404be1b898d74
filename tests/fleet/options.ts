import { CONNECT_PATH, isRouterId } from "../../shared/protocol.ts";
import { type Counts, MISBEHAVIOURS } from "./behaviour.ts";
import { FLEET_DEFAULTS, type FleetOptions } from "./fleet.ts";

/** What the command line asks for; the token comes from elsewhere. */
export interface CommandOptions extends Omit<FleetOptions, "token"> {
  /** Milliseconds after which it ends; null: at Ctrl-C. */
  readonly forMs: number | null;
  readonly json: boolean;
}

export const USAGE = `Simulates a fleet of routers, to size a control plane.

  deno task fleet --routers 1000 --cp http://127.0.0.1:8081

  --routers N     how many, up to 100,000
  --cp URL        the control plane
  --for SECONDS   ends by itself; without it, Ctrl-C does
  --ramp SECONDS  over how long they connect; 1 for each 1,000 routers where not given
  --decode N      how many check the contents of every config against its digest; 1% where not given
  --prefix TEXT   what their ids begin with; ${FLEET_DEFAULTS.prefix} where not given
  --json          a JSON object a line

What may be wrong with some, as a number of routers or a share of them (5 or 0.5%):
  --slow N        read at --slow-rate KiB a second, ${
  FLEET_DEFAULTS.slowRate / 1024
} where not given
  --stalled N     read nothing once a push has begun, for 20 s, then come back
  --rejecters N   reject every config
  --flappers N    drop their connection every --flap-every seconds, ${
  FLEET_DEFAULTS.flapMs / 1000
} where not given
  --silent N      connect, and never answer

ROUTER_CP_TOKEN is the token the control plane asks routers for, if it does.`;

const MAX_ROUTERS = 100_000;
const MAX_SECONDS = 1_000_000;
/** The longest part of an id that the simulator adds: a hyphen and the number of a router. */
const MAX_PREFIX = 120;

const NAMES = [
  "routers",
  "cp",
  "for",
  "ramp",
  "decode",
  "prefix",
  "slow-rate",
  "flap-every",
  ...MISBEHAVIOURS,
] as const;
type Name = typeof NAMES[number];

/** @throws {TypeError} naming the argument that is wrong, and the rule it breaks. */
export function parseOptions(args: readonly string[]): CommandOptions {
  const { given, json } = split(args);
  const routers = whole("routers", needed("routers", given), MAX_ROUTERS);
  const share = (name: Name, fallback: string) =>
    shareOf(name, given.get(name) ?? fallback, routers);
  const counts = Object.fromEntries(
    MISBEHAVIOURS.map((name) => [name, share(name, "0")]),
  ) as Counts;
  const misbehaving = MISBEHAVIOURS.filter((name) => counts[name] > 0);
  const sum = misbehaving.reduce((sum, name) => sum + counts[name], 0);
  if (sum > routers) {
    throw new TypeError(
      `Cannot have ${
        misbehaving.map((name) => `--${name} ${given.get(name)}`).join(", ")
      }: these are ${sum} routers, and there are ${routers}`,
    );
  }
  const seconds = (name: Name) => {
    const text = given.get(name);
    return text === undefined ? null : 1000 * number(name, text, MAX_SECONDS);
  };
  return {
    url: connectUrl(needed("cp", given)),
    routers,
    counts,
    decoding: share("decode", "1%"),
    prefix: prefix(given.get("prefix") ?? FLEET_DEFAULTS.prefix),
    rampMs: seconds("ramp") ?? routers,
    slowRate: given.has("slow-rate")
      ? 1024 * number("slow-rate", given.get("slow-rate")!, 2 ** 20)
      : FLEET_DEFAULTS.slowRate,
    flapMs: seconds("flap-every") ?? FLEET_DEFAULTS.flapMs,
    forMs: seconds("for"),
    json,
  };
}

/** The values by their names: `--name value` or `--name=value`. */
function split(
  args: readonly string[],
): { given: ReadonlyMap<Name, string>; json: boolean } {
  const given = new Map<Name, string>();
  let json = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--json") {
      json = true;
      continue;
    }
    const equals = arg.indexOf("=");
    const flag = equals === -1 ? arg : arg.slice(0, equals);
    const name = NAMES.find((name) => flag === `--${name}`);
    if (name === undefined) {
      throw new TypeError(`Cannot read ${arg}: there is no such option`);
    }
    if (given.has(name)) {
      throw new TypeError(`Cannot read ${arg}: --${name} was given before`);
    }
    const value = equals === -1 ? args[++i] : arg.slice(equals + 1);
    if (value === undefined || value === "") {
      throw new TypeError(`Cannot read ${arg}: its value is missing`);
    }
    given.set(name, value);
  }
  return { given, json };
}

function needed(name: Name, given: ReadonlyMap<Name, string>): string {
  const value = given.get(name);
  if (value === undefined) {
    throw new TypeError(`Cannot begin without --${name}`);
  }
  return value;
}

function whole(name: Name, text: string, most: number): number {
  if (!/^[1-9][0-9]{0,8}$/.test(text) || Number(text) > most) {
    throw new TypeError(
      `Cannot read --${name} ${text}: it needs a whole number from 1 to ${most}`,
    );
  }
  return Number(text);
}

/** A number above 0, which may have a fraction. */
function number(name: Name, text: string, most: number): number {
  const value = Number(text);
  if (!/^[0-9]+(\.[0-9]+)?$/.test(text) || value === 0 || value > most) {
    throw new TypeError(
      `Cannot read --${name} ${text}: it needs a number above 0, up to ${most}`,
    );
  }
  return value;
}

/** A number of routers, or a share of them; any share that is not 0 is at least one router. */
function shareOf(name: Name, text: string, routers: number): number {
  const match = /^([0-9]{1,9}(?:\.[0-9]{1,6})?)(%?)$/.exec(text);
  const value = Number(match?.[1]);
  const percent = match?.[2] === "%";
  const whole = percent || Number.isInteger(value);
  if (match === null || !whole || value > (percent ? 100 : routers)) {
    throw new TypeError(
      `Cannot read --${name} ${text}: it needs a number of routers from 0 to ${routers}, or a share like 0.5%`,
    );
  }
  if (!percent) return value;
  return value === 0 ? 0 : Math.max(1, Math.floor(routers * value / 100));
}

function prefix(text: string): string {
  if (!isRouterId(text) || text.length > MAX_PREFIX) {
    throw new TypeError(
      `Cannot read --prefix ${text}: it needs 1 to ${MAX_PREFIX} of A-Z a-z 0-9 . _ : -`,
    );
  }
  return text;
}

/** Where routers connect, of a control plane's address as people write it. */
function connectUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  const scheme =
    { "http:": "ws:", "https:": "wss:", "ws:": "ws:", "wss:": "wss:" }[
      url?.protocol ?? ""
    ];
  if (
    url === null || scheme === undefined || url.hostname === "" ||
    url.search !== "" || url.hash !== "" || url.username !== ""
  ) {
    throw new TypeError(
      `Cannot read --cp ${text}: it needs the address of a control plane, like http://127.0.0.1:8081`,
    );
  }
  const path = url.pathname === "/" ? CONNECT_PATH : url.pathname;
  return `${scheme}//${url.host}${path}`;
}
