/** Why a benchmark cannot be run, to be told as it is. */
export class BenchmarkError extends Error {}

/**
 * Runs a benchmark as a program, and ends it: `--help`, a command line that cannot be read, Ctrl-C.
 *
 * @param benchmark.parse throws a TypeError naming the argument that is wrong.
 * @param benchmark.run a TypeError of it is told without where it came from as well.
 */
export async function runProgram<Options>(benchmark: {
  readonly usage: string;
  readonly parse: (args: readonly string[]) => Options;
  readonly run: (options: Options, signal: AbortSignal) => Promise<void>;
}): Promise<never> {
  const { usage, parse, run } = benchmark;
  if (Deno.args.includes("--help")) {
    console.log(usage);
    Deno.exit(0);
  }
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(name, () => stop.abort());
  }
  try {
    await run(parse(Deno.args), stop.signal);
    Deno.exit(0);
  } catch (error) {
    if (stop.signal.aborted) console.error("Stopped.");
    else if (error instanceof BenchmarkError || error instanceof TypeError) {
      console.error(error.message);
    } else console.error(error);
    Deno.exit(1);
  }
}
