/** Starts a router: its settings, its parts, and its end. */
import { errorLine } from "../shared/errors.ts";
import { logger, openLog } from "../shared/log.ts";
import { authority, type ListenAddress } from "../shared/settings.ts";
import { activeConfig } from "./active.ts";
import { createAdminApp } from "./admin.ts";
import { serveAdmin } from "./admin_server.ts";
import { systemClock } from "../shared/clock.ts";
import { readTlsFiles, type TlsFiles } from "./listen/tls_identity.ts";
import { TlsRenewal } from "./listen/tls_renewal.ts";
import { createMetrics } from "./metrics.ts";
import {
  defaultRouterId,
  readRouterSettings,
  type RouterSettings,
  settingsWarnings,
} from "./settings.ts";
import { statusDocument } from "./status.ts";
import { DataPlane, type DataPlaneOptions } from "./threads/data_plane.ts";
import { LinkThread } from "./threads/link_thread.ts";
import { surviveErrors } from "./uncaught.ts";

const log = logger("main");

/** How often the link is told what was counted, in milliseconds. */
const COUNTED_INTERVAL = 1000;

/** What else is read at the start. */
type FromEnvironment = Pick<DataPlaneOptions, "env" | "tls">;

/** Ends the log; lines still pending are written first. */
let endLog = () => Promise.resolve();

if (import.meta.main) await main();

async function main(): Promise<void> {
  const { settings, ...rest } = await readEnvironment();
  surviveErrors();
  try {
    await run(settings, rest);
  } catch (error) {
    await fail(errorLine(error));
  }
}

/**
 * The settings, and the certificates and keys they name. With a mistake in them all mistakes are told,
 * and the process ends.
 */
async function readEnvironment(): Promise<
  { settings: RouterSettings } & FromEnvironment
> {
  const env = Deno.env.toObject();
  const result = readRouterSettings(env);
  const { problems, ...tls } = await readTlsFiles({
    cert: env.ROUTER_TLS_CERT,
    key: env.ROUTER_TLS_KEY,
    ca: env.ROUTER_CA,
  });
  // Whom to trust is the system's to say, not the runtime's, which has roots of its own. It reads this
  // when it needs them first.
  if (!env.DENO_TLS_CA_STORE) Deno.env.set("DENO_TLS_CA_STORE", "system");
  const given = result.ok ? result.settings : null;
  const format = given?.LOG_FORMAT ??
    (Deno.stdout.isTerminal() ? "pretty" : "json");
  endLog = await openLog({ level: given?.LOG_LEVEL ?? "info", format });
  // Nothing that runs later has any business with the environment.
  await Deno.permissions.revoke({ name: "env" });
  if (!result.ok || problems.length > 0) {
    const wrong = result.ok ? problems : [...result.problems, ...problems];
    for (const { name, detail } of wrong) {
      log.error("a setting is wrong", { setting: name, problem: detail });
    }
    return await fail("the settings are wrong");
  }
  for (const { name, nearest } of result.unknown) {
    log.warn("unknown setting, ignored", { setting: name, nearest });
  }
  for (const risk of settingsWarnings(result.settings)) {
    log.warn("a setting is risky", { risk });
  }
  const own = Object.entries(env).filter(([name]) =>
    /^ROUTER_|^LOG_/.test(name)
  );
  return {
    settings: result.settings,
    env: { ...Object.fromEntries(own), LOG_FORMAT: format },
    tls,
  };
}

async function run(
  settings: RouterSettings,
  { env, tls }: FromEnvironment,
): Promise<void> {
  const data = new DataPlane(settings, {
    env,
    tls,
    fence: (report) => link.fence(report),
    holding: (report) => link.holding(report),
  });
  const link: LinkThread = new LinkThread({
    env,
    serve: (config) => data.serve(config),
    active: activeConfig,
    counted: () => data.counted(),
    order: (order) => data.order(order),
  });
  await serveFirst(link, data);

  const dataAddress = await listening(
    "data",
    settings.ROUTER_LISTEN,
    (address) => data.listen(address, "http/1.1"),
  );
  const h2Address = settings.ROUTER_H2_LISTEN === undefined
    ? null
    : await listening(
      "h2",
      settings.ROUTER_H2_LISTEN,
      (address) => data.listen(address, "h2"),
    );
  await data.startThreads();

  const id = settings.ROUTER_ID ??
    defaultRouterId(Deno.hostname(), dataAddress.port);
  const clock = systemClock;
  let stopping = false;
  let [totals, report] = await Promise.all([data.totals(), link.report()]);
  const metrics = createMetrics({
    traffic: () => totals.traffic,
    link: () => report,
    clock,
    uncaught: () => totals.uncaught + report.uncaught,
    threads: () => data.serving,
    fence: () => data.fence,
  });
  const admin = createAdminApp({
    metrics: async () => {
      [totals, report] = await Promise.all([data.totals(), link.report()]);
      return await metrics.text();
    },
    status: async () => {
      const { status, saved } = await link.report();
      return statusDocument({
        id,
        active: activeConfig(),
        link: status,
        saved,
        fence: data.fence,
        now: clock.now(),
      });
    },
    stopping: () => stopping,
    allowedHosts: allowedHosts(settings),
  });
  const adminAddress = await listening(
    "admin",
    settings.ROUTER_ADMIN_LISTEN,
    (address) => serveAdmin(address, (request) => admin.fetch(request)),
  );
  log.info("listening", {
    listener: "data",
    address: authority(dataAddress),
    id,
  });
  if (h2Address !== null) {
    log.info("listening", {
      listener: "h2",
      address: authority(h2Address),
      id,
    });
  }
  log.info("listening", {
    listener: "admin",
    address: authority(adminAddress),
    id,
  });
  link.connect({ id, instance: crypto.randomUUID() });
  const counting = setInterval(
    () => link.counted(data.counted()),
    COUNTED_INTERVAL,
  );
  const renewal = renewing(settings, tls, data);

  await stopSignal();
  stopping = true;
  log.info("stopping", { drain_ms: settings.ROUTER_DRAIN_TIMEOUT });
  clearInterval(counting);
  await renewal?.stop();
  await data.stop(settings.ROUTER_DRAIN_TIMEOUT);
  await link.stop();
  log.info("stopped");
  await endLog();
  Deno.exit(0);
}

/** Follows the files of the certificate and its key; null where there are none. */
function renewing(
  settings: RouterSettings,
  { identity }: TlsFiles,
  data: DataPlane,
): TlsRenewal | null {
  const { ROUTER_TLS_CERT: cert, ROUTER_TLS_KEY: key } = settings;
  if (identity === null || cert === undefined || key === undefined) return null;
  return new TlsRenewal({
    cert,
    key,
    identity,
    renew: (renewed) => data.renew(renewed),
  });
}

/** Serves what there is before a control plane has been heard. */
async function serveFirst(link: LinkThread, data: DataPlane): Promise<void> {
  const started = performance.now();
  const { config, bootstrapProblem } = await link.start();
  if (bootstrapProblem !== null) {
    // It was asked for and cannot be used: starting empty would hide that.
    if (config === null) await fail(bootstrapProblem);
    log.error(
      "the bootstrap config is wrong; the last known good one is served",
      { problem: bootstrapProblem },
    );
  }
  if (config === null) {
    log.warn(
      "no config yet: every request is answered 503 until one is pushed",
    );
    return;
  }
  await data.serve(config);
  link.settled();
  const { version, epoch, source, packed } = config;
  log.info("config applied", {
    version,
    epoch,
    digest: packed.digest,
    source,
    ms: Math.round(performance.now() - started),
  });
}

/** Opens a listener; where it cannot be opened, that is said and the process ends. */
async function listening<T>(
  name: string,
  address: ListenAddress,
  open: (address: ListenAddress) => T | Promise<T>,
): Promise<T> {
  try {
    return await open(address);
  } catch (error) {
    return await fail(
      `cannot open the ${name} listener on ${authority(address)}: ${
        error instanceof Deno.errors.AddrInUse
          ? "the address is in use by another process"
          : errorLine(error)
      }`,
    );
  }
}

/** The names under which the admin listener may be asked, besides loopback ones. */
function allowedHosts(settings: RouterSettings): ReadonlySet<string> {
  const { hostname } = settings.ROUTER_ADMIN_LISTEN;
  const hosts = settings.ROUTER_ALLOWED_HOSTS.map((host) => host.toLowerCase());
  hosts.push(hostname.includes(":") ? `[${hostname}]` : hostname);
  return new Set(hosts);
}

/** Waits to be told to stop. Who tells it twice does not want to wait. */
function stopSignal(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let asked = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(signal, () => {
      if (asked) Deno.exit(1);
      asked = true;
      resolve();
    });
  }
  return promise;
}

/** Ends the process because it cannot do its work. */
async function fail(problem: string): Promise<never> {
  // As a property: a message is a template, in which braces mean something.
  log.error("cannot start", { problem });
  await endLog();
  Deno.exit(1);
}
