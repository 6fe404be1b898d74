import type { Random } from "../../harness/random.ts";
import { configDoc } from "./config.ts";
import { anyDoc, type Doc, docText, objectDoc } from "./json.ts";

/** A field of a message, and what may stand in it. */
type Fields = Readonly<Record<string, (random: Random) => Doc | undefined>>;

const EPOCHS = ["e", "f", "01J:x_y-z.9", "e".repeat(64)];
const DIGITS = "0123456789abcdef";

const version = (random: Random) =>
  random.pick([1, 2, 3, 4, 5, 6, 42, Number.MAX_SAFE_INTEGER]);
const maybe = (make: (random: Random) => Doc) => (random: Random) =>
  random.once(3) ? random.once(3) ? null : undefined : make(random);
const epoch = (random: Random) => random.pick(EPOCHS);
const epochs = (random: Random) => random.list(3, () => epoch(random));

const trace = (random: Random) =>
  random.pick([`00-${"a".repeat(32)}-${"b".repeat(16)}-01`, "00-0-0-01", 7]);

/** A digest; few, so that some are the same. */
export function someDigest(random: Random): string {
  return `sha256:${random.pick(["0", "a", "f"]).repeat(63)}${
    random.once(9) ? random.pick([...DIGITS]) : "0"
  }`;
}

const TO_ROUTER: Readonly<Record<string, Fields>> = {
  config_update: {
    version,
    config: configDoc,
    epoch: maybe(epoch),
    digest: maybe(someDigest),
    supersedes: maybe(epochs),
    guarded_since: maybe((random) => random.once(4) ? 0 : version(random)),
    traceparent: maybe(trace),
  },
  config_begin: {
    version,
    epoch,
    digest: someDigest,
    supersedes: maybe(epochs),
    guarded_since: maybe((random) => random.once(4) ? 0 : version(random)),
    encoding: () => "gzip",
    bytes: (random) => random.pick([1, 3, 10, 1000, 2000, 2 ** 40]),
  },
  ping: {
    version: maybe((random) => random.once(4) ? 0 : version(random)),
    epoch: maybe(epoch),
  },
  hold: {
    id: epoch,
    version,
    customers: (random) => random.list(3, () => random.pick(["acme", "b", ""])),
    until_released: maybe((random) => random.pick([true, false, 1])),
    for_ms: (random) => random.pick([0, 1, 300_000, 300_001]),
    cut_streams_ms: maybe((random) => random.pick([0, 70, 300_001])),
  },
  release: { id: epoch },
  cut_streams: {
    version,
    after_ms: maybe((random) => random.pick([0, 70, 300_001])),
  },
};

const TO_CONTROL_PLANE: Readonly<Record<string, Fields>> = {
  ack: {
    version,
    status: (random) => random.pick(["applied", "rejected"]),
    error: maybe((random) => "x".repeat(random.pick([0, 3, 20_000]))),
    epoch: maybe(epoch),
    durable: maybe((random) => random.once(2)),
  },
  pong: { version: maybe(version), epoch: maybe(epoch) },
  drained: {
    version,
    digest: maybe(someDigest),
    epoch: maybe(epoch),
    durable: maybe((random) => random.once(2)),
  },
  draining: {
    version,
    digest: maybe(someDigest),
    epoch: maybe(epoch),
    durable: maybe((random) => random.once(2)),
    requests: maybe((random) => random.below(3)),
    streams: maybe((random) => random.below(3)),
    oldest_ms: maybe((random) => random.pick([0, 70, 2 ** 40])),
  },
  holding: {
    id: epoch,
    requests: maybe((random) => random.below(3)),
    streams: maybe((random) => random.below(3)),
    oldest_ms: maybe((random) => random.pick([0, 70, 2 ** 40])),
    waiting: maybe((random) => random.below(3)),
  },
};

export type Direction = "to_router" | "to_control_plane";

/** A message one side may get; of ten, one has a wrong field and one has a field that is not known. */
export function messageText(random: Random, direction: Direction): string {
  const all = direction === "to_router" ? TO_ROUTER : TO_CONTROL_PLANE;
  const type = random.pick(Object.keys(all));
  const members: [string, Doc][] = [["type", type]];
  for (const [name, make] of Object.entries(all[type]!)) {
    const value = make(random);
    if (value !== undefined) members.push([name, value]);
  }
  if (random.once(10)) {
    members[random.below(members.length)]![1] = anyDoc(random, 1);
  }
  if (random.once(10)) {
    members.push([random.pick(["future", "__proto__"]), anyDoc(random, 2)]);
  }
  if (random.once(30)) members.push(random.pick(members));
  if (random.once(30)) members[0] = ["type", "future"];
  return docText(objectDoc(random.shuffled(members)), random);
}
