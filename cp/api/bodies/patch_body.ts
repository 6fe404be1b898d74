import type { Problem } from "../../../shared/config.ts";
import type { JsonDocument, JsonValue } from "../../../shared/json.ts";
import { configOfTree, configTree } from "../config_tree.ts";
import {
  applyJsonPatch,
  type Operation,
  parseJsonPatch,
  PatchError,
} from "../json_patch.ts";
import { mergePatch } from "../merge_patch.ts";
import { invalid, ProblemError } from "../problem.ts";
import type { BodyEdit } from "./body_edits.ts";

export const MERGE_PATCH = "application/merge-patch+json";
export const JSON_PATCH = "application/json-patch+json";

/** A patch that is applied to a tree, which it may change. */
type TreePatch = (tree: JsonValue) => JsonValue;

/** Reads a patch of the whole config. */
export function readPatchBody(
  { value }: JsonDocument,
  mediaType: string,
): BodyEdit {
  const patch: TreePatch = mediaType === JSON_PATCH
    ? jsonTreePatch(value)
    : (tree) => mergePatch(tree, value);
  return {
    async make(current) {
      const result = await configOfTree(patch(configTree(current)));
      if (result.ok) return result.config;
      throw invalid(result.problems, {
        more: result.more,
        subject: "The patched config",
      });
    },
  };
}

function jsonTreePatch(value: JsonValue): TreePatch {
  const { operations, problems } = parseJsonPatch(value);
  if (problems.length > 0) {
    throw invalid(
      problems.slice(0, 100).map(patchProblem),
      { more: Math.max(0, problems.length - 100), subject: "The patch" },
    );
  }
  return (tree) => applyOrRefuse(tree, operations);
}

function applyOrRefuse(
  tree: JsonValue,
  operations: readonly Operation[],
): JsonValue {
  try {
    return applyJsonPatch(tree, operations);
  } catch (error) {
    if (!(error instanceof PatchError)) throw error;
    const errors = [patchProblem(error)];
    if (!error.failedTest) throw invalid(errors, { subject: "The patch" });
    throw new ProblemError("conflict", error.message, { errors, cause: error });
  }
}

function patchProblem(error: PatchError): Problem {
  return { pointer: error.pointer, detail: error.message };
}
