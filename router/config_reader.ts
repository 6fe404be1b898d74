import { gunzipSync } from "node:zlib";
import { configDigest } from "../shared/canonical.ts";
import {
  type ConfigResult,
  parseConfigDocument,
  parseConfigText,
  problemsLine,
} from "../shared/config.ts";
import { type JsonDocument, JsonSyntaxError } from "../shared/json.ts";
import { readCanonical } from "./canonical_reader.ts";
import { compileRoutes, type Routes } from "./routes.ts";

/** What a push consists of. */
export type PushContents =
  | { readonly kind: "document"; readonly document: JsonDocument }
  /** One gzip member of the canonical text. */
  | { readonly kind: "gzip"; readonly gzip: Uint8Array };

/** What a config can be read from. */
export type ConfigContents =
  | PushContents
  | { readonly kind: "text"; readonly text: Uint8Array };

/** A config ready to be served, or all that is wrong with it as one line. */
export type ReadConfig =
  | { readonly ok: true; readonly routes: Routes; readonly digest: string }
  | { readonly ok: false; readonly error: string };

/**
 * Unpacks, parses, validates and compiles a config. All of it is behind a promise and takes and
 * gives nothing but this, so that callers need not know on which thread it is done. Never throws.
 *
 * @param options.maxBytes the largest text, in bytes, after decompression.
 * @param options.digest the digest the contents must have; null for any.
 */
// deno-lint-ignore require-await
export async function readConfig(
  contents: ConfigContents,
  options: { readonly maxBytes: number; readonly digest: string | null },
): Promise<ReadConfig> {
  const parsed = parse(contents, options.maxBytes);
  if (typeof parsed === "string") return { ok: false, error: parsed };
  if (!parsed.ok) {
    return { ok: false, error: problemsLine(parsed.problems, parsed.more) };
  }
  const digest = configDigest(parsed.config);
  if (options.digest !== null && options.digest !== digest) {
    return {
      ok: false,
      error:
        `The contents have digest ${digest}, and ${options.digest} was announced.`,
    };
  }
  return { ok: true, routes: compileRoutes(parsed.config), digest };
}

/** The config, or a sentence about why there is none. */
function parse(
  contents: ConfigContents,
  maxBytes: number,
): ConfigResult | string {
  if (contents.kind === "document") {
    return parseConfigDocument(contents.document);
  }
  let bytes: Uint8Array;
  if (contents.kind === "text") {
    bytes = contents.text;
    if (bytes.length > maxBytes) return tooLarge(maxBytes);
  } else {
    try {
      // This one stops at the limit; the runtime's DecompressionStream gives out what a chunk of
      // input unpacks to, however much that is, before anybody can count it.
      bytes = gunzipSync(contents.gzip, { maxOutputLength: maxBytes });
    } catch (error) {
      return hasCode(error, "ERR_BUFFER_TOO_LARGE")
        ? tooLarge(maxBytes)
        : `The parts are no gzip member: ${(error as Error).message}.`;
    }
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      bytes,
    );
  } catch {
    return "The text of the config is not UTF-8.";
  }
  const config = readCanonical(text);
  if (config !== null) return { ok: true, config };
  try {
    return parseConfigText(text);
  } catch (error) {
    if (error instanceof JsonSyntaxError) return `${error.message}.`;
    throw error;
  }
}

function tooLarge(maxBytes: number): string {
  return `The config is larger than ${maxBytes} bytes, the limit of this router.`;
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
