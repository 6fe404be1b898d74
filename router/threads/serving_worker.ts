/** A serving thread besides the main one: a worker that does what {@linkcode ToServing} says. */
import { errorLine } from "../../shared/errors.ts";
import { logger } from "../../shared/log.ts";
import { systemClock } from "../../shared/clock.ts";
import type { Order } from "../../shared/protocol.ts";
import { activate, type ReadyConfig, readyConfig } from "../active.ts";
import { DataPath } from "../data_path.ts";
import type { TlsIdentity } from "../listen/tls_identity.ts";
import { Traffic } from "../traffic.ts";
import { surviveErrors, uncaughtErrors } from "../uncaught.ts";
import { countsOf } from "./counts.ts";
import { openInside, workerScope } from "./inside.ts";
import type { FromServing, ToServing } from "./serving_messages.ts";

const scope = workerScope<ToServing, FromServing>();
const log = logger("threads");

/** How often it tells what it has counted, in milliseconds. */
const COUNTED_INTERVAL = 1000;

let data: DataPath | null = null;
/** What it was told to do beside before it could. */
let early: Order[] = [];
/** The requests that it has told of. */
let told = 0;
let endLog = () => Promise.resolve();
/** The config that was prepared last. */
let prepared: ReadyConfig | null = null;
/** What takes its time is done in the order it was told. */
let working: Promise<void> = Promise.resolve();

surviveErrors();
scope.onmessage = ({ data: message }) => {
  switch (message.type) {
    case "start":
      working = working.then(() => start(message));
      return;
    case "prepare":
      working = working.then(() =>
        carryOut("prepared", () => {
          prepared = null;
          prepared = readyConfig(message.config);
        })
      );
      return;
    case "swap":
      working = working.then(() => carryOut("serving", swap));
      return;
    case "order":
      if (data === null) early.push(message.order);
      else data.order(message.order);
      return;
    case "count":
      scope.postMessage({
        type: "counts",
        counts: countsOf({
          traffic: data?.traffic ?? new Traffic(),
          uncaught: uncaughtErrors(),
        }),
      });
      return;
    case "renew":
      working = working.then(() => renew(message.identity));
      return;
    case "stop":
      void stop(message.graceMs);
      return;
    default:
      message satisfies never;
  }
};

async function start(
  message: ToServing & { type: "start" },
): Promise<void> {
  const { env, tls, listeners, config, holds, threads, via } = message;
  try {
    const inside = await openInside(env);
    endLog = inside.endLog;
    data = new DataPath(inside.settings, {
      ca: tls.ca,
      threads,
      via,
      fence: (report) => scope.postMessage({ type: "fence", report }),
      holding: (report) => scope.postMessage({ type: "holding", report }),
    });
    if (config !== null) serve(readyConfig(config));
    for (const order of [...holds, ...early]) data.order(order);
    early = [];
    for (const { address, protocol } of listeners) {
      await data.listen(address, { protocol, tls: tls.identity });
    }
    scope.postMessage({ type: "listening" });
    setInterval(tellCounted, COUNTED_INTERVAL);
  } catch (error) {
    scope.postMessage({ type: "failed", problem: errorLine(error) });
  }
}

/** Tells what it has counted, where that has changed. */
function tellCounted(): void {
  if (data === null) return;
  const { answered, failed } = data.traffic;
  if (answered === told) return;
  told = answered;
  const counted = { requests: answered, errors: failed };
  scope.postMessage({ type: "counted", counted });
}

/** Does what was told, and says so, or what came of it. */
function carryOut(done: "prepared" | "serving", work: () => void): void {
  let problem: string | null = null;
  try {
    work();
  } catch (error) {
    problem = errorLine(error);
  }
  scope.postMessage({ type: done, error: problem });
}

function swap(): void {
  if (prepared === null) throw new Error("No config is held ready");
  serve(prepared);
  // Nothing of what was before counts for what is served from now on.
  tellCounted();
  prepared = null;
}

function renew(identity: TlsIdentity): void {
  try {
    data?.renew(identity);
  } catch (error) {
    log.error("a thread cannot show the renewed certificate", { error });
  }
}

function serve(config: ReadyConfig): void {
  const active = {
    ...config,
    appliedAt: systemClock.wall(),
    appliedAtMonotonic: systemClock.now(),
  };
  activate(active);
  data?.served(active);
}

async function stop(graceMs: number): Promise<void> {
  await data?.stop(graceMs);
  await endLog();
  scope.postMessage({ type: "stopped" });
  scope.close();
}
