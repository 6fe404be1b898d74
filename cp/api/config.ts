import { canonicalLength, canonicalPieces } from "../../shared/canonical.ts";
import type { Config } from "../../shared/config.ts";
import { z } from "@hono/zod-openapi";
import type {
  Head,
  Version,
  VersionInfo,
  VersionStore,
} from "../store/store.ts";
import type { LargeBodies } from "./bodies/large_bodies.ts";
import { JSON_PATCH, MERGE_PATCH } from "./bodies/patch_body.ts";
import type { Edits } from "./edit.ts";
import { asciiJson, type LargeAnswers } from "./large_answers.ts";
import { emptyStore } from "./problem.ts";
import type { Routes } from "./route.ts";
import {
  CONFIG,
  CURRENT,
  type ROLLOUT_UNDER_WAY,
  type VERSION_INFO,
} from "./schemas.ts";

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
    bodies: LargeBodies;
    maxConfigBytes: number;
  },
): void {
  const { store, large, edits, bodies, maxConfigBytes } = options;

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
      200: { description: "It, with its version as ETag.", schema: CURRENT },
      304: { description: "The version in If-None-Match is still committed." },
    },
    problems: [404, 503],
  }, async ({ c }) => {
    const { head, version } = await store.newest();
    if (version === null) throw emptyStore("not-found");
    const etag = `"${version.version}"`;
    if (matchesNone(c.req.raw.headers.get("if-none-match"), etag)) {
      return new Response(null, { status: 304, headers: { etag } });
    }
    const confirm_by = head.trial?.until ?? null;
    const rollout = rolloutUnderWay(head);
    return versionAnswer(version, large, { confirm_by, rollout });
  });

  edits.addOfBody({
    method: "put",
    path: "/v1/config",
    summary: "Replaces the config",
    body: bodies.spec("config", {
      content: { "application/json": CONFIG },
      maxBytes: maxConfigBytes,
    }),
  }, { replaceDamaged: true });

  edits.addOfBody({
    method: "patch",
    path: "/v1/config",
    summary: "Changes the config by a merge patch or a JSON patch",
    description:
      "While nothing is committed the patch is one of an empty object. A failing test operation answers 409.",
    body: bodies.spec("patch", {
      content: {
        [MERGE_PATCH]: ANY_MERGE_PATCH,
        "application/json": ANY_MERGE_PATCH,
        [JSON_PATCH]: ANY_JSON_PATCH,
      },
      maxBytes: maxConfigBytes,
    }),
    problems: [409],
  });
}

/** RFC 9110, section 13.1.2, by weak comparison; what is no list of tags matches nothing. */
function matchesNone(header: string | null, etag: string): boolean {
  if (header === null) return false;
  if (header.trim() === "*") return true;
  return header.split(",").some((tag) =>
    tag.trim().replace(/^W\//, "") === etag
  );
}

/** The rollout that a head is in, as the API shows it beside a version. */
export function rolloutUnderWay(
  { rollout }: Head,
): z.input<typeof ROLLOUT_UNDER_WAY> {
  if (rollout === null) return null;
  const { version, before, until, canaries } = rollout;
  return { id: version, before, until, canaries: canaries.map(({ id }) => id) };
}

/** What is known of a version, as the API shows it. */
export function versionInfo(
  { assertions, ...version }: VersionInfo,
): z.input<typeof VERSION_INFO> {
  return {
    version: version.version,
    epoch: version.epoch,
    digest: version.digest,
    created_at: version.createdAt,
    author: version.author,
    message: version.message,
    customers: version.customers,
    placements: version.placements,
    assertions: assertions === undefined ? null : `sha256:${assertions}`,
  };
}

/** A whole version. Its config goes out as canonical text: a million customers are not made objects first. */
export function versionAnswer(
  version: Version,
  large: LargeAnswers,
  more: Partial<
    Pick<z.input<typeof CURRENT>, "confirm_by" | "rollout">
  > = {},
): Response {
  const { config } = version;
  const info = asciiJson({ ...versionInfo(version), ...more }).slice(0, -1);
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
