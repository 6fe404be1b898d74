import { deepEqual, ok } from "node:assert/strict";
import { MAX_CUSTOMERS, MAX_PLACEMENTS, MAX_PROBLEMS } from "./config.ts";
import { MAX_ENDPOINT_LENGTH } from "./endpoint.ts";
import {
  CLOSE,
  CONNECT_PATH,
  MAX_ERROR_LENGTH,
  MAX_FRAME_BYTES,
  MAX_HELD_CUSTOMERS,
  MAX_HOLD_MS,
  MAX_PART_BYTES,
  MAX_ROUTER_MESSAGE_BYTES,
  parseAnnouncement,
  parseToControlPlane,
  parseToRouter,
  SUBPROTOCOL,
} from "./protocol.ts";

const DOCUMENT = await Deno.readTextFile(
  new URL("PROTOCOL.md", import.meta.url),
);
const DIGEST = `sha256:${"0".repeat(64)}`;

/** What stands below a heading, up to the next of its rank or above. */
function section(heading: string): string {
  const rank = heading.indexOf(" ");
  const [, after] = DOCUMENT.split(`\n${heading}\n`);
  ok(after !== undefined, heading);
  return after.split(new RegExp(`\n#{1,${rank}} `))[0]!;
}

/** What the first column of a section's tables names: fields, parameters or codes. */
function named(heading: string): string[] {
  return [...section(heading).matchAll(/^\| (?:`([a-z_]+)`|([0-9]{4})) +\|/gm)]
    .map(([, name, code]) => name ?? code!);
}

/** The fields a message is read for. */
function fieldsOf(
  parse: typeof parseToRouter | typeof parseToControlPlane,
  message: object,
): string[] {
  const parsed = parse(JSON.stringify(message));
  ok(parsed.kind === "message", JSON.stringify(parsed));
  return Object.keys(parsed.message).filter((name) => name !== "type").sort();
}

Deno.test("the document names the fields that messages are read for, and no other", () => {
  const push = {
    version: 1,
    epoch: "e",
    digest: DIGEST,
    supersedes: [],
    guarded_since: 0,
    traceparent: `00-${"1".repeat(32)}-${"1".repeat(16)}-00`,
  };
  for (
    const [heading, fields] of [
      [
        "#### `config_update`",
        fieldsOf(parseToRouter, { type: "config_update", ...push, config: {} }),
      ],
      [
        "#### `config_begin` and its parts",
        fieldsOf(parseToRouter, {
          type: "config_begin",
          ...push,
          encoding: "gzip",
          bytes: 1,
        }),
      ],
      ["#### `ping`", fieldsOf(parseToRouter, { type: "ping" })],
      [
        "#### `ack`",
        fieldsOf(parseToControlPlane, {
          type: "ack",
          version: 1,
          status: "applied",
        }),
      ],
      [
        "#### `pong`",
        fieldsOf(parseToControlPlane, { type: "pong", requests: 1 }),
      ],
      [
        "#### `hold`",
        fieldsOf(parseToRouter, {
          type: "hold",
          id: "h",
          version: 0,
          customers: ["a"],
          for_ms: 1,
        }),
      ],
      ["#### `release`", fieldsOf(parseToRouter, { type: "release", id: "h" })],
      [
        "#### `cut_streams`",
        fieldsOf(parseToRouter, { type: "cut_streams", version: 1 }),
      ],
      [
        "#### `holding`",
        fieldsOf(parseToControlPlane, { type: "holding", id: "h" }),
      ],
      [
        "#### `drained`",
        fieldsOf(parseToControlPlane, { type: "drained", version: 1 }),
      ],
      [
        "#### `draining`",
        fieldsOf(parseToControlPlane, { type: "draining", version: 1 }),
      ],
    ] as const
  ) deepEqual(named(heading).sort(), fields, heading);
});

Deno.test("the document names the parameters of an announcement, and no other", () => {
  const result = parseAnnouncement(new URLSearchParams());
  ok(result.ok);
  deepEqual(
    named("## Connecting").sort(),
    Object.keys(result.announcement).sort(),
  );
});

Deno.test("the document names every code a connection is closed with", () => {
  const codes = named("## Ends").map(Number);
  // 1001 by a router that stops, 1011 by a control plane that cannot make a push.
  deepEqual(
    codes.sort(),
    [1001, 1011, ...Object.values(CLOSE)].sort(),
  );
});

Deno.test("the document's limits are the code's", () => {
  for (
    const limit of [
      MAX_FRAME_BYTES,
      MAX_HELD_CUSTOMERS,
      MAX_HOLD_MS,
      MAX_PART_BYTES,
      MAX_ROUTER_MESSAGE_BYTES,
      MAX_ERROR_LENGTH,
      MAX_PLACEMENTS,
      MAX_CUSTOMERS,
      MAX_PROBLEMS,
      MAX_ENDPOINT_LENGTH,
    ]
  ) {
    const text = limit.toLocaleString("en-US");
    ok(new RegExp(`(?<![0-9,])${text}(?![0-9,])`).test(DOCUMENT), text);
  }
  for (const name of [CONNECT_PATH, SUBPROTOCOL]) {
    ok(DOCUMENT.includes(name), name);
  }
});
