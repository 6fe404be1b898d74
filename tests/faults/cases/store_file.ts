import { equal, match, ok } from "node:assert/strict";
import type { LogLine } from "../../harness/program.ts";
import { fault, type Tally } from "../fault.ts";
import { Random } from "../../harness/random.ts";
import { StoreFleet } from "../store_fleet.ts";

/**
 * Somebody, or the disk, changes the store's file. What is promised: nothing is pushed that is empty, partial, older or
 * foreign; routers keep what they serve; the control plane says what is wrong and what to do; the way out that README
 * names ends it, with the contents that routers served. "Lost" is every time a router was seen with anything else.
 */

const FLIPS = 5;

/** Runs one fault on a fleet of its own; `tally.acknowledged` counts versions that every router had applied. */
function storeFault(
  what: string,
  run: (fleet: StoreFleet, tally: Tally) => Promise<void>,
): void {
  fault(`store file: ${what}`, async (tally) => {
    await using fleet = await StoreFleet.start(tally);
    for (let i = 0; i < 3; i++) await fleet.edit();
    await run(fleet, tally);
    await fleet.finish();
  });
}

async function end(fleet: StoreFleet): Promise<void> {
  await fleet.controlPlane.program.kill("SIGKILL");
}

/** Takes the store away: its file, and what the database keeps beside it. */
async function remove(fleet: StoreFleet): Promise<void> {
  for (const suffix of ["", "-wal", "-shm"]) {
    await Deno.remove(fleet.file + suffix).catch(ignoreMissing);
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

/** A copy of the store, made while nobody has it open; `to` is a folder. */
async function copy(fleet: StoreFleet, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for (const suffix of ["", "-wal"]) {
    await Deno.copyFile(fleet.file + suffix, `${to}/cp.kv${suffix}`)
      .catch(ignoreMissing);
  }
}

/** Turns one bit of a file, of a byte that is not zero: most zeros belong to nothing. */
async function flipBit(path: string, random: Random): Promise<void> {
  const bytes = await Deno.readFile(path);
  let at = random.below(bytes.length);
  while (bytes[at] === 0) at = (at + 1) % bytes.length;
  bytes[at]! ^= 1 << random.below(8);
  await Deno.writeFile(path, bytes);
}

async function putBack(fleet: StoreFleet, from: string): Promise<void> {
  await remove(fleet);
  for (const suffix of ["", "-wal"]) {
    await Deno.copyFile(`${from}/cp.kv${suffix}`, fleet.file + suffix)
      .catch(ignoreMissing);
  }
}

/** Starts it on a file that it cannot use, and answers what it ended with. */
async function refusesToStart(fleet: StoreFleet): Promise<LogLine> {
  const started = await fleet.controlPlane.again().then(
    ({ program }) => program,
    (error: Error) => error,
  );
  ok(started instanceof Error, "it started");
  const line = started.message.split("\n").find((line) =>
    line.includes('"level":"error"') || line.includes('"level":"fatal"')
  );
  ok(line !== undefined, started.message);
  return JSON.parse(line);
}

storeFault("emptied", async (fleet, tally) => {
  await end(fleet);
  await remove(fleet);
  await Deno.writeFile(fleet.file, new Uint8Array());
  tally.injected++;
  await fleet.started();
  await fleet.holds();
  // What is new and empty has nothing to push, and a new beginning is a conflict until somebody decides.
  await fleet.putBack();
  await fleet.tellsConflict();
  await fleet.holds();
  await fleet.takeOver();
  await fleet.edit();
});

storeFault("cut in the middle", async (fleet, tally) => {
  await fleet.controlPlane.program.stop();
  const { size } = await Deno.stat(fleet.file);
  await Deno.truncate(fleet.file, size >> 1);
  tally.injected++;
  const line = await refusesToStart(fleet);
  match(JSON.stringify(line), /damaged|malformed/);
  match(JSON.stringify(line), /takeover/);
  await remove(fleet);
  await fleet.started();
  await fleet.holds();
  await fleet.takeOver();
  await fleet.edit();
});

storeFault("one bit flipped", async (fleet, tally) => {
  await fleet.controlPlane.program.stop();
  const backup = `${fleet.folder}/backup`;
  await copy(fleet, backup);
  const random = new Random(1);
  const seen: Record<string, number> = {};
  for (let i = 0; i < FLIPS; i++) {
    await flipBit(fleet.file, random);
    tally.injected++;
    const outcome = await fleet.started().then(
      () => fleet.standing(),
      () => "refuses to start" as const,
    );
    seen[outcome] = (seen[outcome] ?? 0) + 1;
    if (outcome === "damaged") {
      await fleet.tellsDamage();
      equal((await fleet.controlPlane.call("GET", "/v1/config")).status, 503);
    }
    if (outcome !== "refuses to start") {
      await fleet.holds();
      await end(fleet);
    }
    await putBack(fleet, backup);
  }
  await fleet.started();
  await fleet.edit();
  tally.notes.push(
    `of ${FLIPS} bits: ${
      Object.entries(seen).map(([what, n]) => `${n} ${what}`).join(", ")
    }`,
  );
});

storeFault("restored from yesterday", async (fleet, tally) => {
  await fleet.controlPlane.program.stop();
  const backup = `${fleet.folder}/backup`;
  await copy(fleet, backup);
  await fleet.started();
  for (let i = 0; i < 5; i++) await fleet.edit();
  await fleet.controlPlane.program.stop();
  await putBack(fleet, backup);
  tally.injected++;
  await fleet.started();
  equal(await fleet.standing(), "conflict");
  await fleet.tellsConflict();
  await fleet.holds();
  // Edits that reach the routers' number, and go beyond it, do not make yesterday's history theirs.
  for (let i = 0; i < 8; i++) equal((await fleet.tryEdit()).status, 200);
  await fleet.reconnect();
  await fleet.tellsConflict();
  await fleet.takeOver();
  await fleet.edit();
});

storeFault("replaced by another control plane's", async (fleet, tally) => {
  await using other = await StoreFleet.start(tally);
  for (let i = 0; i < 6; i++) await other.edit();
  await other.controlPlane.program.stop();
  const foreign = `${fleet.folder}/foreign`;
  await copy(other, foreign);
  await other.started();
  await other.finish();
  await fleet.controlPlane.program.stop();
  await putBack(fleet, foreign);
  tally.injected++;
  await fleet.started();
  equal(await fleet.standing(), "conflict");
  await fleet.tellsConflict();
  await fleet.holds();
  await fleet.takeOver();
  await fleet.edit();
});

storeFault("replaced under the running control plane", async (fleet, tally) => {
  await remove(fleet);
  await Deno.writeFile(fleet.file, new Uint8Array());
  tally.injected++;
  const { status, body } = await fleet.tryEdit();
  equal(status, 503);
  match(body.detail, /was (replaced|removed)/);
  await fleet.holds();
  await fleet.restart();
  await fleet.takeOver();
  await fleet.edit();
});
