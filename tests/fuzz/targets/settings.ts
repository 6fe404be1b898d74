import { readControlPlaneSettings } from "../../../cp/settings.ts";
import { readRouterSettings } from "../../../router/settings.ts";
import {
  duration,
  listenAddress,
  size,
  whole,
} from "../../../shared/settings.ts";
import {
  CONTROL_PLANE,
  type Environment,
  environment,
  ROUTER,
} from "../inputs/env.ts";
import { mutate } from "../mutate.ts";
import type { Random } from "../../harness/random.ts";
import { ensure, ensureSame, target, type Verdict } from "../target.ts";

/** A program, and how what it says of its settings is checked. */
interface Program {
  readonly names: readonly string[];
  readonly prefix: string;
  readonly secrets: readonly string[];
  read(env: Readonly<Record<string, string>>):
    | {
      readonly ok: true;
      readonly unknown: readonly { name: string; nearest: string }[];
    }
    | {
      readonly ok: false;
      readonly problems: readonly { name: string; detail: string }[];
    };
}

const PROGRAMS = {
  cp: {
    names: Object.keys(CONTROL_PLANE),
    prefix: "CP_",
    secrets: ["CP_ADMIN_TOKEN", "CP_ROUTER_TOKEN"],
    read: readControlPlaneSettings,
  },
  router: {
    names: Object.keys(ROUTER),
    prefix: "ROUTER_",
    secrets: ["ROUTER_CP_TOKEN"],
    read: readRouterSettings,
  },
} satisfies Readonly<Record<string, Program>>;

/** Whole environments of both programs: settings, or all problems, each of which names its setting. */
export const settings = target({
  name: "settings",
  weight: 15,
  make: (random): Environment & { readonly side: keyof typeof PROGRAMS } => {
    const side = random.pick(["cp", "router"]);
    const all = side === "cp" ? CONTROL_PLANE : ROUTER;
    const change = (text: string) =>
      mutate(random, text, {
        tokens: ["5s", "1GiB", "127.0.0.1:80", ",", "{key}"],
      });
    return { side, ...environment(random, { all, mutate: change }) };
  },
  check({ side, env, wrong, known }): Verdict {
    const program: Program = PROGRAMS[side];
    const result = program.read(env);
    if (result.ok) {
      if (known) ensureSame(wrong, [], "Wrong settings that were taken");
      for (const { name, nearest } of result.unknown) {
        ensure(
          name.startsWith(program.prefix) && name in env,
          `Unknown: ${name}`,
        );
        ensure(!program.names.includes(name), `${name} is said to be unknown`);
        ensure(
          program.names.includes(nearest),
          `${nearest} is nearest to ${name}`,
        );
      }
      return "accepted";
    }
    const { problems } = result;
    ensure(problems.length > 0, "Refused without a problem");
    for (const { name, detail } of problems) {
      ensure(program.names.includes(name), `A problem of ${name}`);
      ensure(detail.includes(name), `${detail} does not name ${name}`);
      for (const secret of program.secrets) {
        const value = env[secret] ?? "";
        ensure(
          value.length < 8 || !detail.includes(value),
          "A secret is shown",
        );
      }
    }
    const named = problems.map(({ name }) => name);
    if (known) {
      for (const name of wrong) {
        ensure(named.includes(name), `No problem names ${name}`);
      }
    }
    return "refused";
  },
});

const VALUES = {
  duration: { schema: duration(), model: milliseconds },
  size: { schema: size(), model: bytes },
  whole: { schema: whole(1, 1000), model: wholeNumber },
  listen: { schema: listenAddress(), model: address },
} as const;

const SAMPLES: Readonly<
  Record<keyof typeof VALUES, (random: Random) => string>
> = {
  duration: (random) =>
    `${random.pick(["0", "1", "250", "1.5", "0.001", "2147483647"])}${
      random.pick(["ms", "s", "m", "h"])
    }`,
  size: (random) =>
    `${random.pick(["0", "1", "65536", "9007199254740991"])}${
      random.pick(["B", "KiB", "MiB", "GiB"])
    }`,
  whole: (random) => random.pick(["0", "1", "999", "1000", "1001", "0000001"]),
  listen: (random) =>
    `${
      random.pick([
        "",
        "127.0.0.1",
        "[::1]",
        "[::ffff:1.2.3.4]",
        "a-b.c",
        "a_b",
      ])
    }:${random.pick(["0", "80", "65535", "65536", "00080"])}`,
};

/** Single values, beside what each means by its description. */
export const values = target({
  name: "values",
  weight: 30,
  make(random) {
    const kind = random.pick(["duration", "size", "whole", "listen"]);
    const text = SAMPLES[kind](random);
    const how = { tokens: ["ms", "s", "KiB", ":", "[", "]", "e3", "+", "_"] };
    return { kind, text: random.once(2) ? text : mutate(random, text, how) };
  },
  check({ kind, text }): Verdict {
    const { schema, model } = VALUES[kind];
    const result = schema.safeParse(text);
    const expected = model(text);
    ensureSame(result.success, expected !== null, "It is taken");
    if (!result.success) return "refused";
    ensureSame(result.data, expected, "What it is");
    return "accepted";
  },
});

function split(text: string, units: Readonly<Record<string, number>>) {
  const unit = Object.keys(units).sort((a, b) => b.length - a.length)
    .find((unit) => text.endsWith(unit));
  if (unit === undefined) return null;
  return { number: text.slice(0, -unit.length), factor: units[unit]! };
}

function isDigits(text: string): boolean {
  return text !== "" && [...text].every((char) => char >= "0" && char <= "9");
}

function milliseconds(text: string): number | null {
  const parts = split(text, { ms: 1, s: 1000, m: 60_000, h: 3_600_000 });
  if (parts === null) return null;
  const [whole, fraction, more] = parts.number.split(".");
  if (!isDigits(whole!) || more !== undefined) return null;
  if (fraction !== undefined && !isDigits(fraction)) return null;
  const ms = parseFloat(parts.number) * parts.factor;
  return ms > 0 && ms < 2 ** 31 ? ms : null;
}

function bytes(text: string): number | null {
  const units = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
  const parts = split(text, units);
  if (parts === null || !isDigits(parts.number)) return null;
  const size = BigInt(parts.number) * BigInt(parts.factor);
  return size > 0n && size <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(size)
    : null;
}

function wholeNumber(text: string): number | null {
  const value = isDigits(text) && text.length <= 15 ? BigInt(text) : 0n;
  return value >= 1n && value <= 1000n ? Number(value) : null;
}

function address(text: string): { hostname: string; port: number } | null {
  const colon = text.lastIndexOf(":");
  const port = text.slice(colon + 1);
  if (colon < 0 || !isDigits(port) || port.length > 5 || Number(port) > 65535) {
    return null;
  }
  const host = text.slice(0, colon);
  if (host.startsWith("[")) {
    const inner = host.slice(1, -1);
    const isAddress = host.endsWith("]") && !inner.includes("%") &&
      URL.canParse(`http://${host}/`) && /^[0-9a-f:.]+$/i.test(inner);
    return isAddress ? { hostname: inner, port: Number(port) } : null;
  }
  if (!/^[A-Za-z0-9.-]*$/.test(host)) return null;
  return { hostname: host === "" ? "0.0.0.0" : host, port: Number(port) };
}
