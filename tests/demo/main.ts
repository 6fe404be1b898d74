/**
 * The demo: a control plane, two routers and four cells on this machine, a seeded config, and one
 * line for each version that a router applies or rejects. Ctrl-C ends it all.
 */
import { type Cell, startCell } from "../harness/cell.ts";
import { type LogLine, Program, type ProgramName } from "../harness/program.ts";

const CONTROL_PLANE = 8081;
const ROUTERS = [{ id: "router-1", port: 8080, admin: 9080 }, {
  id: "router-2",
  port: 8090,
  admin: 9090,
}];
const CELLS = [["tier1", 9001], ["tier2", 9002], ["tier3", 9003], [
  "visa",
  9004,
]] as const;
const FOLDER = "data/demo";
/** How long a program that was killed stays away, in milliseconds. */
const AWAY_MS = 10_000;

/** Something the demo cannot go on without; its message is for the person at the terminal. */
class DemoError extends Error {}

function freePorts(): void {
  const ports = [
    CONTROL_PLANE,
    ...ROUTERS.flatMap(({ port, admin }) => [port, admin]),
  ];
  const taken = [...ports, ...CELLS.map(([, port]) => port)].filter((port) => {
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return false;
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) return true;
      throw error;
    }
  });
  if (taken.length > 0) {
    throw new DemoError(
      `The demo needs port${taken.length > 1 ? "s" : ""} ${
        taken.join(", ")
      } of 127.0.0.1, which ` +
        `${
          taken.length > 1 ? "are" : "is"
        } taken. End what listens there and start again.`,
    );
  }
}

async function seed(): Promise<string> {
  await Deno.remove(FOLDER, { recursive: true }).catch(() => {});
  await Deno.mkdir(FOLDER, { recursive: true });
  const path = `${FOLDER}/seed.json`;
  const config = {
    default_placement: "tier3",
    customer_to_placement: {
      acme: "tier1",
      globex: "tier2",
      initech: "tier2",
      visa: "visa",
    },
    placement_to_endpoint: Object.fromEntries(
      CELLS.map(([name, port]) => [name, `http://127.0.0.1:${port}`]),
    ),
  };
  await Deno.writeTextFile(path, JSON.stringify(config, null, 2));
  return path;
}

async function run(stopped: AbortSignal): Promise<void> {
  freePorts();
  await using stack = new AsyncDisposableStack();
  for (const [name, port] of CELLS) stack.use<Cell>(startCell(name, port));

  const programs = new Map<string, Program>();
  stack.defer(async () => {
    await Promise.all([...programs.values()].map((program) => program.stop()));
  });
  const controlPlane = {
    name: "the control plane",
    program: "cp",
    env: {
      CP_LISTEN: `127.0.0.1:${CONTROL_PLANE}`,
      CP_KV: `${FOLDER}/cp.kv`,
      CP_SEED: await seed(),
    },
    ready: "listening",
  } as const;
  const routers = ROUTERS.map(({ id, port, admin }) => ({
    name: id,
    program: "router",
    env: {
      ROUTER_ID: id,
      ROUTER_LISTEN: `127.0.0.1:${port}`,
      ROUTER_ADMIN_LISTEN: `127.0.0.1:${admin}`,
      ROUTER_CP_URL: `ws://127.0.0.1:${CONTROL_PLANE}/v1/connect`,
      ROUTER_STATE_DIR: `${FOLDER}/${id}`,
    },
    ready: "config applied",
  } as const));
  const parts: Part[] = [controlPlane, ...routers];
  for (const part of parts) {
    const program = await start(part, programs);
    if (part.program === "router") {
      program.onLine((line) => tell(part.name, line));
    }
  }
  introduce(programs.get(controlPlane.name)!.pid);
  await Promise.race([
    new Promise<void>((resolve) =>
      stopped.addEventListener("abort", () => resolve())
    ),
    ...parts.map((part) => keep(part, programs, stopped)),
  ]);
  console.log("\nStopping …");
}

/** One of the programs of the demo. */
interface Part {
  readonly name: string;
  readonly program: ProgramName;
  readonly env: Record<string, string>;
  /** The line of its log that tells that it runs. */
  readonly ready: string;
}

async function start(
  part: Part,
  programs: Map<string, Program>,
): Promise<Program> {
  const program = Program.start(part.program, part.env);
  programs.set(part.name, program);
  await program.line(part.ready);
  return program;
}

/** Starts a program again that somebody killed, after a while in which one can see how it is missed. */
async function keep(
  part: Part,
  programs: Map<string, Program>,
  stopped: AbortSignal,
): Promise<void> {
  for (;;) {
    const program = programs.get(part.name)!;
    const { code, signal } = await program.ended;
    if (stopped.aborted) return;
    if (signal === null) {
      throw new DemoError(
        `The ${program.name} ended with code ${code}:\n${program.logText()}`,
      );
    }
    console.log(
      `${part.name} was ended by ${signal}; it is started again in ${
        AWAY_MS / 1000
      } s${part.program === "cp" ? ", and routers serve on" : ""}`,
    );
    await new Promise((resolve) => setTimeout(resolve, AWAY_MS));
    if (stopped.aborted) return;
    const again = await start({ ...part, ready: "listening" }, programs);
    console.log(`${part.name} runs again (pid ${again.pid})`);
    if (part.program === "router") {
      again.onLine((line) => tell(part.name, line));
    }
  }
}

function tell(id: string, line: LogLine): void {
  if (line.message === "config applied") {
    console.log(`${id} applied version ${line.version} in ${line.ms} ms`);
  } else if (line.message.startsWith("config rejected")) {
    console.log(`${id} rejected version ${line.version}: ${line.error}`);
  }
}

function introduce(controlPlanePid: number): void {
  console.log(`Signalbox is running:

  control plane   http://127.0.0.1:${CONTROL_PLANE}/
${
    ROUTERS.map(({ id, port, admin }) =>
      `  ${id}        http://127.0.0.1:${port}/   (status: http://127.0.0.1:${admin}/status)`
    ).join("\n")
  }
  cells           ${
    CELLS.map(([name, port]) => `${name} on ${port}`).join(", ")
  }

Ask as the customer acme, move acme to another cell, and ask again:

  curl -s -H 'X-Routing-Key: acme' http://127.0.0.1:8080/hello
  curl -s -X PATCH -H 'Content-Type: application/json' -d '{"placement":"tier2"}' 'http://127.0.0.1:8081/v1/customers/acme?wait=applied'
  curl -s -H 'X-Routing-Key: acme' http://127.0.0.1:8080/hello

See how it goes on without its control plane (which is started again after ${
    AWAY_MS / 1000
  } s):

  kill -9 ${controlPlanePid}

Ctrl-C ends everything. Each version that a router applies or rejects:
`);
}

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => stop.abort());
}
try {
  await run(stop.signal);
  Deno.exit(0);
} catch (error) {
  if (!(error instanceof DemoError)) throw error;
  console.error(error.message);
  Deno.exit(1);
}
