import { gunzipSync } from "node:zlib";
import {
  type ConfigResult,
  parseConfigDocument,
  parseConfigText,
  problemsLine,
} from "../../shared/config.ts";
import { type JsonDocument, JsonSyntaxError } from "../../shared/json.ts";
import { packCanonical } from "./canonical_reader.ts";
import { packConfig, type PackedConfig } from "./packed_config.ts";

/** What a push consists of. */
export type PushContents =
  | { readonly kind: "document"; readonly document: JsonDocument }
  /** One gzip member of the canonical text. */
  | { readonly kind: "gzip"; readonly gzip: Uint8Array };

/** What a config can be read from. */
export type ConfigContents =
  | PushContents
  | { readonly kind: "text"; readonly text: Uint8Array<ArrayBuffer> };

/** A config ready to be served, or all that is wrong with it as one line. */
export type ReadConfig =
  | { readonly ok: true; readonly packed: PackedConfig }
  | { readonly ok: false; readonly error: string };

/**
 * Unpacks, parses, validates and packs a config. Never throws.
 *
 * @param options.maxBytes the largest text, in bytes, after decompression.
 * @param options.digest the digest the contents must have; null for any.
 */
export function readConfig(
  contents: ConfigContents,
  options: { readonly maxBytes: number; readonly digest: string | null },
): ReadConfig {
  const packed = pack(contents, options.maxBytes);
  if (typeof packed === "string") return { ok: false, error: packed };
  if (options.digest !== null && options.digest !== packed.digest) {
    return {
      ok: false,
      error:
        `The contents have digest ${packed.digest}, and ${options.digest} was announced.`,
    };
  }
  return { ok: true, packed };
}

/** The config, or a sentence about why there is none. */
function pack(
  contents: ConfigContents,
  maxBytes: number,
): PackedConfig | string {
  if (contents.kind === "document") {
    return packed(parseConfigDocument(contents.document));
  }
  let bytes: Uint8Array;
  if (contents.kind === "text") {
    bytes = contents.text;
    if (bytes.length > maxBytes) return tooLarge(maxBytes);
  } else {
    try {
      // This one stops at the limit; the runtime's DecompressionStream gives out what a chunk of
      // input unpacks to, however much that is, before anybody can count it.
      bytes = gunzipSync(contents.gzip, {
        maxOutputLength: maxBytes,
        // One piece, where it is as large as it says: pieces would be put together in memory of the same size again.
        chunkSize: Math.max(
          Math.min(claimedBytes(contents.gzip), maxBytes),
          64,
        ),
      });
    } catch (error) {
      return hasCode(error, "ERR_BUFFER_TOO_LARGE")
        ? tooLarge(maxBytes)
        : `The parts are no gzip member: ${(error as Error).message}.`;
    }
  }
  const canonical = packCanonical(owned(bytes));
  if (canonical !== null) return canonical;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      bytes,
    );
  } catch {
    return "The text of the config is not UTF-8.";
  }
  try {
    return packed(parseConfigText(text));
  } catch (error) {
    if (error instanceof JsonSyntaxError) return `${error.message}.`;
    throw error;
  }
}

function packed(result: ConfigResult): PackedConfig | string {
  return result.ok
    ? packConfig(result.config)
    : problemsLine(result.problems, result.more);
}

/** The size of its contents as a gzip member tells it, which may be a lie (RFC 1952, section 2.3.1). */
function claimedBytes(gzip: Uint8Array): number {
  const { buffer, byteOffset, byteLength } = gzip;
  if (byteLength < 4) return 0;
  return new DataView(buffer, byteOffset).getUint32(byteLength - 4, true);
}

/** The bytes in a buffer of their own: a small one may lie among others, which would be kept with it. */
function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = bytes;
  return buffer instanceof ArrayBuffer && byteLength === buffer.byteLength
    ? new Uint8Array(buffer, byteOffset, byteLength)
    : new Uint8Array(bytes);
}

function tooLarge(maxBytes: number): string {
  return `The config is larger than ${maxBytes} bytes, the limit of this router.`;
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
