import type { JsonDocument } from "../../shared/json.ts";
import {
  type Parsed,
  parseToRouter,
  type ToRouter,
} from "../../shared/protocol.ts";
import type { CrashSuspects } from "../crash_suspects.ts";
import type { Serving } from "./verdict.ts";

/** Where it is noted what a router may die of. */
export type Trials = Pick<CrashSuspects, "suspicion" | "begin" | "end">;

/**
 * Texts above this are configs of a draft control plane, in bytes: reading one takes many times its size in memory, and
 * may be what a router dies of.
 */
const LARGE_BYTES = 1024 * 1024;
/** How a `config_update` begins as control planes write it, which is all that has to be known before it is read. */
const UPDATE_HEAD =
  /^\s*\{\s*"type"\s*:\s*"config_update"\s*,\s*"version"\s*:\s*([1-9][0-9]{0,14})\s*,/;
const UPDATE_HEAD_LENGTH = 256;

/** Stands for a config that was not read. */
const UNREAD: JsonDocument = { value: null, repeated: [] };

/**
 * Reads a text of the control plane. A large config is noted on the disk meanwhile; one that the router died of is
 * answered without its contents, since whoever is to apply it refuses it unseen.
 */
export function readText(
  text: string,
  { bytes, serving, trials }: {
    bytes: number;
    serving: Serving | null;
    trials: Trials | null;
  },
): Parsed<ToRouter> | Promise<Parsed<ToRouter>> {
  const version = trials !== null && bytes > LARGE_BYTES
    ? UPDATE_HEAD.exec(text.slice(0, UPDATE_HEAD_LENGTH))?.[1]
    : undefined;
  if (trials === null || version === undefined) return parseToRouter(text);
  const head = {
    version: Number(version),
    epoch: serving?.epoch ?? null,
    digest: null,
  };
  if (trials.suspicion(head) === null) return readNoted(text, head, trials);
  return {
    kind: "message",
    message: { type: "config_update", ...head, supersedes: [], config: UNREAD },
  };
}

async function readNoted(
  text: string,
  head: Parameters<Trials["begin"]>[0],
  trials: Trials,
): Promise<Parsed<ToRouter>> {
  await trials.begin(head);
  const parsed = parseToRouter(text);
  await trials.end(head);
  return parsed;
}
