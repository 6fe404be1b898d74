import {
  type FieldSink,
  listMembers,
  MAX_REQUEST_LINE_BYTES,
  NameInterest,
  parseContentLength,
  ProtocolError,
  scanFields,
  trimmed,
  withoutFields,
} from "./fields.ts";
import { checkHost, parseTarget } from "./target.ts";

/** Fields that tell who a request came from; what an untrusted client says of it goes no further. */
const FORWARDING = [
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "forwarded",
  "x-real-ip",
  "via",
];

const NAMES = [
  ...FORWARDING,
  "host",
  "te",
  "expect",
  "upgrade",
  "connection",
  "keep-alive",
  "content-length",
  "transfer-encoding",
  "proxy-connection",
  "x-request-id",
];

/** Fields that no twin with `_` for `-` may stand beside, whoever sent it. */
const TWINLESS = [
  "keep-alive",
  "content-length",
  "transfer-encoding",
  "proxy-connection",
  "x-request-id",
];

/** What a client cannot have removed by naming it in `Connection`. */
const PROTECTED = ["host", "content-length", "authorization", "cookie"];

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Whether a field's name, in lower case, belongs to a field with a meaning of its own, or is its twin with `_`. */
export function hasOwnMeaning(name: string): boolean {
  const plain = name.replaceAll("_", "-");
  return NAMES.includes(plain) || plain.startsWith("x-forwarded-");
}

/** How request heads are read: what does not change from request to request. */
export class RequestRules {
  /** The routing key's field in lower case; null where the key comes from the host. */
  readonly keyField: string | null;
  readonly interest: NameInterest;
  /** Whether the trace context is read, and so does not go further as it stands. */
  readonly traced: boolean;
  /** Names that {@linkcode PROTECTED} holds, and the routing key's. */
  readonly protectedFields: ReadonlySet<string>;

  /** @throws {TypeError} if `keyField` is no field name, or that of a field with a meaning of its own. */
  constructor(keyField: string | null, { traced = false } = {}) {
    if (
      keyField !== null &&
      (!TOKEN.test(keyField) || hasOwnMeaning(keyField.toLowerCase()))
    ) {
      throw new TypeError(
        `Cannot read the routing key from the field ${
          JSON.stringify(keyField)
        }: it is no field name, or one with a meaning of its own`,
      );
    }
    this.keyField = keyField === null ? null : keyField.toLowerCase();
    const key = this.keyField === null ? [] : [this.keyField];
    this.traced = traced;
    const trace = traced ? ["traceparent"] : [];
    this.interest = new NameInterest([...NAMES, ...key, ...trace]);
    this.protectedFields = new Set([...PROTECTED, ...key]);
  }
}

/**
 * The head of a request, read strictly (RFC 9112 sections 3, 5 and 6; RFC 9110 sections 7.2 and 7.6.1).
 * One object serves all requests of a connection, one after the other.
 */
export class RequestHead implements FieldSink {
  readonly rules: RequestRules;
  readonly interest: NameInterest;
  method = "";
  /** The target as sent, without scheme and authority: it begins with `/`, or is `*`. */
  target = "";
  /** The fields that go further as they stand, each line ended by CR LF. */
  fields = "";
  host = "";
  /** The routing key field's value; empty if there is none. */
  key = "";
  keys = 0;
  /** The announced length of the body in bytes; -1 if none is announced. */
  contentLength = -1;
  chunked = false;
  /** The client wants the connection closed after the answer. */
  close = false;
  /** The client waits for `100 Continue` before it sends the body. */
  expectsContinue = false;
  /** The client asks for a WebSocket. */
  websocket = false;
  requestId = "";
  /** The trace context that the client sent; null if none, or several, or it is not to be read. */
  traceparent: string | null = null;
  /** What the client says about who came before it; kept apart, since only some are believed. */
  forwardedFor = "";
  forwardedProto = "";
  forwardedHost = "";
  via = "";
  /** Lines of other forwarding fields, such as `Forwarded`. */
  otherForwarding = "";
  #connection = "";
  #upgrade = "";
  #hosts = 0;
  #traces = 0;
  /** A Host that was found sound; null before there was one. */
  #soundHost: string | null = null;
  /** The version, where it is another than HTTP/1.1. */
  #otherVersion = "";

  constructor(rules: RequestRules) {
    this.rules = rules;
    this.interest = rules.interest;
  }

  /** Whether a body is announced. */
  get hasBody(): boolean {
    return this.chunked || this.contentLength > 0;
  }

  /**
   * Reads the head `text`: a request line and field lines, each ended by CR LF.
   *
   * @throws {ProtocolError} with the status to answer.
   */
  read(text: string): void {
    this.#reset();
    const lineEnd = text.indexOf("\r\n");
    const authority = this.#readLine(text, lineEnd);
    this.fields = scanFields(text, lineEnd + 2, this);
    if (this.#otherVersion !== "") {
      throw new ProtocolError(
        `Cannot speak ${this.#otherVersion}: HTTP/1.1 is spoken here`,
        505,
      );
    }
    if (this.#hosts !== 1) {
      throw new ProtocolError(
        `Cannot take a request with ${this.#hosts} Host fields: it takes exactly one`,
      );
    }
    // One connection's requests mostly name one host; the check costs 0.1 µs (bench:proxy, 1 KiB).
    if (this.host !== this.#soundHost || authority !== null) {
      checkHost(this.host, authority);
      this.#soundHost = this.host;
    }
    if (this.chunked && this.contentLength >= 0) {
      throw new ProtocolError(
        "Cannot take a request with both Content-Length and Transfer-Encoding",
      );
    }
    if (this.#connection !== "") this.#readConnection();
  }

  #reset(): void {
    this.method =
      this.target =
      this.fields =
      this.host =
      this.key =
        "";
    this.keys = this.#hosts = 0;
    this.contentLength = -1;
    this.chunked =
      this.close =
      this.expectsContinue =
      this.websocket =
        false;
    this.traceparent = null;
    this.#traces = 0;
    this.requestId = this.forwardedFor = this.forwardedProto = "";
    this.forwardedHost = this.via = this.otherForwarding = "";
    this.#connection = this.#upgrade = this.#otherVersion = "";
  }

  /** Reads the request line; answers the authority of an absolute target, null for another form. */
  #readLine(text: string, end: number): string | null {
    if (end > MAX_REQUEST_LINE_BYTES) throw requestLineTooLong();
    const first = text.indexOf(" ");
    const last = text.lastIndexOf(" ", end - 1);
    if (first <= 0 || last <= first || last > end) {
      throw new ProtocolError(
        "Cannot take a request line that is not a method, a target and a version",
      );
    }
    const method = text.slice(0, first);
    if (method !== "GET" && method !== "POST" && !TOKEN.test(method)) {
      throw new ProtocolError("Cannot take a method that is not a token");
    }
    this.method = method;
    const target = text.slice(first + 1, last);
    if (end - last !== 9 || !text.startsWith("HTTP/1.1", last + 1)) {
      this.#readVersion(text.slice(last + 1, end));
      if (!isPlainTarget(target)) {
        throw new ProtocolError("Cannot take a target with a space in it");
      }
      return null;
    }
    if (method === "CONNECT") {
      throw new ProtocolError("Cannot open a tunnel by CONNECT", 405);
    }
    if (target.charCodeAt(0) === 0x2f && isPlainTarget(target)) {
      this.target = target;
      return null;
    }
    const parsed = parseTarget(method, target);
    this.target = parsed.target;
    return parsed.authority;
  }

  /**
   * Notes a version other than HTTP/1.1: it is refused when the rest of the head has been found sound,
   * since what is malformed is so in every version.
   */
  #readVersion(version: string): void {
    if (!/^HTTP\/[0-9]\.[0-9]$/.test(version)) {
      throw new ProtocolError(
        "Cannot take a request line that does not end in an HTTP version",
      );
    }
    this.#otherVersion = version;
  }

  /** Takes one field; see {@linkcode FieldSink}. */
  field(name: string, text: string, from: number, to: number): boolean {
    switch (name) {
      case "host":
        this.#hosts++;
        this.host = trimmed(text, from, to);
        return false;
      case "content-length":
        if (this.contentLength >= 0) {
          throw new ProtocolError(
            "Cannot take a request with more than one Content-Length",
          );
        }
        this.contentLength = parseContentLength(trimmed(text, from, to));
        return false;
      case "transfer-encoding": {
        const coding = trimmed(text, from, to);
        if (this.chunked || coding.toLowerCase() !== "chunked") {
          throw new ProtocolError(
            "Cannot take a Transfer-Encoding other than one `chunked`",
          );
        }
        this.chunked = true;
        return true;
      }
      case "connection":
        this.#connection = join(this.#connection, trimmed(text, from, to));
        return true;
      case "upgrade":
        this.#upgrade = join(this.#upgrade, trimmed(text, from, to));
        return true;
      case "keep-alive":
      case "proxy-connection":
      case "te":
        return true;
      case "expect":
        this.expectsContinue ||=
          trimmed(text, from, to).toLowerCase() === "100-continue";
        return false;
      case "x-request-id":
        // The first that is not empty goes on; others would stand beside it, or beside the one that is made.
        if (this.requestId !== "") return true;
        this.requestId = trimmed(text, from, to);
        return this.requestId === "";
      case "x-forwarded-for":
        this.forwardedFor = join(this.forwardedFor, trimmed(text, from, to));
        return true;
      case "x-forwarded-proto":
        this.forwardedProto = join(
          this.forwardedProto,
          trimmed(text, from, to),
        );
        return true;
      case "x-forwarded-host":
        this.forwardedHost = join(this.forwardedHost, trimmed(text, from, to));
        return true;
      case "via":
        this.via = join(this.via, trimmed(text, from, to));
        return true;
    }
    return this.#unnamedField(name, text, from, to);
  }

  #unnamedField(
    name: string,
    text: string,
    from: number,
    to: number,
  ): boolean {
    const { keyField, traced } = this.rules;
    if (traced && name === "traceparent") {
      // Several are none (W3C Trace Context, section 3.2).
      this.traceparent = this.#traces++ === 0 ? trimmed(text, from, to) : null;
      return true;
    }
    if (name === keyField) {
      this.keys++;
      this.key = trimmed(text, from, to);
      return false;
    }
    // Gateways of the CGI family read `_` and `-` as the same, so such a twin could overrule the
    // field that was checked.
    const twin = name.replaceAll("_", "-");
    if (keyField !== null && twin === keyField.replaceAll("_", "-")) {
      return true;
    }
    if (TWINLESS.includes(twin)) return true;
    if (FORWARDING.includes(twin)) {
      this.otherForwarding += `${text.slice(from - 1 - name.length, from)}${
        text.slice(from, to)
      }\r\n`;
      return true;
    }
    return false;
  }

  /** Obeys `Connection` (RFC 9110 section 7.6.1), within what a client may ask. */
  #readConnection(): void {
    const connection = this.#connection.toLowerCase();
    if (connection === "keep-alive") return;
    if (connection === "close") {
      this.close = true;
      return;
    }
    const options = new Set(listMembers(connection));
    this.close = options.has("close");
    this.websocket = options.has("upgrade") && this.method === "GET" &&
      this.#upgrade.toLowerCase() === "websocket" && !this.chunked &&
      this.contentLength <= 0;
    for (const name of this.rules.protectedFields) options.delete(name);
    if (options.has("x-request-id")) this.requestId = "";
    if (options.has("expect")) this.expectsContinue = false;
    this.fields = withoutFields(this.fields, options);
  }
}

/** The refusal of a request line over the limit. */
export function requestLineTooLong(): ProtocolError {
  return new ProtocolError(
    `Cannot take a request line of more than ${MAX_REQUEST_LINE_BYTES} bytes`,
    414,
  );
}

/** Whether a target holds no space, no control byte and no fragment. */
function isPlainTarget(target: string): boolean {
  return /^[\x21\x22\x24-\x7e\x80-\xff]*$/.test(target);
}

function join(before: string, value: string): string {
  return before === "" ? value : `${before}, ${value}`;
}
