import type { Random } from "../../harness/random.ts";
import { type ConfigParts, customerName, endpointUrl } from "./config.ts";
import { anyDoc, type Doc, objectDoc } from "./json.ts";

const SOME_PARTS = ["-", "0", "1", "01", "a", "", "~1", "~0", "__proto__", "9"];

/** A JSON pointer to something in a document, or near it. */
function pointerInto(random: Random, document: Doc): string {
  let pointer = "";
  let at: Doc | undefined = document;
  while (!random.once(4)) {
    const members: readonly (readonly [string, Doc])[] =
      typeof at !== "object" || at === null
        ? []
        : "members" in at
        ? at.members
        : at.map((item, index): [string, Doc] => [String(index), item]);
    if (members.length === 0 || random.once(8)) {
      return `${pointer}/${random.pick(SOME_PARTS)}`;
    }
    const [key, value]: readonly [string, Doc] = random.pick(members);
    pointer += `/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    at = value;
  }
  return pointer;
}

/** A JSON patch of a document: most of its operations can be done. */
export function jsonPatch(
  random: Random,
  document: Doc,
  value: () => Doc = () => anyDoc(random, 2),
): Doc {
  return random.list(6, () => {
    const op = random.pick([
      "add",
      "remove",
      "replace",
      "move",
      "copy",
      "test",
    ]);
    const members: [string, Doc][] = [
      ["op", random.once(40) ? "Add" : op],
      ["path", pointerInto(random, document)],
    ];
    if (op === "move" || op === "copy") {
      members.push(["from", pointerInto(random, document)]);
    } else if (op !== "remove") members.push(["value", value()]);
    if (random.once(40)) members.pop();
    if (random.once(20)) members.push(["future", null]);
    return objectDoc(random.shuffled(members));
  });
}

/** A JSON patch that puts a document into itself until it is far deeper or larger than what can be read. */
export function deepeningPatch(random: Random): Doc {
  if (random.once(2)) {
    const list = random.once(2);
    const operations: Doc[] = Array.from(
      { length: random.pick([5, 12, 16, 20, 30]) },
      (_, step) =>
        objectDoc([
          ["op", "copy"],
          ["from", "/x"],
          ["path", list ? "/x/-" : `/x/${step}`],
        ]),
    );
    const value: Doc = list ? [0] : objectDoc([["a", 0]]);
    return [
      objectDoc([["op", "add"], ["path", "/x"], ["value", value]]),
      ...operations,
    ];
  }
  const steps = random.pick([2, 10, 14, 200]);
  const deep = "/a".repeat(random.pick([1, 50, 60]));
  const first = objectDoc([
    ["op", "add"],
    ["path", "/x"],
    ["value", nested(random.pick([1, 50]))],
  ]);
  const operations: Doc[] = [first];
  if (random.once(2)) {
    // Each copy is twice as deep as the one before.
    for (
      let step = 0, path = "/x";
      step < steps && path.length < 9000;
      step++
    ) {
      operations.push(objectDoc([
        ["op", "copy"],
        ["from", "/x"],
        ["path", `${path}${deep}`],
      ]));
      path += deep;
    }
  } else {
    for (let step = 0; step < steps; step++) {
      operations.push(
        objectDoc([["op", "add"], ["path", "/y"], ["value", nested(60)]]),
        objectDoc([
          ["op", "move"],
          ["from", "/x"],
          ["path", `/y${"/a".repeat(60)}/a`],
        ]),
        objectDoc([["op", "move"], ["from", "/y"], ["path", "/x"]]),
      );
    }
    operations.push(
      objectDoc([["op", "copy"], ["from", "/x"], ["path", "/z"]]),
      objectDoc([["op", "remove"], ["path", "/z"]]),
      objectDoc([["op", "remove"], ["path", "/x"]]),
    );
  }
  return operations;
}

function nested(depth: number): Doc {
  let value: Doc = objectDoc([]);
  for (let left = depth; left > 0; left--) value = objectDoc([["a", value]]);
  return value;
}

/** A value that fits somewhere in a config. */
export function configValue(random: Random, parts: ConfigParts): Doc {
  switch (random.below(8)) {
    case 0:
      return endpointUrl(random);
    case 1:
      return null;
    case 2:
      return anyDoc(random, 2);
    case 3:
      return objectDoc(parts.customers);
    default:
      return random.pick(parts.endpoints)[0];
  }
}

/** A merge patch of a config. */
export function configMerge(random: Random, parts: ConfigParts): Doc {
  if (random.once(20)) return anyDoc(random, 3);
  const members: [string, Doc][] = [];
  if (random.once(3)) {
    members.push(["default_placement", configValue(random, parts)]);
  }
  if (!random.once(3)) {
    members.push([
      "customer_to_placement",
      objectDoc(random.list(5, () => [
        parts.customers.length > 0 && random.once(2)
          ? random.pick(parts.customers)[0]
          : customerName(random),
        configValue(random, parts),
      ])),
    ]);
  }
  if (random.once(3)) {
    members.push([
      "placement_to_endpoint",
      objectDoc(random.list(2, () => [
        random.once(2) ? random.pick(parts.endpoints)[0] : "fresh",
        random.once(3) ? null : endpointUrl(random),
      ])),
    ]);
  }
  if (random.once(15)) members.push(["__proto__", anyDoc(random, 2)]);
  return objectDoc(members);
}
