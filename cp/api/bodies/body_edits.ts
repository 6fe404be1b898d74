import type { Config } from "../../../shared/config.ts";
import type { FenceOptions } from "../fenced_move.ts";
import type { JsonDocument } from "../../../shared/json.ts";
import { readConfigBody } from "./config_body.ts";
import { readMovesBody } from "./moves_body.ts";
import { readPatchBody } from "./patch_body.ts";

/** What a body, once it was read and checked, makes of the config. */
export interface BodyEdit {
  /** How it is to be fenced, where that was asked for; null before the first config. */
  fence?(current: Config | null): FenceOptions;
  /**
   * Gets ready, before the commit and in turns, what makes {@linkcode BodyEdit.make} quick where this
   * still is the current config by then.
   */
  prepare?(current: Config | null): Promise<void>;
  /**
   * The next config; `current` is null before the first.
   *
   * @throws {ProblemError} if there is none.
   */
  make(current: Config | null): Config | Promise<Config>;
}

/**
 * The edits that are all in their bodies, by kind. Each reads a document of one of its media types,
 * and throws a `ProblemError` that says what is wrong with it.
 */
export const BODY_EDITS = {
  config: readConfigBody,
  patch: readPatchBody,
  moves: readMovesBody,
} satisfies Record<string, BodyReader>;

type BodyReader = (document: JsonDocument, mediaType: string) => BodyEdit;

/** One of the kinds of {@linkcode BODY_EDITS}. */
export type BodyEditKind = keyof typeof BODY_EDITS;

/** Whether what a body of this kind makes depends on the current config. */
export function needsCurrent(kind: BodyEditKind): boolean {
  return kind !== "config";
}
