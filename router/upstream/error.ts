/** What failed on the way to an endpoint. */
export type UpstreamErrorKind =
  /** The endpoint refused the connection. */
  | "refused"
  /** No connection for another reason: an unknown name, no route, no descriptor left. */
  | "unreachable"
  | "connect_timeout"
  /** The encrypted connection could not be agreed on, or its certificate is not trusted. */
  | "tls"
  /** The connection ended before the answer began. */
  | "reset"
  /** The answer is not HTTP. */
  | "malformed"
  | "response_timeout"
  /** The answer broke off after it began. */
  | "cut"
  /** The answer fell silent after it began. */
  | "stalled";

/** Who is to blame. */
export type UpstreamErrorSource = "upstream" | "internal";

/** A request that an endpoint did not answer, or not to the end. */
export class UpstreamError extends Error {
  override name = "UpstreamError";
  readonly kind: UpstreamErrorKind;
  readonly source: UpstreamErrorSource;
  /** No byte of the request can have reached the endpoint, so sending it again repeats nothing. */
  readonly retryable: boolean;
  /** How long was waited in vain, in milliseconds; null where waiting was not the matter. */
  readonly waited: number | null;

  /** `message` is for the log: it may tell the endpoint's address, which no answer does. */
  constructor(
    message: string,
    options: {
      kind: UpstreamErrorKind;
      source?: UpstreamErrorSource;
      retryable?: boolean;
      waited?: number | null;
      cause?: unknown;
    },
  ) {
    super(message, { cause: options.cause });
    this.kind = options.kind;
    this.source = options.source ?? "upstream";
    this.retryable = options.retryable ?? false;
    this.waited = options.waited ?? null;
  }
}
