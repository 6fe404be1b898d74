/** The thread that reads large bodies: a worker that answers each {@linkcode ReadingTask}. */
import { errorLine } from "../../../shared/errors.ts";
import { joinParts, parseBody } from "../body.ts";
import { ProblemError } from "../problem.ts";
import { BODY_EDITS, type BodyEdit } from "./body_edits.ts";
import { packedBuffers, packReady, unpack } from "./packed_config.ts";
import {
  type FromReading,
  type Outcome,
  partBuffers,
  type ReadingTask,
  type SentProblem,
  type ToReading,
} from "./reading_messages.ts";

/** The worker's side of its messages, which the types of a page do not have. */
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<ToReading>) => void;
  postMessage(message: FromReading, transfer: Transferable[]): void;
};

scope.onmessage = async ({ data: task }) => {
  const outcome = await carryOut(task).catch((error): Outcome => ({
    type: "failed",
    error: errorLine(error),
  }));
  const { parts } = task;
  scope.postMessage({ type: "read", outcome, parts }, [
    ...partBuffers(parts),
    ...(outcome.type === "made" ? packedBuffers(outcome.config) : []),
  ]);
};

async function carryOut(task: ReadingTask): Promise<Outcome> {
  let edit: BodyEdit;
  try {
    const document = parseBody(joinParts(task.parts));
    edit = BODY_EDITS[task.kind](document, task.mediaType);
    if (edit.fence !== undefined) {
      throw new ProblemError(
        "too-large",
        "A fenced move is of a few customers; its body must be below 64 KiB.",
      );
    }
  } catch (error) {
    return { type: "unreadable", problem: sentProblem(error) };
  }
  const current = task.current === null
    ? null
    : await unpack(task.current, null);
  try {
    await edit.prepare?.(current);
    const config = await edit.make(current);
    return { type: "made", config: packReady(config, current) };
  } catch (error) {
    return { type: "refused", problem: sentProblem(error) };
  }
}

/** What can be sent of an error; it throws those that are no problem of the body's sender. */
function sentProblem(error: unknown): SentProblem {
  if (!(error instanceof ProblemError)) throw error;
  const { kind, message, errors, more, headers } = error;
  return { kind, detail: message, errors, more, headers };
}
