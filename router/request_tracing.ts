import type { Span } from "@opentelemetry/api";
import { endSpan, traceparentOf, Tracing } from "../shared/tracing.ts";
import type { RequestHead } from "./http1/request_head.ts";

/** Makes each routed request a span of its caller's trace, and has the endpoint go on with that. */
export class RequestTracing {
  readonly #tracing: Tracing;

  private constructor(tracing: Tracing) {
    this.#tracing = tracing;
  }

  /** Null where nothing is traced: then a trace context passes as it is. */
  static open(): RequestTracing | null {
    const tracing = Tracing.open("signalbox-router");
    return tracing === null ? null : new RequestTracing(tracing);
  }

  /** Begins the span of a request that goes to a placement. */
  begin(
    { method, target, traceparent }: RequestHead,
    { placement, version }: { placement: string; version: number },
  ): Span {
    return this.#tracing.begin(method, {
      parent: traceparent,
      kind: "server",
      attributes: {
        "http.request.method": method,
        // Without the query, which may hold secrets.
        "url.path": target.split("?", 1)[0]!,
        "signalbox.placement": placement,
        "signalbox.version": version,
      },
    });
  }

  /** The field that names the span to the endpoint, as a line. */
  field(span: Span): string {
    return `traceparent: ${traceparentOf(span)}\r\n`;
  }

  /** Ends it with what was answered. */
  end(span: Span, status: number, error: Error | null): void {
    endSpan(span, {
      attributes: { "http.response.status_code": status },
      error: error?.message ?? null,
    });
  }
}
