import { equal, throws } from "node:assert/strict";
import { parseToRouter } from "../../shared/protocol.ts";
import { PartCounter } from "./part_counter.ts";

const BEGIN = {
  type: "config_begin",
  version: 3,
  epoch: "e",
  digest: `sha256:${"0".repeat(64)}`,
  supersedes: [],
  encoding: "gzip",
  bytes: 10,
} as const;

Deno.test("PartCounter gives a byte when all that was announced has come", () => {
  const counter = new PartCounter();
  const told = parseToRouter(counter.begins(BEGIN));
  equal(
    told.kind === "message" && told.message.type === "config_begin" &&
      told.message.bytes,
    1,
  );
  equal(counter.takes(new Uint8Array(6)), null);
  equal(counter.takes(new Uint8Array(4))?.length, 1);
});

Deno.test("PartCounter refuses what was not announced", () => {
  const counter = new PartCounter();
  throws(
    () => counter.takes(new Uint8Array(1)),
    /1 bytes, and 0 were announced/,
  );
  counter.begins(BEGIN);
  counter.takes(new Uint8Array(6));
  throws(
    () => counter.takes(new Uint8Array(5)),
    /11 bytes, and 10 were announced/,
  );
  // The next config begins anew.
  counter.begins(BEGIN);
  equal(counter.takes(new Uint8Array(10))?.length, 1);
});
