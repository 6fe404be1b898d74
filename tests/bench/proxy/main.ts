/**
 * `deno task bench:proxy`: our router beside the proxies people use, in front of one endpoint, under one
 * load. `--help` tells the options.
 */
import { BenchmarkError, runProgram } from "../program.ts";
import { commandOutput } from "../command_output.ts";
import { machine } from "../machine.ts";
import { commandLine, routerEnv } from "../router_env.ts";
import { manyCustomers } from "./customers.ts";
import { measureCase } from "./measurement.ts";
import { type Options, parseOptions, USAGE } from "./options.ts";
import { NotInstalled, type Peer, type Scene } from "./peers/peer.ts";
import { caseReport, LEGEND, noteLine } from "./report.ts";
import { startEndpoint } from "./start_endpoint.ts";

/** Starts the endpoint and writes down the customers. */
async function prepare(
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Scene> {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "bench-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  // nginx, started by root, works as another user.
  await Deno.chmod(folder, 0o755);
  const { cells, pid: endpointPid } = stack.use(await startEndpoint());
  const config = manyCustomers(cells);
  const configFile = `${folder}/config.json`;
  await Deno.writeTextFile(configFile, JSON.stringify(config));
  return {
    config,
    configFile,
    cells,
    endpointPid,
    folder,
    routerEnv: routerEnv(),
    signal,
  };
}

/** The versions of those that are installed; says who is not. */
async function versionsOf(
  peers: readonly Peer[],
  scene: Scene,
): Promise<{ versions: Map<string, string>; skipped: string[] }> {
  const versions = new Map<string, string>();
  const skipped: string[] = [];
  for (const peer of peers) {
    try {
      versions.set(peer.id, await peer.version(scene));
    } catch (error) {
      if (!(error instanceof NotInstalled)) throw error;
      skipped.push(`${peer.name} is skipped: ${error.message}`);
    }
  }
  return { versions, skipped };
}

async function run(options: Options, signal: AbortSignal): Promise<void> {
  const wrk = await commandOutput("wrk", ["-v"]);
  if (wrk === undefined) {
    throw new BenchmarkError("This needs wrk: apt install wrk");
  }
  const tell = (text: string) => console.error(text);
  await using stack = new AsyncDisposableStack();
  const scene = await prepare(stack, signal);
  const { versions, skipped } = await versionsOf(options.peers, scene);
  skipped.forEach(tell);
  const peers = options.peers.filter(({ id }) => versions.has(id));
  const customersFile = `${scene.folder}/customers.txt`;
  await Deno.writeTextFile(
    customersFile,
    Object.keys(scene.config.customer_to_placement).join("\n") + "\n",
  );
  const samples = options.cases.length * peers.length * options.rounds;
  tell(
    `${samples} samples of ${options.seconds} s, about ${
      Math.ceil(samples * (options.seconds + 1.5) / 60)
    } minutes`,
  );
  for (const item of options.cases) {
    const outcomes = await measureCase(item, {
      ...options,
      peers,
      scene,
      customersFile,
      tell,
    });
    console.log(
      caseReport(item, outcomes, { versions, form: options.form }) + "\n",
    );
  }
  const notes = [
    ...skipped,
    `Machine: ${await machine()}`,
    `Load: wrk ${
      /[0-9]+\.[0-9]+\.[0-9]+/.exec(wrk)?.[0]
    }, 1 thread, a random one of ${
      Object.keys(scene.config.customer_to_placement).length
    } customers in each request; ${options.rounds} samples of ${options.seconds} s of each proxy; the endpoint and the load share the machine with it`,
    `Command: ${commandLine("bench:proxy", scene.routerEnv)}`,
  ];
  console.log(
    [LEGEND, "", ...notes.map((note) => noteLine(note, options.form))]
      .join("\n"),
  );
}

await runProgram({ usage: USAGE, parse: parseOptions, run });
