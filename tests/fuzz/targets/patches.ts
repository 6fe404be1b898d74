import {
  applyJsonPatch,
  parseJsonPatch,
  PatchError,
} from "../../../cp/api/json_patch.ts";
import { configOfTree, configTree } from "../../../cp/api/config_tree.ts";
import { mergePatch } from "../../../cp/api/merge_patch.ts";
import { configDigest } from "../../../shared/canonical.ts";
import { parseConfigText } from "../../../shared/config.ts";
import { type JsonValue, readJson, writeJson } from "../../../shared/json.ts";
import { configParts, documentOf } from "../inputs/config.ts";
import { anyDoc, docText } from "../inputs/json.ts";
import {
  configMerge,
  configValue,
  deepeningPatch,
  jsonPatch,
} from "../inputs/patches.ts";
import { canonicalForm, plainConfig } from "../models/config_model.ts";
import { isSameJson, modelJson } from "../models/json_model.ts";
import { mergeModel, patchModel } from "../models/patch_model.ts";
import { mutate } from "../mutate.ts";
import type { Random } from "../../harness/random.ts";
import { ensure, ensureSame, target, type Verdict } from "../target.ts";

/** A patch of a document, or of a config, whose customers are kept in another form. */
interface Patch {
  readonly kind: "json" | "merge";
  readonly config: boolean;
  readonly document: string;
  readonly patch: string;
}

const TOO_MUCH = "too much";
const MODEL_LENGTH = 20_000;

/** Patches, beside a model that follows their RFCs and changes nothing in place. */
export const patches = target<Patch>({
  name: "patches",
  weight: 40,
  make(random) {
    const made = makePatch(random);
    const tokens = ["/-", "~", '"op":"test"', '"value":null', "/0", '""'];
    return random.once(4)
      ? { ...made, patch: mutate(random, made.patch, { tokens }) }
      : made;
  },
  async check({ kind, config, document, patch }): Promise<Verdict> {
    const given = modelJson(patch);
    if (given === null || given.repeated.length > 0 || given.depth > 64) {
      return "refused";
    }
    const start = modelJson(document)!.value;
    const tree = config ? treeOf(document) : readJson(document).value;
    const before = writeJson(given.value);
    const result = kind === "merge"
      ? mergePatch(tree, given.value)
      : jsonPatched(tree, given.value);
    ensureSame(writeJson(given.value), before, "The patch itself changed");
    if (result === TOO_MUCH) {
      // No RFC says how much is too much: but it takes many steps to come to it.
      ensure(patch.length > 500, "A small patch is too much");
      return "refused";
    }
    // Nothing here goes through what is nested as deep as moves can make it.
    if (patch.length > MODEL_LENGTH) return "accepted";
    const expected = kind === "merge"
      ? mergeModel(start, given.value)
      : patchedModel(start, given.value);
    if (typeof expected === "string" || typeof result === "string") {
      ensureSame(result, expected, "What the patch comes to");
      if (typeof expected === "string") return "refused";
    }
    ensure(isSameJson(result, expected), "It comes to another value");
    if (!config) return "accepted";
    const checked = await configOfTree(result);
    const plain = plainConfig(expected);
    ensureSame(checked.ok, plain !== null, "The patched config is valid");
    if (!checked.ok) return "refused";
    const { digest } = canonicalForm(plain!);
    ensureSame(configDigest(checked.config), digest, "Its digest");
    return "accepted";
  },
  show: ({ kind, document, patch }) => `${kind} ${patch} of ${document}`,
});

function treeOf(document: string): JsonValue {
  const parsed = parseConfigText(document);
  ensure(parsed.ok, "The config is not valid");
  return configTree(parsed.config);
}

function makePatch(random: Random): Patch {
  const kind = random.pick(["json", "merge"]);
  if (random.once(40)) {
    const patch = docText(deepeningPatch(random));
    return { kind: "json", config: false, document: "{}", patch };
  }
  if (random.once(2)) {
    const document = anyDoc(random, 4);
    const patch = kind === "json"
      ? jsonPatch(random, document)
      : anyDoc(random, 4);
    return {
      kind,
      config: false,
      // A key that stands twice in it is the reader's to find.
      document: writeJson(modelJson(docText(document))!.value),
      patch: docText(patch, random),
    };
  }
  const parts = configParts(random);
  const document = documentOf(random, parts);
  const patch = kind === "json"
    ? jsonPatch(random, document, () => configValue(random, parts))
    : configMerge(random, parts);
  return {
    kind,
    config: true,
    document: docText(document),
    patch: docText(patch, random),
  };
}

/** The patched value, or how it failed. */
function jsonPatched(tree: JsonValue, patch: JsonValue): JsonValue {
  const { operations, problems } = parseJsonPatch(patch);
  if (problems.length > 0) {
    ensure(problems.every(({ message }) => message !== ""), "No reason");
    return "no patch";
  }
  try {
    return applyJsonPatch(tree, operations);
  } catch (error) {
    ensure(error instanceof PatchError, `It throws ${error}`);
    if (/deeper than|copies more than/.test(error.message)) return TOO_MUCH;
    return `fails ${error.pointer} ${error.failedTest}`;
  }
}

function patchedModel(start: JsonValue, patch: JsonValue): JsonValue {
  const patched = patchModel(start, patch);
  switch (patched.kind) {
    case "value":
      return patched.value;
    case "fails":
      return `fails /${patched.at} ${patched.test}`;
    case "no patch":
      return "no patch";
    default:
      return patched satisfies never;
  }
}
