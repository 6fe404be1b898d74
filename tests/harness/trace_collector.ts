/** A span as its program exported it. */
export interface CollectedSpan {
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Whether it ended as failed. */
  readonly failed: boolean;
}

const FAILED = 2;

/** What spans are exported to: it takes OTLP over HTTP, in JSON. */
export class TraceCollector implements AsyncDisposable {
  readonly spans: CollectedSpan[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      async (request) => {
        const body = await request.json();
        for (const resource of body.resourceSpans ?? []) this.#take(resource);
        return Response.json({});
      },
    );
  }

  /** The environment of a program that exports to it, under a name. */
  env(service: string): Record<string, string> {
    return {
      OTEL_DENO: "true",
      OTEL_SERVICE_NAME: service,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${this.#server.addr.port}`,
      OTEL_BSP_SCHEDULE_DELAY: "50",
    };
  }

  /** The span of a name that a program has in a trace. */
  find(
    service: string,
    name: string,
    traceId: string,
  ): CollectedSpan | undefined {
    return this.spans.find((span) =>
      span.service === service && span.name === name && span.traceId === traceId
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  // The shape of OTLP is known here and nowhere else.
  // deno-lint-ignore no-explicit-any
  #take({ resource, scopeSpans }: any): void {
    const service = attributesOf(resource)["service.name"] ?? "";
    for (const { spans } of scopeSpans) {
      for (const span of spans) {
        this.spans.push({
          service,
          name: span.name,
          traceId: span.traceId,
          spanId: span.spanId,
          parentSpanId: span.parentSpanId,
          attributes: attributesOf(span),
          failed: span.status?.code === FAILED,
        });
      }
    }
  }
}

function attributesOf(
  { attributes }: { attributes: { key: string; value: object }[] },
): Record<string, string> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, String(Object.values(value)[0])]),
  );
}
