/**
 * The load as a process of its own, so that what else the benchmark does is not in its latencies. Its arguments are the
 * router's URL and the customers to name; each second it prints what it has seen in it, a {@linkcode Second} as JSON. It
 * ends when its standard input does.
 */
import { Load } from "../../harness/load.ts";
import { percentile } from "../statistics.ts";

/** What the load has seen in a second. Latencies in milliseconds; null where nothing was answered. */
export interface Second {
  readonly answered: number;
  readonly failures: readonly string[];
  readonly p50: number | null;
  readonly p99: number | null;
  readonly longest: number | null;
}

const CONNECTIONS = 8;
const PAUSE_MS = 10;

if (import.meta.main) {
  const [url = "", ...customers] = Deno.args;
  let latencies: number[] = [];
  const load = Load.start([url], {
    connections: CONNECTIONS,
    pauseMs: PAUSE_MS,
    customers,
    onAnswer: (ms) => latencies.push(ms),
  });
  const print = () => {
    const figure = (share: number) =>
      latencies.length === 0 ? null : percentile(latencies, share);
    const second: Second = {
      answered: latencies.length,
      failures: load.failures.splice(0),
      p50: figure(0.5),
      p99: figure(0.99),
      longest: figure(1),
    };
    latencies = [];
    console.log(JSON.stringify(second));
  };
  const printing = setInterval(print, 1000);
  for await (const _ of Deno.stdin.readable);
  clearInterval(printing);
  await load.stop();
  print();
}
