import {
  type Attributes,
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
} from "@opentelemetry/api";

/** What a span begins with. */
export interface SpanOptions {
  /** The trace context that it goes on, as W3C Trace Context writes it (section 3.2); null for one that begins a trace, left out for the one of the call being served. */
  readonly parent?: string | null;
  /** @default {"internal"} */
  readonly kind?: "internal" | "server" | "producer" | "consumer";
  readonly attributes?: Attributes;
}

const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};

/** Makes the spans of one part of a program. The runtime exports them, as `OTEL_*` variables say. */
export class Tracing {
  readonly #tracer: Tracer;

  private constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  /** Null where nothing is traced, which is so unless the runtime was started with `OTEL_DENO=true`. */
  static open(name: string): Tracing | null {
    const tracer = trace.getTracer(name);
    // A span that is never ended is never exported.
    const probe = tracer.startSpan("probe", {}, ROOT_CONTEXT);
    return probe.isRecording() ? new Tracing(tracer) : null;
  }

  /** Begins a span. */
  begin(name: string, options: SpanOptions = {}): Span {
    const { parent, kind = "internal", attributes = {} } = options;
    return this.#tracer.startSpan(
      name,
      { kind: KINDS[kind], attributes },
      parent === undefined ? context.active() : contextOf(parent),
    );
  }
}

/** Ends a span, as failed where `error` says why. */
export function endSpan(
  span: Span,
  options: { attributes?: Attributes; error?: string | null } = {},
): void {
  const { attributes, error = null } = options;
  if (attributes !== undefined) span.setAttributes(attributes);
  if (error !== null) {
    span.setStatus({ code: SpanStatusCode.ERROR, message: error });
  }
  span.end();
}

/** How others go on with a span's trace. */
export function traceparentOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
}

function contextOf(traceparent: string | null): Context {
  return traceparent === null
    ? ROOT_CONTEXT
    : propagation.extract(ROOT_CONTEXT, { traceparent });
}
