import { createHash } from "node:crypto";
import { JsonSyntaxError, readJson, show } from "../shared/json.ts";
import { type ReadConfig, readConfig } from "./config/config_reader.ts";
import type { PackedConfig } from "./config/packed_config.ts";

/**
 * The form in which a config is saved: two lines and the canonical text. The lines are the head as JSON, and the
 * SHA-256 of that line; the digest in the head covers the config.
 */

/** The form of the file; another one is not read. */
const FORMAT = 1;
/** Nothing this large is ever written, so it need not be read. */
export const MAX_FILE_BYTES = 512 * 1024 * 1024;

/** What is kept of a config besides itself. */
export interface SavedHead {
  readonly version: number;
  readonly epoch: string | null;
  readonly digest: string;
}

/** Whether two heads are of the same config. */
export function isSameHead(a: SavedHead, b: SavedHead): boolean {
  return a.version === b.version && a.epoch === b.epoch &&
    a.digest === b.digest;
}

/** A config that was read back and is sound. */
export interface SavedConfig extends SavedHead {
  readonly packed: PackedConfig;
}

/** The head of a file, and where its config begins. */
interface FileHead extends SavedHead {
  readonly contentsAt: number;
}

/** What stands in front of the config: the head, and its checksum. */
export function headText({ version, epoch, digest }: SavedHead): string {
  const line = JSON.stringify({ format: FORMAT, version, epoch, digest });
  return `${line}\n${sha256(line)}\n`;
}

/** Reads the head of a file, whatever is in it; or says what is wrong with it. */
export function readHead(bytes: Uint8Array): FileHead | string {
  const first = bytes.indexOf(0x0a);
  const second = bytes.indexOf(0x0a, first + 1);
  if (first < 0 || second < 0) return "its head is cut";
  const line = new TextDecoder().decode(bytes.subarray(0, first));
  const check = new TextDecoder().decode(bytes.subarray(first + 1, second));
  if (check !== sha256(line)) return "its head does not match its checksum";
  const head = parseHead(line);
  return typeof head === "string" ? head : { ...head, contentsAt: second + 1 };
}

/** Reads the config of a file whose head was read. */
export function readContents(
  bytes: Uint8Array<ArrayBuffer>,
  { contentsAt, digest }: FileHead,
): ReadConfig {
  return readConfig(
    { kind: "text", text: bytes.subarray(contentsAt) },
    { maxBytes: MAX_FILE_BYTES, digest },
  );
}

/** The head, or what is wrong with it. */
function parseHead(line: string): SavedHead | string {
  let head: unknown;
  try {
    head = readJson(line).value;
  } catch (error) {
    if (error instanceof JsonSyntaxError) return error.message;
    throw error;
  }
  if (!(head instanceof Map)) return "its head is no object";
  const format = head.get("format");
  if (format !== FORMAT) {
    return `its format is ${show(format)}, and this release reads ${FORMAT}`;
  }
  const [version, epoch, digest] = ["version", "epoch", "digest"].map((name) =>
    head.get(name)
  );
  if (!(Number.isSafeInteger(version) && (version as number) >= 1)) {
    return `its version is ${show(version)}`;
  }
  if (epoch !== null && typeof epoch !== "string") {
    return `its epoch is ${show(epoch)}`;
  }
  if (typeof digest !== "string") return `its digest is ${show(digest)}`;
  return { version: version as number, epoch, digest };
}

function sha256(text: string): string {
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}
