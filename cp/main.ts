import { atMost } from "../shared/clock.ts";
import { errorLine } from "../shared/errors.ts";
import { logger, openLog } from "../shared/log.ts";
import { Metrics } from "../shared/metrics.ts";
import { authority, isLoopback } from "../shared/settings.ts";
import type { AdminToken } from "./api/access.ts";
import { LargeBodies } from "./api/bodies/large_bodies.ts";
import { EventFeed } from "./api/event_feed.ts";
import { createApp } from "./app.ts";
import { Hub } from "./hub/hub.ts";
import { connectRouter } from "./hub/socket.ts";
import {
  type ControlPlaneSettings,
  readControlPlaneSettings,
  type Settings,
} from "./settings.ts";
import { type FileResult, readSeed, readTokens } from "./start_files.ts";
import { type KvStore, openKvStore } from "./store/kv_store.ts";
import type { VersionStore } from "./store/store.ts";
import { readPage } from "./ui/page_files.ts";

/** How long calls that are running get to end once the control plane stops, in milliseconds. */
const SHUTDOWN_MS = 5000;

/** How long the listener waits for the store to be read, in milliseconds: health checks and metrics do not need it. */
const FIRST_READ_MS = 2000;

/** What stands for all addresses, and for one of them that this machine always has. */
const LOOPBACK = new Map([["0.0.0.0", "127.0.0.1"], ["::", "::1"]]);

const log = logger("main");

type Address = Pick<Deno.NetAddr, "hostname" | "port">;

/** What keeps the control plane from starting, as a list of sentences. */
class StartError extends Error {
  override name = "StartError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join(" "), options);
    this.problems = problems;
  }
}

await main();

async function main(): Promise<void> {
  const env = Deno.env.toObject();
  const result = readControlPlaneSettings(env);
  const pretty = Deno.stdout.isTerminal() ? "pretty" : "json";
  const closeLog = await openLog({
    level: result.ok ? result.settings.logLevel : "info",
    format: (result.ok ? result.settings.logFormat : undefined) ?? pretty,
  });
  async function exit(code: number): Promise<never> {
    await closeLog();
    Deno.exit(code);
  }
  function fail(error: unknown): void {
    log.error("the control plane failed", { error: errorLine(error) });
    exit(1);
  }
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    fail(event.reason);
  });
  addEventListener("error", (event) => {
    event.preventDefault();
    fail(event.error);
  });
  try {
    const tokens = await readTokens(result.ok ? result.settings : result.files);
    if (!result.ok || !tokens.ok) {
      throw new StartError(await allProblems(result, tokens));
    }
    for (const { name, nearest } of result.unknown) {
      log.warn("a setting is not known", { name, nearest });
    }
    await serve(result.settings, tokens.value);
    log.info("stopped");
  } catch (error) {
    const problems = error instanceof StartError
      ? error.problems
      : [errorLine(error)];
    for (const problem of problems) log.error("cannot start", { problem });
    await exit(1);
  }
  await exit(0);
}

/** All that is wrong where something is: the seed is looked at as well, though it may not be needed. */
async function allProblems(
  settings: ControlPlaneSettings,
  tokens: FileResult<unknown>,
): Promise<string[]> {
  const seed = await readSeed(settings.ok ? settings.settings : settings.files);
  return [
    ...(settings.ok ? [] : settings.problems.map(({ detail }) => detail)),
    ...(tokens.ok ? [] : tokens.problems),
    ...(seed.ok ? [] : seed.problems),
  ];
}

/** Serves until a signal says to stop, then ends in order. */
async function serve(
  settings: Settings,
  tokens: readonly AdminToken[],
): Promise<void> {
  if (tokens.length === 0 && !isLoopback(settings.listen.hostname)) {
    log.warn("everyone who reaches the listener may edit", {
      address: authority(settings.listen),
    });
  }
  const store = await openKvStore({
    path: settings.kv,
    keepVersions: settings.keepVersions,
    log: logger("store"),
  });
  // What is not needed any more cannot be taken. Not before: the runtime itself reads the token of a
  // KV Connect store from the environment, as it opens one.
  await Deno.permissions.revoke({ name: "env" });
  try {
    if (settings.seed !== undefined) await seed(store, settings);
    await listen(store, { settings, tokens });
  } finally {
    await store.close();
  }
}

async function listen(
  store: KvStore,
  { settings, tokens }: {
    settings: Settings;
    tokens: readonly AdminToken[];
  },
): Promise<void> {
  const stopping = new AbortController();
  const metrics = new Metrics();
  let address: Address = settings.listen;
  const hub = new Hub({
    store,
    log: logger("hub"),
    exclusive: settings.exclusive,
    pingIntervalMs: settings.pingIntervalMs,
    routerTimeoutMs: settings.routerTimeoutMs,
    // Only a server that listens knows its port.
    url: () => `http://${reachable(address)}`,
  });
  hub.register(metrics);
  metrics.counter({
    name: "signalbox_cp_store_written_bytes_total",
    help: "Bytes of the versions that this process has written to the store.",
  }, () => store.stats.bytesWritten);
  const feed = new EventFeed(store, hub);
  const bodies = new LargeBodies({ store });
  const app = createApp({
    store,
    fleet: hub,
    feed,
    bodies,
    metrics,
    access: {
      tokens,
      listenHostname: settings.listen.hostname,
      allowedHosts: settings.allowedHosts,
    },
    maxConfigBytes: settings.maxConfigBytes,
    guard: settings.guard,
    page: await readPage(),
    connect: (request, { remoteAddr }) =>
      connectRouter(request, {
        hub,
        address: "hostname" in remoteAddr ? remoteAddr.hostname : "",
        token: settings.routerToken ?? null,
      }),
    stopping: stopping.signal,
  });
  try {
    // Before anybody is served, because it stalls for a moment.
    bodies.start();
    // The first read of the store would wait behind the handshakes of a fleet that comes back all at once.
    await atMost(FIRST_READ_MS, hub.start());
    const server = openServer(
      settings,
      (request, info) => app.fetch(request, info),
    );
    address = server.addr;
    const signal = await nextSignal();
    log.info("stopping", { signal });
    stopping.abort();
    // Routers first: a server's own end would close their connections with another code.
    await hub.stop();
    await feed.close();
    await atMost(SHUTDOWN_MS, server.shutdown());
  } finally {
    bodies.end();
    await hub.stop();
  }
}

/** Where this machine reaches a listener: that of all addresses has none to connect to. */
function reachable({ hostname, port }: Address): string {
  const loopback = LOOPBACK.get(hostname);
  return authority({ hostname: loopback ?? hostname, port });
}

function openServer(
  settings: Settings,
  handler: (
    request: Request,
    info: Deno.ServeHandlerInfo<Deno.NetAddr>,
  ) => Response | Promise<Response>,
): Deno.HttpServer<Deno.NetAddr> {
  try {
    return Deno.serve({
      hostname: settings.listen.hostname,
      port: settings.listen.port,
      onListen: ({ hostname, port }) =>
        log.info("listening", { address: authority({ hostname, port }), port }),
    }, handler);
  } catch (cause) {
    const address = authority(settings.listen);
    throw new StartError([
      cause instanceof Deno.errors.AddrInUse
        ? `Cannot listen on CP_LISTEN ${address}: another program listens there.`
        : `Cannot listen on CP_LISTEN ${address}: ${errorLine(cause)}.`,
    ], { cause });
  }
}

/** Commits the seed as version 1 if nothing has been committed. */
async function seed(store: VersionStore, settings: Settings): Promise<void> {
  const { version } = await store.head();
  if (version > 0) {
    log.info("the seed is not needed: the store has versions", { version });
    return;
  }
  const result = await readSeed(settings);
  if (!result.ok) throw new StartError(result.problems);
  const config = result.value;
  if (config === null) return;
  const started = performance.now();
  const committed = await store.commit(
    // Another control plane on this store may have been first.
    (current) => current?.config ?? config,
    { author: null, message: "Seeded from a file" },
  );
  log.info("config committed", {
    version: committed.version.version,
    digest: committed.version.digest,
    source: "seed",
    ms: Math.round(performance.now() - started),
  });
}

function nextSignal(): Promise<Deno.Signal> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      Deno.addSignalListener(signal, () => resolve(signal));
    }
  });
}
