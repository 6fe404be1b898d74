import { Child } from "../child.ts";
import type { Options } from "./options.ts";
import type { Port } from "./ports.ts";
import { type Residence, residenceOf } from "../residence.ts";

/** Stretches between two samples while the links try. */
export const STRETCHES = 40;

/** What an outage cost the process that lived through it. */
export interface Outcome {
  readonly port: string;
  /** Before the first link was started. */
  readonly before: Residence;
  /** From the end of the warm-up to the last attempt, at equal distances. */
  readonly during: readonly Residence[];
  /** All links are stopped. */
  readonly after: Residence;
  readonly seconds: number;
}

/** Lets the links of a process of their own try one port. */
export async function measure(
  { name, port }: Port,
  options: Options & {
    readonly tell: (text: string) => void;
    readonly signal: AbortSignal;
  },
): Promise<Outcome> {
  const every = Math.max(1, Math.floor(options.attempts / STRETCHES));
  const attempts = every * STRETCHES;
  await using child = new Child(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--allow-net=127.0.0.1",
      new URL("links.ts", import.meta.url).pathname,
      `ws://127.0.0.1:${port}/v1/connect`,
      ...[options.warmup, attempts, every, options.links, options.speed].map(
        String,
      ),
    ],
    signal: options.signal,
  });
  await child.line(/^ready$/);
  const before = await residenceOf(child.pid, 0);
  options.tell(`${name}: ${options.warmup} attempts to warm up`);
  const started = performance.now();
  Deno.kill(child.pid, "SIGUSR2");
  const during: Residence[] = [];
  for (let at = 0; at <= attempts; at += every) {
    await child.line(new RegExp(`^at ${at}$`));
    during.push(await residenceOf(child.pid, at));
    if (at * 4 % attempts === 0) {
      options.tell(`${name}: ${at} of ${attempts} attempts`);
    }
  }
  const seconds = (performance.now() - started) / 1000;
  Deno.kill(child.pid, "SIGUSR2");
  await child.line(/^stopped$/);
  const after = await settled(child.pid, { attempts, before });
  return { port: name, before, during, after, seconds };
}

/** What is held once the last closes have been carried out, which takes a few turns; at most 2 s later. */
async function settled(
  pid: number,
  { attempts, before }: { attempts: number; before: Residence },
): Promise<Residence> {
  for (let looks = 1;; looks++) {
    const now = await residenceOf(pid, attempts);
    if (now.descriptors <= before.descriptors || looks === 20) return now;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
