import { canonicalLength, canonicalPieces } from "../../shared/canonical.ts";
import { type Config, parseConfig, type Problem } from "../../shared/config.ts";
import type { JsonDocument, JsonValue } from "../../shared/json.ts";
import { z } from "@hono/zod-openapi";
import type { Version, VersionInfo, VersionStore } from "../store/store.ts";
import { makeDigests } from "./config_edit.ts";
import { configOfTree, configTree } from "./config_tree.ts";
import type { Edits } from "./edit.ts";
import { asciiJson, type LargeAnswers } from "./large_answers.ts";
import {
  applyJsonPatch,
  type Operation,
  parseJsonPatch,
  PatchError,
} from "./json_patch.ts";
import { mergePatch } from "./merge_patch.ts";
import { emptyStore, invalid, ProblemError } from "./problem.ts";
import type { BodySpec, Routes } from "./route.ts";
import { CONFIG, VERSION } from "./schemas.ts";

const MERGE_PATCH = "application/merge-patch+json";
const JSON_PATCH = "application/json-patch+json";

/** The types a merge patch may have; it is what plain JSON means. */
export const MERGE_PATCH_TYPES = [MERGE_PATCH, "application/json"];

const ANY_MERGE_PATCH = z.record(z.string(), z.unknown()).openapi(
  "MergePatch",
  { description: "RFC 7396: what is null is taken away." },
);

const ANY_JSON_PATCH = z.array(z.object({
  op: z.enum(["add", "remove", "replace", "move", "copy", "test"]),
  path: z.string(),
  from: z.string().optional(),
  value: z.unknown().optional(),
})).openapi("JsonPatch", { description: "RFC 6902." });

/** `/v1/config`: the whole config. */
export function addConfigCalls(
  routes: Routes,
  options: {
    store: VersionStore;
    large: LargeAnswers;
    edits: Edits;
    maxConfigBytes: number;
  },
): void {
  const { store, large, edits, maxConfigBytes } = options;

  routes.add({
    method: "get",
    path: "/v1/config",
    summary: "The committed config",
    headers: z.object({
      "if-none-match": z.string().optional().openapi({
        description: "Versions that the client has, as entity tags, or *.",
        example: '"42"',
      }),
    }),
    answers: {
      200: { description: "It, with its version as ETag.", schema: VERSION },
      304: { description: "The version in If-None-Match is still committed." },
    },
    problems: [404, 503],
  }, async ({ c }) => {
    const version = await store.current();
    if (version === null) throw emptyStore("not-found");
    const etag = `"${version.version}"`;
    if (matchesNone(c.req.raw.headers.get("if-none-match"), etag)) {
      return new Response(null, { status: 304, headers: { etag } });
    }
    return versionAnswer(version, large);
  });

  edits.add({
    method: "put",
    path: "/v1/config",
    summary: "Replaces the config",
    body: configBody(maxConfigBytes),
  }, async ({ body }) => {
    await makeDigests(body.customers);
    return { edit: () => body, replaceDamaged: true };
  });

  edits.add({
    method: "patch",
    path: "/v1/config",
    summary: "Changes the config by a merge patch or a JSON patch",
    description:
      "While nothing is committed the patch is one of an empty object. A failing test operation answers 409.",
    body: patchBody(maxConfigBytes),
    problems: [409],
  }, ({ body }) => (current) => {
    const result = configOfTree(body(configTree(current?.config ?? null)));
    if (result.ok) return result.config;
    throw invalid(result.problems, {
      more: result.more,
      subject: "The patched config",
    });
  });
}

function configBody(maxBytes: number): BodySpec<Config> {
  return {
    content: { "application/json": CONFIG },
    maxBytes,
    read: ({ value }) => {
      const result = parseConfig(value);
      if (result.ok) return result.config;
      throw invalid(result.problems, {
        more: result.more,
        subject: "The config",
      });
    },
  };
}

/** A patch that is applied to a tree, which it may change. */
type TreePatch = (tree: JsonValue) => JsonValue;

function patchBody(maxBytes: number): BodySpec<TreePatch> {
  return {
    content: {
      [MERGE_PATCH]: ANY_MERGE_PATCH,
      "application/json": ANY_MERGE_PATCH,
      [JSON_PATCH]: ANY_JSON_PATCH,
    },
    maxBytes,
    read: ({ value }: JsonDocument, type) =>
      type === JSON_PATCH
        ? jsonTreePatch(value)
        : (tree) => mergePatch(tree, value),
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

/** RFC 9110, section 13.1.2, by weak comparison; what is no list of tags matches nothing. */
function matchesNone(header: string | null, etag: string): boolean {
  if (header === null) return false;
  if (header.trim() === "*") return true;
  return header.split(",").some((tag) =>
    tag.trim().replace(/^W\//, "") === etag
  );
}

/** What is known of a version, as the API shows it. */
export function versionInfo(version: VersionInfo): {
  version: number;
  epoch: string;
  digest: string;
  created_at: string;
  author: string | null;
  message: string | null;
  customers: number;
  placements: number;
} {
  return {
    version: version.version,
    epoch: version.epoch,
    digest: version.digest,
    created_at: version.createdAt,
    author: version.author,
    message: version.message,
    customers: version.customers,
    placements: version.placements,
  };
}

/** A whole version. Its config goes out as canonical text: a million customers are not made objects first. */
export function versionAnswer(version: Version, large: LargeAnswers): Response {
  const { config } = version;
  const info = asciiJson(versionInfo(version)).slice(0, -1);
  const begin = `${info},"config":`;
  const end = "}\n";
  return large.answer(versionTexts(config, { begin, end }), {
    bytes: begin.length + canonicalLength(config) + end.length,
    headers: { etag: `"${version.version}"` },
  });
}

function* versionTexts(
  config: Config,
  { begin, end }: { begin: string; end: string },
): Generator<string> {
  yield begin;
  yield* canonicalPieces(config);
  yield end;
}
