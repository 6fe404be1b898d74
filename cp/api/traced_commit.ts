import { errorLine } from "../../shared/errors.ts";
import { endSpan, traceparentOf, Tracing } from "../../shared/tracing.ts";
import type { Attribution, Committed } from "../store/store.ts";

const tracing = Tracing.open("signalbox-cp");

/** Makes a commit a span of its call's trace, where edits are traced; the routers go on with it. */
export async function tracedCommit<C extends Committed>(
  commit: (trace: Pick<Attribution, "traceparent">) => Promise<C>,
): Promise<C> {
  if (tracing === null) return await commit({});
  const span = tracing.begin("commit config");
  try {
    const made = await commit({ traceparent: traceparentOf(span) });
    endSpan(span, {
      attributes: {
        "signalbox.version": made.version.version,
        "signalbox.changed": made.changed,
      },
    });
    return made;
  } catch (error) {
    endSpan(span, { error: errorLine(error) });
    throw error;
  }
}
