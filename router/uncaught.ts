import { logger } from "../shared/log.ts";

const log = logger("main");

let uncaught = 0;

/**
 * Keeps this thread serving after an error that nobody caught, and tells of it: customers' traffic does
 * not end because of an error that concerns one request or one timer. The config is one immutable
 * object, so there is no half-changed state to be afraid of.
 */
export function surviveErrors(): void {
  for (const type of ["unhandledrejection", "error"] as const) {
    globalThis.addEventListener(type, (event) => {
      event.preventDefault();
      uncaught++;
      const error = event instanceof ErrorEvent ? event.error : event.reason;
      log.error("an error that nobody caught; serving on", {
        error,
        stack: error instanceof Error ? error.stack : undefined,
      });
    });
  }
}

/** How many errors of this thread nobody caught. */
export function uncaughtErrors(): number {
  return uncaught;
}
