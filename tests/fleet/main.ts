/**
 * `deno task fleet`: simulates a fleet of routers, for whoever wants to know what a control plane can
 * carry. `--help` tells the options.
 */
import { optionsOrEnd } from "../bench/arguments.ts";
import { descriptorLimit } from "./descriptor_limit.ts";
import {
  type Figures,
  figuresOf,
  line,
  percentilesOf,
  summary,
} from "./display.ts";
import { Fleet, type FleetOptions } from "./fleet.ts";
import { type CommandOptions, parseOptions, USAGE } from "./options.ts";

/** The shortest time between two lines, in milliseconds. */
const REFRESH_MS = 200;
/** Goes to the beginning of the line and clears it. */
const CLEAR = "\r\x1b[K";

/** What of the figures a new line is worth; bytes go on and on while a push does. */
function shown({ connected, current, newest, stalled }: Figures): string {
  return JSON.stringify([connected, current, newest, stalled]);
}

async function run(
  { forMs, json, ...rest }: CommandOptions,
  stop: AbortController,
): Promise<number> {
  const options: FleetOptions = {
    ...rest,
    token: Deno.env.get("ROUTER_CP_TOKEN") || null,
  };
  const descriptors = await descriptorLimit();
  const live = !json && Deno.stdout.isTerminal();
  let last = "";
  const stopped = new Promise<void>((resolve) =>
    stop.signal.addEventListener("abort", () => resolve())
  );
  const timer = forMs === null ? 0 : setTimeout(() => stop.abort(), forMs);
  await using fleet = new Fleet({ ...options, descriptors });
  const figures = () =>
    figuresOf(fleet.state(), { book: fleet.versions, fleet: options });
  function show(): void {
    const now = figures();
    if (live) {
      Deno.stdout.writeSync(new TextEncoder().encode(CLEAR + line(now)));
    } else if (shown(now) !== last) {
      last = shown(now);
      console.log(json ? JSON.stringify({ type: "state", ...now }) : line(now));
    }
  }
  const refresh = setInterval(show, REFRESH_MS);
  try {
    while (!stop.signal.aborted) {
      await Promise.race([fleet.changed(), stopped]);
    }
  } finally {
    clearInterval(refresh);
    clearTimeout(timer);
  }
  const end = figures();
  const total = fleet.versions.total();
  await fleet.stop();
  if (live) Deno.stdout.writeSync(new TextEncoder().encode(CLEAR));
  console.log(
    json
      ? JSON.stringify({
        type: "summary",
        ...end,
        propagation: percentilesOf(total),
      })
      : summary(end, total),
  );
  return end.faults.length === 0 ? 0 : 1;
}

if (Deno.args.includes("--help")) {
  console.log(USAGE);
  Deno.exit(0);
}
const options = optionsOrEnd(parseOptions);
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => stop.abort());
}
Deno.exit(await run(options, stop));
