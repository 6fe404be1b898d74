import { endSpan, Tracing } from "../../shared/tracing.ts";
import type { Outcome } from "../link/state.ts";
import type { PushHead } from "../link/verdict.ts";

const tracing = Tracing.open("signalbox-router");

/** Makes what becomes of a push a span of the trace that its edit belongs to, where it belongs to one. */
export async function tracedApply(
  push: PushHead,
  apply: () => Promise<Outcome>,
): Promise<Outcome> {
  if (tracing === null || push.traceparent === undefined) return await apply();
  const span = tracing.begin("apply config", {
    parent: push.traceparent,
    kind: "consumer",
    attributes: { "signalbox.version": push.version },
  });
  const outcome = await apply();
  endSpan(span, {
    attributes: { "signalbox.status": outcome.status },
    error: outcome.status === "rejected" ? outcome.error : null,
  });
  return outcome;
}
