/** A serving thread besides the main one: a worker that does what {@linkcode ToThread} says. */
import { errorLine } from "../../shared/errors.ts";
import { logger, openLog } from "../../shared/log.ts";
import { systemClock } from "../../shared/clock.ts";
import { activate } from "../active.ts";
import { type ReadyConfig, readyConfig } from "../applier.ts";
import { DataPath } from "../data_path.ts";
import type { TlsIdentity } from "../listen/tls_identity.ts";
import { readRouterSettings } from "../settings.ts";
import { surviveErrors, uncaughtErrors } from "../uncaught.ts";
import { countsOf } from "./counts.ts";
import type { FromThread, SentConfig, ToThread } from "./messages.ts";

/** The worker's side of its messages, which the types of a page do not have. */
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<ToThread>) => void;
  postMessage(message: FromThread): void;
  close(): void;
};

const log = logger("threads");

let data: DataPath | null = null;
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
        carryOut("prepared", () => prepare(message.config))
      );
      return;
    case "swap":
      working = working.then(() => carryOut("serving", swap));
      return;
    case "count":
      if (data !== null) {
        scope.postMessage({
          type: "counts",
          counts: countsOf({
            traffic: data.traffic,
            uncaught: uncaughtErrors(),
          }),
        });
      }
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
  { env, tls, listeners, config, threads }: ToThread & { type: "start" },
): Promise<void> {
  try {
    const result = readRouterSettings(env);
    if (!result.ok) throw new Error("Cannot read the settings");
    const { settings } = result;
    endLog = await openLog({
      level: settings.LOG_LEVEL ?? "info",
      format: settings.LOG_FORMAT ?? "json",
      write: (lines) => {
        const text = new TextDecoder().decode(lines);
        scope.postMessage({ type: "log", lines: text });
        return Promise.resolve();
      },
    });
    data = new DataPath(settings, { ca: tls.ca, threads });
    if (config !== null) {
      const { packed, ...head } = config;
      serve(readyConfig(head, packed));
    }
    for (const { address, protocol } of listeners) {
      await data.listen(address, { protocol, tls: tls.identity });
    }
    scope.postMessage({ type: "listening" });
  } catch (error) {
    scope.postMessage({ type: "failed", problem: errorLine(error) });
  }
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

function prepare({ packed, ...head }: SentConfig): void {
  prepared = null;
  prepared = readyConfig(head, packed);
}

function swap(): void {
  if (prepared === null) throw new Error("No config is held ready");
  serve(prepared);
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
  activate({
    ...config,
    appliedAt: systemClock.wall(),
    appliedAtMonotonic: systemClock.now(),
  });
  data?.retain(config.routes.placements);
}

async function stop(graceMs: number): Promise<void> {
  await data?.stop(graceMs);
  await endLog();
  scope.postMessage({ type: "stopped" });
  scope.close();
}
