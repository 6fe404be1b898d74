import { parseConfig } from "../../../shared/config.ts";
import type { JsonDocument } from "../../../shared/json.ts";
import { invalid } from "../problem.ts";
import type { BodyEdit } from "./body_edits.ts";

/** Reads a whole config, which replaces the current one. */
export function readConfigBody({ value }: JsonDocument): BodyEdit {
  const result = parseConfig(value);
  if (result.ok) return { make: () => result.config };
  throw invalid(result.problems, {
    more: result.more,
    subject: "The config",
  });
}
