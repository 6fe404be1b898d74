import type { JsonValue } from "../../shared/json.ts";

/**
 * Applies a JSON Merge Patch (RFC 7396, section 2) to a document and answers the result. The target is
 * changed in place, the patch is not; null in an object takes a member away, and anything that is not
 * an object replaces what was there.
 */
export function mergePatch(
  target: JsonValue | undefined,
  patch: JsonValue,
): JsonValue {
  if (!(patch instanceof Map)) return patch;
  const object = target instanceof Map ? target : new Map<string, JsonValue>();
  for (const [name, value] of patch) {
    if (value === null) object.delete(name);
    else if (value instanceof Map) {
      object.set(name, mergePatch(object.get(name), value));
    } else object.set(name, value);
  }
  return object;
}
