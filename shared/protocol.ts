/**
 * The push protocol between a control plane and its routers. PROTOCOL.md beside this file is the
 * contract; this is its twin in code, used by both ends. Only `parse…` and `encode…` cross the wire.
 */
import { type JsonDocument, show } from "./json.ts";
import { DIGEST, EPOCH, readMessage } from "./message_fields.ts";

/** The path a router connects to. */
export const CONNECT_PATH = "/v1/connect";

/** The subprotocol of routers that take a config in parts. */
export const SUBPROTOCOL = "signalbox.v1";

/** A frame has to stay below this many bytes: the runtime takes no larger one. */
export const MAX_FRAME_BYTES = 64 * 1024 * 1024;

/** The largest part of a config, in bytes. */
export const MAX_PART_BYTES = 256 * 1024;

/** The largest message a router may send: acks carry up to 100 problems, and nothing else is long. */
export const MAX_ROUTER_MESSAGE_BYTES = 1024 * 1024;

/** The longest error an ack carries, in characters; the rest is cut. */
export const MAX_ERROR_LENGTH = 64 * 1024;

/** The longest hold, in milliseconds. */
export const MAX_HOLD_MS = 300_000;

/** The most customers of a hold. */
export const MAX_HELD_CUSTOMERS = 100;

/** The codes a connection is closed with. */
export const CLOSE = {
  /** What came is not JSON, or breaks the shape of a known type. */
  malformed: 4400,
  unauthorized: 4401,
  /** Nothing was heard for too long. */
  heartbeatMissed: 4408,
  /** A newer connection of the same id and instance took over. */
  replaced: 4409,
  tooLarge: 4413,
  /** The server is restarting; a client may not send it. */
  restarting: 1012,
} as const;

/** A config in one text frame. */
export interface ConfigUpdate {
  readonly type: "config_update";
  readonly version: number;
  /** Not validated: `parseConfigDocument` does that. */
  readonly config: JsonDocument;
  /** Null from a draft control plane. */
  readonly epoch: string | null;
  readonly digest: string | null;
  readonly supersedes: readonly string[];
  /** Each step of the history from this version on passed the control plane's guard, or was confirmed; only where it says. */
  readonly guarded_since?: number;
  /** The trace that the version's edit belongs to (W3C Trace Context); only where that is traced. */
  readonly traceparent?: string;
}

/** Announces a config in parts: binary frames follow, `bytes` in all, one gzip member of the canonical text. */
export interface ConfigBegin {
  readonly type: "config_begin";
  readonly version: number;
  readonly epoch: string;
  readonly digest: string;
  readonly supersedes: readonly string[];
  /** Each step of the history from this version on passed the control plane's guard, or was confirmed; only where it says. */
  readonly guarded_since?: number;
  /** The trace that the version's edit belongs to (W3C Trace Context); only where that is traced. */
  readonly traceparent?: string;
  readonly encoding: "gzip";
  /** Size of the gzip member. */
  readonly bytes: number;
}

/** Asks for a pong, and tells what this router should be serving. */
export interface Ping {
  readonly type: "ping";
  /** Null from a draft control plane, and 0 while its store is empty. */
  readonly version: number | null;
  readonly epoch: string | null;
}

/** New requests of some customers are to wait. Beside the config: no version, and nothing that is stored. */
export interface Hold {
  readonly type: "hold";
  /** Named again it is the same hold. */
  readonly id: string;
  /** The newest version when it was placed: a newer one that sends a customer elsewhere ends it for that customer. */
  readonly version: number;
  readonly customers: readonly string[];
  /** Whether no version ends it, only its release and its time. */
  readonly until_released: boolean;
  /** How much longer at most, in milliseconds. */
  readonly for_ms: number;
  /** After how many milliseconds event streams and tunnels of theirs are to be ended; null: they are left. */
  readonly cut_streams_ms: number | null;
}

/** A hold is over: what waits goes on. */
export interface Release {
  readonly type: "release";
  readonly id: string;
}

/** Event streams and tunnels that the version being served would send elsewhere are to be ended. */
export interface CutStreams {
  readonly type: "cut_streams";
  /** Of no effect unless this one or a newer one is served. */
  readonly version: number;
  readonly after_ms: number;
}

/** What a router is to do beside serving a config. */
export type Order = Hold | Release | CutStreams;

/** What a control plane says. */
export type ToRouter = ConfigUpdate | ConfigBegin | Ping | Order;

/** A router's answer to a push. */
export interface Ack {
  readonly type: "ack";
  readonly version: number;
  readonly status: "applied" | "rejected";
  /** Why it was rejected: all problems. */
  readonly error: string | null;
  readonly epoch: string | null;
  /** False: applied, but not on the router's disk. Null if it does not say. */
  readonly durable: boolean | null;
}

/** What a router has counted since it was started. */
export interface Counted {
  /** Requests that are over; without those that began under another config than the one served at their end. */
  readonly requests: number;
  /** Those of them that were answered with a 5xx, or that the placement's endpoint failed. */
  readonly errors: number;
}

/** The answer to a ping, with what the router serves; and what it has counted, where it counts. */
export interface Pong extends Partial<Counted> {
  readonly type: "pong";
  readonly version: number | null;
  readonly epoch: string | null;
}

/** No request still running on the router would go elsewhere under this version, which it serves. */
export interface Drained {
  readonly type: "drained";
  readonly version: number;
  /** Null if it does not say; so with `digest` and `durable`. */
  readonly epoch: string | null;
  readonly digest: string | null;
  /** See {@linkcode Ack.durable}. */
  readonly durable: boolean | null;
}

/** What still runs on the router that would go elsewhere under this version, which it serves. */
export interface Draining extends Omit<Drained, "type"> {
  readonly type: "draining";
  /** Without those that stream. */
  readonly requests: number;
  /** Event streams and tunnels. */
  readonly streams: number;
  /** Since when the oldest of them has run, in milliseconds. */
  readonly oldest_ms: number;
}

/** How a hold stands on the router. */
export interface Holding {
  readonly type: "holding";
  readonly id: string;
  /** What still runs of its customers; as in {@linkcode Draining}. */
  readonly requests: number;
  readonly streams: number;
  readonly oldest_ms: number;
  /** How many requests wait. */
  readonly waiting: number;
}

/** What a router says. */
export type ToControlPlane = Ack | Pong | Drained | Draining | Holding;

/** What came over the wire. Unknown types are to be ignored and counted; malformed ones end the connection. */
export type Parsed<M> =
  | { readonly kind: "message"; readonly message: M }
  | { readonly kind: "unknown"; readonly type: string }
  | { readonly kind: "malformed"; readonly reason: string };

/** Parses a text frame from a control plane. Never throws. */
export function parseToRouter(text: string): Parsed<ToRouter> {
  return readMessage(text, "/config", (type, fields, repeated) => {
    switch (type) {
      case "config_update":
        return {
          type,
          version: fields.version(1),
          config: { value: fields.required("config"), repeated },
          epoch: fields.text("epoch", EPOCH),
          digest: fields.text("digest", DIGEST),
          supersedes: fields.epochs("supersedes"),
          ...fields.guardedSince(),
          ...fields.traceparent(),
        };
      case "config_begin":
        return {
          type,
          version: fields.version(1),
          epoch: fields.text("epoch", EPOCH) ?? fields.missing("epoch"),
          digest: fields.text("digest", DIGEST) ?? fields.missing("digest"),
          supersedes: fields.epochs("supersedes"),
          ...fields.guardedSince(),
          ...fields.traceparent(),
          encoding: fields.oneOf("encoding", ["gzip"]),
          bytes: fields.whole("bytes", 1) ?? fields.missing("bytes"),
        };
      case "ping":
        return {
          type,
          version: fields.whole("version", 0),
          epoch: fields.text("epoch", EPOCH),
        };
      case "hold":
        return {
          type,
          id: fields.text("id", EPOCH) ?? fields.missing("id"),
          version: fields.version(0),
          customers: fields.customers("customers", MAX_HELD_CUSTOMERS),
          until_released: fields.flag("until_released") ?? false,
          for_ms: fields.span("for_ms", MAX_HOLD_MS) ??
            fields.missing("for_ms"),
          cut_streams_ms: fields.span("cut_streams_ms", MAX_HOLD_MS),
        };
      case "release":
        return { type, id: fields.text("id", EPOCH) ?? fields.missing("id") };
      case "cut_streams":
        return {
          type,
          version: fields.version(1),
          after_ms: fields.span("after_ms", MAX_HOLD_MS) ?? 0,
        };
      default:
        return null;
    }
  });
}

/** Parses a text frame from a router. Never throws. */
export function parseToControlPlane(text: string): Parsed<ToControlPlane> {
  return readMessage(text, null, (type, fields) => {
    switch (type) {
      case "ack":
        return {
          type,
          version: fields.version(1),
          status: fields.oneOf("status", ["applied", "rejected"]),
          error: fields.text("error", null)?.slice(0, MAX_ERROR_LENGTH) ?? null,
          epoch: fields.text("epoch", EPOCH),
          durable: fields.flag("durable"),
        };
      case "pong":
        return {
          type,
          version: fields.whole("version", 0),
          epoch: fields.text("epoch", EPOCH),
          ...fields.counted(),
        };
      case "drained":
        return {
          type,
          version: fields.version(1),
          epoch: fields.text("epoch", EPOCH),
          digest: fields.text("digest", DIGEST),
          durable: fields.flag("durable"),
        };
      case "draining":
        return {
          type,
          version: fields.version(1),
          epoch: fields.text("epoch", EPOCH),
          digest: fields.text("digest", DIGEST),
          durable: fields.flag("durable"),
          requests: fields.whole("requests", 0) ?? 0,
          streams: fields.whole("streams", 0) ?? 0,
          oldest_ms: fields.whole("oldest_ms", 0) ?? 0,
        };
      case "holding":
        return {
          type,
          id: fields.text("id", EPOCH) ?? fields.missing("id"),
          requests: fields.whole("requests", 0) ?? 0,
          streams: fields.whole("streams", 0) ?? 0,
          oldest_ms: fields.whole("oldest_ms", 0) ?? 0,
          waiting: fields.whole("waiting", 0) ?? 0,
        };
      default:
        return null;
    }
  });
}

/** A `config_update` around a config's canonical text. */
export function encodeConfigUpdate(
  message: Omit<ConfigUpdate, "type" | "config">,
  configText: string,
): string {
  const { version, epoch, digest, supersedes, guarded_since, traceparent } =
    message;
  const rest = JSON.stringify({
    ...(epoch === null ? {} : { epoch }),
    ...(digest === null ? {} : { digest }),
    ...(supersedes.length === 0 ? {} : { supersedes }),
    ...(guarded_since === undefined ? {} : { guarded_since }),
    ...(traceparent === undefined ? {} : { traceparent }),
  });
  const tail = rest === "{}" ? "}" : `,${rest.slice(1)}`;
  return `{"type":"config_update","version":${version},"config":${configText}${tail}`;
}

/** The text of a message other than `config_update`; what is null is left out. */
export function encode(
  message: ConfigBegin | Ping | Order | ToControlPlane,
): string {
  return JSON.stringify(
    message,
    (_key, value) => value === null ? undefined : value,
  );
}

const ROUTER_ID = /^[A-Za-z0-9._:-]{1,128}$/;

/** What a router tells of itself when it connects, as query parameters; a draft router tells nothing. */
export interface Announcement {
  readonly id: string | null;
  /** Random, one for each process start. */
  readonly instance: string | null;
  /** What it serves; all null on a bootstrap config. */
  readonly epoch: string | null;
  readonly version: number | null;
  readonly digest: string | null;
  readonly features: readonly string[];
}

/** Reads an announcement, or says all that is wrong with it. Unknown parameters are ignored. */
export function parseAnnouncement(
  query: URLSearchParams,
):
  | { readonly ok: true; readonly announcement: Announcement }
  | { readonly ok: false; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const take = (name: string, pattern: RegExp, rule: string): string | null => {
    const values = query.getAll(name);
    if (values.length === 0) return null;
    if (values.length === 1 && pattern.test(values[0]!)) return values[0]!;
    problems.push(
      `${name} must be given once and be ${rule}, not ${
        show(values.join(", "))
      }`,
    );
    return null;
  };
  const id = take("id", ROUTER_ID, "1 to 128 of A-Z a-z 0-9 . _ : -");
  const instance = take(
    "instance",
    ROUTER_ID,
    "1 to 128 of A-Z a-z 0-9 . _ : -",
  );
  const epoch = take("epoch", EPOCH, "1 to 64 of A-Z a-z 0-9 . _ : -");
  const version = take(
    "version",
    /^[1-9][0-9]{0,15}$/,
    "a whole number from 1",
  );
  const digest = take("digest", DIGEST, "sha256: and 64 hex digits");
  const features = take(
    "features",
    /^[a-z0-9_.,-]{0,256}$/,
    "a comma list of names",
  );
  if (version !== null && !Number.isSafeInteger(Number(version))) {
    problems.push(
      `version must be at most ${Number.MAX_SAFE_INTEGER}, not ${version}`,
    );
  }
  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    announcement: {
      id,
      instance,
      epoch,
      version: version === null ? null : Number(version),
      digest,
      features: features ? features.split(",") : [],
    },
  };
}

/** The query parameters of an announcement; what is null or empty is left out. */
export function encodeAnnouncement(
  announcement: Announcement,
): URLSearchParams {
  const query = new URLSearchParams();
  const { features, ...rest } = announcement;
  for (const [name, value] of Object.entries(rest)) {
    if (value !== null) query.set(name, String(value));
  }
  if (features.length > 0) query.set("features", features.join(","));
  return query;
}

/** Whether text may be a router's id. */
export function isRouterId(text: string): boolean {
  return ROUTER_ID.test(text);
}
