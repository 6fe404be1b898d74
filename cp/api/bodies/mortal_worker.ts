/**
 * For tests: the thread that reads large bodies, but one that dies of every move, and never answers
 * what it is sent as a patch.
 */
import "./reading_worker.ts";
import type { ReadingTask } from "./reading_messages.ts";

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<ReadingTask>) => void;
};
const read = scope.onmessage;
scope.onmessage = (event) => {
  const { kind } = event.data;
  if (kind === "moves") throw new Error("it dies here");
  if (kind === "config") read(event);
};
