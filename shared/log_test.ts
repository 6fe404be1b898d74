import { deepEqual, equal, match } from "node:assert/strict";
import { logger, openLog } from "./log.ts";

function collector() {
  const chunks: string[] = [];
  const decoder = new TextDecoder();
  return {
    lines: () => chunks.join("").split("\n").filter((line) => line !== ""),
    write: (bytes: Uint8Array) => {
      chunks.push(decoder.decode(bytes));
      return Promise.resolve();
    },
  };
}

Deno.test("openLog() writes one JSON object a line, errors with their causes", async () => {
  const { lines, write } = collector();
  const end = await openLog({ level: "info", format: "json", write });
  const error = new Error("outer", { cause: new TypeError("inner") });
  logger("router", "link").info("host:{key} of {{a}", {
    version: 3,
    error,
    level: "kept out",
  });
  logger("router").debug("too quiet");
  await end();
  const [line, ...rest] = lines().map((line) => JSON.parse(line));
  deepEqual(rest, []);
  const { time, ...fields } = line;
  match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  deepEqual(fields, {
    level: "info",
    logger: "router.link",
    message: "host:{key} of {{a}",
    version: 3,
    error: "Error: outer – caused by TypeError: inner",
  });
});

Deno.test("openLog() never waits for a stalled reader, and tells how many lines that cost", async () => {
  const { lines, write } = collector();
  const stalled = Promise.withResolvers<void>();
  const end = await openLog({
    level: "info",
    format: "json",
    write: async (bytes) => {
      await stalled.promise;
      await write(bytes);
    },
  });
  const filler = "x".repeat(10_000);
  for (let i = 0; i < 1000; i++) logger("test").info("full", { filler });
  stalled.resolve();
  await end();
  await end();
  const told = lines().map((line) => JSON.parse(line));
  const dropped = told.find(({ dropped }) => dropped !== undefined)?.dropped;
  equal(
    told.filter(({ message }) => message === "full").length + dropped,
    1000,
  );
});
