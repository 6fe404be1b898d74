import {
  encode,
  encodeAnnouncement,
  encodeConfigUpdate,
  MAX_ERROR_LENGTH,
  parseAnnouncement,
  type Parsed,
  parseToControlPlane,
  parseToRouter,
  type ToControlPlane,
  type ToRouter,
} from "../../../shared/protocol.ts";
import { writeJson } from "../../../shared/json.ts";
import { type Direction, messageText, someDigest } from "../inputs/messages.ts";
import { messageKind } from "../models/protocol_model.ts";
import { deepText } from "../inputs/json.ts";
import { modelJson } from "../models/json_model.ts";
import { mutate, soundOrNot } from "../mutate.ts";
import type { Random } from "../../harness/random.ts";
import { ensure, ensureSame, target, type Verdict } from "../target.ts";

const TOKENS = [
  '"type":"ping"',
  '"version":0',
  '"version":1.0',
  '"epoch":""',
  '"config":null',
  '"config":{"a":1,"a":2}',
  "sha256:",
  "gzip",
  '"applied"',
];

const MAX_DEPTH = 64;

export const toRouter = target({
  name: "to-router",
  weight: 40,
  make: (random) => wireText(random, "to_router"),
  check: (text) => checkMessage(text, "to_router"),
  show: (text) => text,
});

export const toControlPlane = target({
  name: "to-control-plane",
  weight: 40,
  make: (random) => wireText(random, "to_control_plane"),
  check: (text) => checkMessage(text, "to_control_plane"),
  show: (text) => text,
});

function wireText(random: Random, direction: Direction): string {
  if (random.once(100)) return deepText(random);
  return soundOrNot(random, () => messageText(random, direction), {
    tokens: TOKENS,
  });
}

function checkMessage(text: string, direction: Direction): Verdict {
  const parsed: Parsed<ToRouter | ToControlPlane> = direction === "to_router"
    ? parseToRouter(text)
    : parseToControlPlane(text);
  const found = parsed.kind === "message"
    ? parsed.message.type
    : parsed.kind === "unknown"
    ? "unknown"
    : null;
  const expected = messageKind(text, direction);
  // Nesting has a limit; the rules of the messages say nothing of it.
  if (
    found === null && expected !== null && modelJson(text)!.depth > MAX_DEPTH
  ) return "refused";
  ensureSame(found, expected, "What it is");
  if (parsed.kind === "malformed") {
    ensure(parsed.reason !== "", "It is malformed without a reason");
    return "refused";
  }
  if (parsed.kind === "message") checkRoundTrip(parsed.message, direction);
  return "accepted";
}

/** What was parsed is what comes out of parsing its encoding. */
function checkRoundTrip(
  message: ToRouter | ToControlPlane,
  direction: Direction,
): void {
  if (message.type === "ack" && message.error !== null) {
    ensure(message.error.length <= MAX_ERROR_LENGTH, "The error is too long");
  }
  let again: Parsed<ToRouter | ToControlPlane>;
  if (message.type === "config_update") {
    const { config } = message;
    const configText = writeJson(config.value);
    again = parseToRouter(encodeConfigUpdate(message, configText));
    ensure(
      again.kind === "message" && again.message.type === "config_update",
      "config_update does not parse",
    );
    const { config: other, ...rest } = again.message;
    const { config: _config, ...expected } = message;
    ensureSame(writeJson(other.value), configText, "Its config");
    ensureSame(rest, expected, "Its other fields");
    return;
  }
  const text = encode(message);
  again = direction === "to_router"
    ? parseToRouter(text)
    : parseToControlPlane(text);
  ensure(again.kind === "message", `${text} does not parse`);
  ensureSame(again.message, message, "After a round trip");
}

const ID_LETTERS = "ABCabc0123._:-";

function announcementText(random: Random): string {
  const id = () => random.text(ID_LETTERS, 1, 12);
  const fields: [string, string][] = [
    ["id", id()],
    ["instance", id()],
    ["epoch", id()],
    ["version", String(random.between(1, 99))],
    ["digest", someDigest(random)],
    [
      "features",
      random.list(3, () => random.pick(["drained", "a", ""])).join(),
    ],
    ["future", "x"],
  ];
  const given = random.shuffled(fields.filter(() => !random.once(3)));
  return new URLSearchParams(given).toString();
}

const ANNOUNCED: Readonly<Record<string, RegExp>> = {
  id: /^[\w.:-]{1,128}$/,
  instance: /^[\w.:-]{1,128}$/,
  epoch: /^[\w.:-]{1,64}$/,
  version: /^[1-9][0-9]{0,15}$/,
  digest: /^sha256:[0-9a-f]{64}$/,
  features: /^[a-z0-9_.,-]{0,256}$/,
};

/** What a router tells of itself as it connects. */
export const announcement = target({
  name: "announcement",
  weight: 20,
  make: (random) =>
    random.once(2)
      ? announcementText(random)
      : mutate(random, announcementText(random), {
        tokens: ["&", "=", "id=", "&version=1", "%", "%zz", "+", "&epoch="],
      }),
  check(text) {
    const query = new URLSearchParams(text);
    const sound = Object.entries(ANNOUNCED).every(([name, form]) => {
      const values = query.getAll(name);
      return values.length === 0 ||
        (values.length === 1 && form.test(values[0]!));
    });
    const parsed = parseAnnouncement(query);
    if (!parsed.ok) {
      ensure(parsed.problems.length > 0, "Refused without a problem");
      const version = Number(query.get("version"));
      ensure(
        !sound || version > Number.MAX_SAFE_INTEGER,
        "A sound one is refused",
      );
      return "refused";
    }
    ensure(sound, "One that breaks the rules is taken");
    const again = parseAnnouncement(encodeAnnouncement(parsed.announcement));
    ensure(again.ok, "Its encoding is refused");
    ensureSame(again.announcement, parsed.announcement, "After a round trip");
    return "accepted";
  },
  show: (text) => text,
});
