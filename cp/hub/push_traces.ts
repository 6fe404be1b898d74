import type { Span } from "@opentelemetry/api";
import { endSpan, Tracing } from "../../shared/tracing.ts";
import type { Connection } from "./connection.ts";

/** A push in a trace. */
interface TracedPush {
  readonly version: number;
  readonly span: Span;
}

/** Pushes as spans of the trace that their version's edit belongs to, from the first byte to the router's ack. */
export class PushTraces {
  readonly #tracing: Tracing;
  readonly #pushes = new Map<Connection, TracedPush>();

  private constructor(tracing: Tracing) {
    this.#tracing = tracing;
  }

  /** Null where nothing is traced. */
  static open(): PushTraces | null {
    const tracing = Tracing.open("signalbox-cp");
    return tracing === null ? null : new PushTraces(tracing);
  }

  /** A push has begun; one whose edit was not traced begins no trace. */
  begun(
    connection: Connection,
    { version, traceparent }: {
      readonly version: number;
      readonly traceparent?: string | undefined;
    },
  ): void {
    this.ended(connection, "Another push began.");
    if (traceparent === undefined) return;
    const span = this.#tracing.begin("push config", {
      parent: traceparent,
      kind: "producer",
      attributes: {
        "signalbox.router": connection.id,
        "signalbox.version": version,
      },
    });
    this.#pushes.set(connection, { version, span });
  }

  /** The router has answered; `error` says why it rejected the version. */
  answered(
    connection: Connection,
    { version, error }: { version: number; error: string | null },
  ): void {
    if (this.#pushes.get(connection)?.version === version) {
      this.ended(connection, error);
    }
  }

  /** The push under way comes to nothing, if there is one. */
  ended(connection: Connection, error: string | null): void {
    const push = this.#pushes.get(connection);
    if (push === undefined) return;
    this.#pushes.delete(connection);
    endSpan(push.span, { error });
  }
}
