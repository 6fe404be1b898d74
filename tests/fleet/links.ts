/**
 * A process of the simulator: holds the links of some routers and tells how they are, a JSON line
 * each time something has changed. It ends when its standard input does, so it never outlives the
 * command that started it. See `messages.ts`.
 */
import { Ledger } from "./ledger.ts";
import type { Report, Setup } from "./messages.ts";
import { SimulatedRouter } from "./simulated_router.ts";

/** Milliseconds between two looks at whether anything has changed. */
const REPORT_MS = 50;

// A Ctrl-C in the terminal goes to every process there; the command says when this one ends.
Deno.addSignalListener("SIGINT", () => {});

const input = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
const lines = input.getReader();
const setup: Setup = JSON.parse(await firstLine());
const ledger = new Ledger();
const routers = setup.routers.map((plan) =>
  new SimulatedRouter(plan, setup, ledger)
);
const starts = setup.routers.map(({ startMs }, i) =>
  setTimeout(() => routers[i]!.start(), startMs)
);
let told = "";
let telling: Promise<void> | null = null;
const reports = setInterval(() => {
  // One at a time: who reads them slowly gets fewer, not older ones.
  telling ??= tell().finally(() => telling = null);
}, REPORT_MS);

while (!(await lines.read()).done);
starts.forEach(clearTimeout);
clearInterval(reports);
await Promise.all(routers.map((router) => router.stop()));
Deno.exit(0);

async function firstLine(): Promise<string> {
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await lines.read();
    if (done) Deno.exit(0);
    text += value;
  }
  return text;
}

async function tell(): Promise<void> {
  const text = JSON.stringify(report()) + "\n";
  if (text === told) return;
  told = text;
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) {
      at += await Deno.stdout.write(bytes.subarray(at));
    }
  } catch {
    // Nobody reads any more: the end of standard input follows.
  }
}

function report(): Report {
  let connected = 0;
  let stalled = 0;
  const current = new Map<number, number>();
  for (const router of routers) {
    if (!router.connected) continue;
    connected++;
    if (router.stalled) stalled++;
    const version = router.current;
    if (version !== null) current.set(version, (current.get(version) ?? 0) + 1);
  }
  const { newest, connects, bytes, applied, rejected, decoded } = ledger;
  return {
    connected,
    stalled,
    newest,
    current: [...current],
    connects,
    bytes,
    applied,
    rejected,
    decoded,
    losses: ledger.losses.entries(),
    faults: ledger.faults.entries(),
    versions: ledger.takeVersions(),
  };
}
