import { openLog } from "../../shared/log.ts";
import { readRouterSettings, type RouterSettings } from "../settings.ts";
import type { LogMessage } from "../../shared/child.ts";

/** A worker's side of its messages, which the types of a page do not have. */
export interface Scope<To, From> {
  onmessage: (event: MessageEvent<To>) => void;
  postMessage(message: From, transferred?: Transferable[]): void;
  close(): void;
}

/** The worker that this is run in. */
export function workerScope<To, From>(): Scope<To, From> {
  return globalThis as unknown as Scope<To, From>;
}

/** What a thread needs of its process, which it cannot reach itself. */
export interface Inside {
  readonly settings: RouterSettings;
  /** Ends the log; lines still pending are told first. */
  readonly endLog: () => Promise<void>;
}

/**
 * Reads the settings, and sends the log to the main thread.
 *
 * @param env the settings as they stood in the environment; they were found right.
 */
export async function openInside(
  env: Readonly<Record<string, string>>,
): Promise<Inside> {
  const result = readRouterSettings(env);
  if (!result.ok) throw new Error("Cannot read the settings");
  const { settings } = result;
  const scope = workerScope<never, LogMessage>();
  const endLog = await openLog({
    level: settings.LOG_LEVEL ?? "info",
    format: settings.LOG_FORMAT ?? "json",
    write: (bytes) => {
      const lines = new TextDecoder().decode(bytes);
      scope.postMessage({ type: "log", lines });
      return Promise.resolve();
    },
  });
  return { settings, endLog };
}
