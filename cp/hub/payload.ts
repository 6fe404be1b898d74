import { canonicalLength, canonicalText } from "../../shared/canonical.ts";
import {
  encode,
  encodeConfigUpdate,
  MAX_FRAME_BYTES,
} from "../../shared/protocol.ts";
import { gzipMember, gzipping } from "../store/gzip.ts";
import type { Head, Version } from "../store/store.ts";
import { inTurns } from "../store/turns.ts";

/** The push of fewer is put together within some milliseconds. */
const MANY_CUSTOMERS = 100_000;

/** A push as it goes to a socket: a text frame, and what follows it in binary parts. */
export interface Frames {
  readonly text: string;
  /** Null where the text frame is all. */
  readonly body: Uint8Array | null;
}

/** What a push says of the history that its version is in. */
export type PushedHead = Pick<Head, "supersedes" | "guardedSince">;

/** The two forms of one version's push, each made when a router first needs it and then shared by all. */
export class Payload {
  readonly #version: Version;
  readonly #head: PushedHead;
  readonly #maxFrameBytes: number;
  #parts: Frames | undefined;
  #whole: Frames | null | undefined;

  /** `maxFrameBytes`: a text frame has to stay below it. */
  constructor(
    version: Version,
    head: PushedHead,
    options: { maxFrameBytes?: number } = {},
  ) {
    this.#version = version;
    this.#head = head;
    this.#maxFrameBytes = options.maxFrameBytes ?? MAX_FRAME_BYTES;
  }

  /** Whether it is what {@linkcode Payload} would make of these. */
  isOf(version: Version, { supersedes, guardedSince }: PushedHead): boolean {
    const own = this.#head;
    return this.#version.version === version.version &&
      this.#version.epoch === version.epoch &&
      this.#version.digest === version.digest &&
      own.supersedes.length === supersedes.length &&
      own.guardedSince === guardedSince;
  }

  /** Makes the parts ahead, without keeping others waiting, where there are so many customers that these would. */
  async prepare(): Promise<void> {
    const { customers } = this.#version;
    if (this.#parts !== undefined || customers < MANY_CUSTOMERS) return;
    const body = await inTurns(gzipping(this.#version.config));
    this.#parts ??= this.#makeParts(body);
  }

  /** For routers that take parts: `config_begin`, and one gzip member of the canonical text. */
  parts(): Frames {
    return this.#parts ??= this.#makeParts(gzipMember(this.#version.config));
  }

  /** What is said of the config beside it. */
  get #about() {
    const { version, epoch, digest, traceparent } = this.#version;
    const { supersedes, guardedSince } = this.#head;
    return {
      version,
      epoch,
      digest,
      supersedes,
      guarded_since: guardedSince,
      ...(traceparent === undefined ? {} : { traceparent }),
    };
  }

  #makeParts(body: Uint8Array): Frames {
    const text = encode({
      type: "config_begin",
      ...this.#about,
      encoding: "gzip",
      bytes: body.length,
    });
    return { text, body };
  }

  /** For all others: one `config_update`; null if it does not fit into a frame. */
  whole(): Frames | null {
    if (this.#whole === undefined) this.#whole = this.#makeWhole();
    return this.#whole;
  }

  #makeWhole(): Frames | null {
    const { config } = this.#version;
    const message = this.#about;
    // Measured first: the text of the largest configs would not even fit into a string.
    const envelope = encodeConfigUpdate(message, "").length;
    if (envelope + canonicalLength(config) >= this.#maxFrameBytes) return null;
    return {
      text: encodeConfigUpdate(message, canonicalText(config)),
      body: null,
    };
  }
}
