/**
 * The thread of the link: a worker that does what {@linkcode ToLink} says. All that grows with the size of a config
 * is done here: it is received, unpacked, checked, packed and saved beside the threads that serve.
 */
import { atMost } from "../../shared/clock.ts";
import { errorLine } from "../../shared/errors.ts";
import type { NextConfig } from "../active.ts";
import { Applier } from "../applier.ts";
import { ConfigRooms } from "../config/config_rooms.ts";
import { copyPacked, packedBytes } from "../config/packed_config.ts";
import { firstConfig } from "../first_config.ts";
import { Link } from "../link/link.ts";
import { guardProblem } from "../push_guard.ts";
import { SavedConfigs } from "../saved_config.ts";
import type { SavedHead } from "../saved_file.ts";
import type { RouterSettings } from "../settings.ts";
import { surviveErrors, uncaughtErrors } from "../uncaught.ts";
import { collectGarbage } from "./collect_garbage.ts";
import { type Inside, openInside, workerScope } from "./inside.ts";
import type { FromLink, LinkReport, Resume, ToLink } from "./link_messages.ts";
import { tracedApply } from "./traced_apply.ts";

/** How long a stop waits for a config that is being applied, and so saved. */
const APPLY_MS = 2_000;

const scope = workerScope<ToLink, FromLink>();

/** All that this thread has once it has started. */
interface Parts extends Inside {
  readonly saved: SavedConfigs;
  readonly applier: Applier;
}

let parts: Parts | null = null;
let link: Link | null = null;
/** What is being brought into service, or was last. */
let applying: Promise<unknown> = Promise.resolve();
const rooms = new ConfigRooms();
/** What becomes of the config that was handed over last: whether nobody reads the one before it any more. */
let served = Promise.withResolvers<boolean>();
/** What is served, where all threads can read it; null for nothing, or a bootstrap config. */
let standing: NextConfig | null = null;

surviveErrors();
scope.onmessage = ({ data: message }) => {
  switch (message.type) {
    case "start":
      void start(message);
      return;
    case "settled":
      void settled(parts!.saved);
      return;
    case "connect":
      connect(message);
      return;
    case "served":
      served.resolve(message.free);
      return;
    case "refused":
      served.reject(new Error(message.error));
      return;
    case "fence":
      link?.fence(message.report);
      return;
    case "holding":
      link?.holding(message.report);
      return;
    case "counted":
      link?.counted(message.counted);
      return;
    case "report":
      report();
      return;
    case "stop":
      void stop();
      return;
    default:
      message satisfies never;
  }
};

async function start(
  { env, resume }: ToLink & { type: "start" },
): Promise<void> {
  try {
    const inside = await openInside(env);
    const { settings } = inside;
    const saved = new SavedConfigs(stateDirectory(settings), {
      savedLate: (head) => savedNow(head),
    });
    const applier = new Applier({
      saved,
      maxConfigBytes: settings.ROUTER_MAX_CONFIG_BYTES,
      serve,
      guard: (push, packed) =>
        guardProblem(push, packed, {
          served: standing,
          share: settings.ROUTER_GUARD_SHARE,
        }),
    });
    parts = { ...inside, saved, applier };
    if (resume === null) {
      const first = await firstConfig(saved, {
        bootstrap: settings.ROUTER_BOOTSTRAP ?? null,
        maxConfigBytes: settings.ROUTER_MAX_CONFIG_BYTES,
      });
      scope.postMessage({
        type: "started",
        ...first,
        config: first.config === null ? null : shared(first.config),
      });
    } else {
      await goOn(saved, resume);
      standing = resume.served;
      scope.postMessage({
        type: "started",
        config: null,
        bootstrapProblem: null,
      });
    }
    collectGarbage();
  } catch (error) {
    scope.postMessage({ type: "failed", problem: errorLine(error) });
  }
}

/** The config that there is at the start, which no other one was served before. */
function shared(first: NextConfig): NextConfig {
  const packed = rooms.put(first.packed);
  rooms.served(true);
  const config = { ...first, packed };
  standing = config.source === "bootstrap" ? null : config;
  return config;
}

/** Nobody died of the config that was read from the disk. */
async function settled({ newest, suspects }: SavedConfigs): Promise<void> {
  if (newest !== null) await suspects.end(newest);
}

function stateDirectory(settings: RouterSettings): string {
  return settings.ROUTER_STATE_DIR ??
    `./data/router-${settings.ROUTER_LISTEN.port}`;
}

/** Learns what is on the disk, and saves what the lost thread may not have. */
async function goOn(
  saved: SavedConfigs,
  { served, durable }: Resume,
): Promise<void> {
  await saved.read();
  await settled(saved);
  if (served === null || durable) return;
  const serving = headOf(served);
  if (saved.has(serving)) return;
  // The disk may be what takes its time; the control plane is not to wait for it.
  const { packed } = served;
  // A file cannot be written from shared memory.
  const own = copyPacked(packed, new ArrayBuffer(packedBytes(packed)));
  void saved.save(serving, own).then((durable) => {
    if (durable) savedNow(serving);
  });
}

function headOf({ version, epoch, packed }: NextConfig): SavedHead {
  return { version, epoch, digest: packed.digest };
}

function connect({ id, instance }: ToLink & { type: "connect" }): void {
  const { settings, saved, applier } = parts!;
  const serving = standing === null ? null : headOf(standing);
  link = new Link({
    urls: settings.ROUTER_CP_URL,
    id,
    instance,
    token: settings.ROUTER_CP_TOKEN ?? null,
    silenceMs: settings.ROUTER_CP_TIMEOUT,
    maxConfigBytes: settings.ROUTER_MAX_CONFIG_BYTES,
    serving: serving === null
      ? null
      : { ...serving, durable: saved.has(serving) },
    trials: saved.suspects,
    order: (order) => scope.postMessage({ type: "order", order }),
    apply: (push, contents, options) => {
      const outcome = tracedApply(
        push,
        () => applier.apply(push, contents, options),
      );
      applying = outcome;
      return outcome.finally(() =>
        // Behind what the link makes of the outcome.
        setTimeout(() => {
          report();
          collectGarbage();
        }, 0)
      );
    },
  });
  link.start();
}

/** Hands a config over to the threads that serve, and waits until all of them do. */
async function serve(config: NextConfig): Promise<void> {
  served = Promise.withResolvers();
  const next = { ...config, packed: rooms.put(config.packed) };
  scope.postMessage({ type: "serve", config: next });
  rooms.served(await served.promise);
  standing = next;
}

/** A config has reached the disk after its push was answered. */
function savedNow(head: SavedHead): void {
  link?.saved(head);
  report();
}

function report(): void {
  if (parts === null || link === null) return;
  scope.postMessage({ type: "report", report: reportOf(parts, link) });
}

function reportOf({ applier, saved }: Parts, link: Link): LinkReport {
  const { counts, sum } = applier.applySeconds;
  return {
    status: link.status(),
    counters: link.counters,
    applySeconds: { counts, sum },
    saved: saved.newest,
    saveFailures: saved.failures,
    uncaught: uncaughtErrors(),
  };
}

async function stop(): Promise<void> {
  await link?.stop();
  // Who serves a config already is to come back with it; a disk that does not answer keeps nobody.
  await atMost(APPLY_MS, applying);
  await parts?.saved.suspects.withdraw();
  await parts?.endLog();
  scope.postMessage({ type: "stopped" });
  scope.close();
}
