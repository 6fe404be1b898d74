import { Buffer } from "node:buffer";
import { createGzip, gzipSync } from "node:zlib";
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { memoryOf } from "../../conformance/process.ts";
import { startCell } from "../../harness/cell.ts";
import { configOf } from "../../harness/config.ts";
import {
  DraftControlPlane,
  type PackedText,
  packText,
} from "../../harness/draft.ts";
import { Load } from "../../harness/load.ts";
import { dataFolder } from "../../harness/program.ts";
import { Router } from "../../harness/router.ts";
import { until } from "../../harness/until.ts";
import { fault } from "../fault.ts";

/**
 * A control plane that pushes rubbish. What is promised: each is refused with the reason, or ends the connection with
 * the code for it; the config before it serves on; a sound push after it is applied; the memory that all of it takes is
 * bounded.
 */

const PART_BYTES = 256 * 1024;
const MEBIBYTE = 2 ** 20;
/** What the largest config allowed may take, read in the form that takes the most, beside the router itself. */
const MAX_MEMORY = 1200 * MEBIBYTE;

/** What is expected of the router. */
type Expected =
  /** It answers `rejected`, and says why. */
  | { readonly rejected: RegExp }
  /** The connection ends, with this code of the router; null where the control plane ends it. */
  | { readonly closed: number | null }
  /** It waits for more, or takes no notice. */
  | { readonly silent: true };

interface Attack {
  readonly name: string;
  readonly expected: Expected;
  send(controlPlane: DraftControlPlane, version: number): void;
}

/** What a control plane says of a config in parts. */
function begin(version: number, fields: Record<string, unknown>) {
  return {
    type: "config_begin",
    version,
    epoch: "e1",
    digest: `sha256:${"0".repeat(64)}`,
    encoding: "gzip",
    ...fields,
  };
}

/** An attack that pushes these bytes in parts; `fields` are of its `config_begin`. */
function parts(
  name: string,
  { gzip, rejected, ...fields }: {
    gzip: () => Uint8Array;
    rejected: RegExp;
    digest?: string;
    epoch?: string;
  },
): Attack {
  return {
    name,
    expected: { rejected },
    send(controlPlane, version) {
      const bytes = new Uint8Array(gzip());
      controlPlane.send(begin(version, { bytes: bytes.length, ...fields }));
      for (let at = 0; at < bytes.length; at += PART_BYTES) {
        controlPlane.sendBinary(bytes.slice(at, at + PART_BYTES));
      }
    },
  };
}

/** A gibibyte of spaces, in about a mebibyte. */
async function zipBomb(): Promise<Uint8Array> {
  const gzip = createGzip({ level: 9 });
  const chunks: Uint8Array[] = [];
  gzip.on("data", (chunk: Uint8Array) => chunks.push(chunk));
  const spaces = new Uint8Array(64 * MEBIBYTE).fill(0x20);
  for (let i = 0; i < 16; i++) {
    await new Promise((resolve) => gzip.write(spaces, resolve));
  }
  await new Promise<void>((resolve) => gzip.end(resolve));
  return Buffer.concat(chunks);
}

/** The text of a config with so many customers. */
function manyCustomers(count: number, endpoint: string): string {
  const pairs = Array.from({ length: count }, (_, i) => `"c${i}":"one"`);
  return `{"customer_to_placement":{${
    pairs.join(",")
  }},"default_placement":"one","placement_to_endpoint":{"one":"${endpoint}"}}`;
}

function attacks(
  { sound, bomb, endpoint }: {
    sound: PackedText;
    bomb: Uint8Array;
    endpoint: string;
  },
): Attack[] {
  const half = sound.gzip.slice(0, sound.gzip.length >> 1);
  return [
    {
      name: "parts that stop in the middle",
      expected: { silent: true },
      send(controlPlane, version) {
        controlPlane.send(begin(version, { bytes: sound.gzip.length }));
        controlPlane.sendBinary(half);
      },
    },
    {
      name: "parts that end with their connection",
      // Deno tells whoever closes without a code of 1005, or of 0 where the end of the connection is seen first.
      expected: { closed: null },
      send(controlPlane, version) {
        controlPlane.send(begin(version, { bytes: sound.gzip.length }));
        controlPlane.sendBinary(half);
        controlPlane.disconnect();
      },
    },
    parts("another digest", {
      gzip: () => sound.gzip,
      rejected: /digest/,
    }),
    parts("parts that are no gzip", {
      gzip: () => new Uint8Array(1000).fill(7),
      rejected: /no gzip member/,
    }),
    parts("gzip of no JSON", {
      gzip: () => gzipSync("no JSON"),
      rejected: /JSON|character/,
    }),
    parts("two members", {
      gzip: () => Buffer.concat([sound.gzip, sound.gzip]),
      digest: sound.digest,
      rejected: /./,
    }),
    parts("a bomb of 1 GiB", { gzip: () => bomb, rejected: /larger than/ }),
    parts("2,000,001 customers", {
      gzip: () => gzipSync(manyCustomers(2_000_001, endpoint), { level: 1 }),
      rejected: /2,?000,?000/,
    }),
    parts("another epoch that supersedes nothing", {
      gzip: () => sound.gzip,
      digest: sound.digest,
      epoch: "e9",
      rejected: /supersede/,
    }),
    {
      name: "an older version",
      expected: { rejected: /older/ },
      send(controlPlane) {
        controlPlane.sendParts(1, sound);
      },
    },
    {
      name: "the served version with other contents",
      expected: { rejected: /other contents/ },
      send(controlPlane, version) {
        controlPlane.send(begin(version - 1, { bytes: 1 }));
        controlPlane.sendBinary(new Uint8Array(1));
      },
    },
    {
      name: "config_begin without end, 200 times",
      expected: { silent: true },
      send(controlPlane, version) {
        for (let i = 0; i < 200; i++) {
          controlPlane.send(begin(version, { bytes: 100 * MEBIBYTE }));
        }
      },
    },
    ...[2 ** 53, -1, 1.5, "1"].map((bytes): Attack => ({
      name: `config_begin of ${JSON.stringify(bytes)} bytes`,
      expected: { closed: 4400 },
      send(controlPlane, version) {
        controlPlane.send(begin(version, { bytes }));
      },
    })),
    {
      name: "more bytes than announced",
      expected: { closed: 4400 },
      send(controlPlane, version) {
        controlPlane.send(begin(version, { bytes: 10 }));
        controlPlane.sendBinary(new Uint8Array(11));
      },
    },
    {
      name: "a part that nothing announced",
      expected: { closed: 4400 },
      send: (controlPlane) => controlPlane.sendBinary(new Uint8Array(10)),
    },
    {
      name: "a part over its limit",
      expected: { closed: 4413 },
      send(controlPlane, version) {
        controlPlane.send(begin(version, { bytes: PART_BYTES + 1 }));
        controlPlane.sendBinary(new Uint8Array(PART_BYTES + 1));
      },
    },
    {
      name: "60 MiB of empty objects",
      expected: { closed: 4400 },
      send(controlPlane, version) {
        const many = "{},".repeat(20 * MEBIBYTE);
        controlPlane.send(
          `{"type":"config_update","version":${version},"config":[${many}{}]}`,
        );
      },
    },
    {
      name: "JSON of a million levels",
      expected: { closed: 4400 },
      send(controlPlane, version) {
        const deep = "[".repeat(1_000_000) + "]".repeat(1_000_000);
        controlPlane.send(
          `{"type":"config_update","version":${version},"config":${deep}}`,
        );
      },
    },
    {
      name: "a config that is none",
      expected: { rejected: /\/default_placement/ },
      send(controlPlane, version) {
        controlPlane.send(
          `{"type":"config_update","version":${version},"config":{"__proto__":{"default_placement":"one"}}}`,
        );
      },
    },
    {
      name: "no JSON",
      expected: { closed: 4400 },
      send: (controlPlane) => controlPlane.send("{"),
    },
    {
      name: "20,000 messages of an unknown type",
      expected: { silent: true },
      send(controlPlane) {
        for (let i = 0; i < 20_000; i++) {
          controlPlane.send({ type: "unknown", i });
        }
      },
    },
  ];
}

fault("hostile control plane: pushes of rubbish", async (tally) => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using two = startCell("two");
  await using controlPlane = new DraftControlPlane();
  const sound = packText(JSON.stringify(configOf([one, two])));
  await using router = await Router.start("r", {
    folder: folder.path,
    cpUrl: controlPlane.url,
  });
  await router.program.line("connected to the control plane");
  let version = 0;
  const push = async () => {
    version++;
    await until("a connection", () => controlPlane.connected === 1);
    controlPlane.sendParts(version, sound);
    const { status, version: of, error } = await controlPlane.inbox.next();
    deepEqual([status, of], ["applied", version], error);
    tally.acknowledged++;
  };
  for (let i = 0; i < 5; i++) await push();
  await using load = Load.start([router.url], { connections: 4, pauseMs: 2 });

  const all = attacks({ sound, bomb: await zipBomb(), endpoint: one.endpoint });
  for (const { name, expected, send } of all) {
    const closes = controlPlane.closes.length;
    const requests = load.answered;
    send(controlPlane, version + 1);
    tally.injected++;
    if ("rejected" in expected) {
      const { status, error } = await controlPlane.inbox.next();
      equal(status, "rejected", name);
      match(error, expected.rejected, name);
      const { last_rejected } = await router.status();
      equal(last_rejected.error, error, name);
    } else if ("closed" in expected) {
      await until(
        `the connection to end: ${name}`,
        () => controlPlane.closes.length > closes,
      );
      if (expected.closed !== null) {
        equal(controlPlane.closes.at(-1), expected.closed, name);
      }
    }
    await until(`requests during ${name}`, () => load.answered > requests + 20);
    equal((await router.ask("acme")).version, version, name);
    await push();
    equal(controlPlane.inbox.pending, 0, name);
  }

  // An epoch that supersedes its own is taken, and then the one before it is not.
  controlPlane.send(
    begin(1, {
      bytes: sound.gzip.length,
      digest: sound.digest,
      epoch: "e2",
      supersedes: ["e1"],
    }),
  );
  controlPlane.sendBinary(sound.gzip);
  equal((await controlPlane.inbox.next()).status, "applied");
  controlPlane.sendParts(version + 1, sound);
  match((await controlPlane.inbox.next()).error, /supersede/);
  equal((await router.ask("acme")).version, 1);
  tally.injected++;

  await load.stop();
  tally.requests = load.requests;
  tally.failed = load.failures.length;
  equal(load.failures[0], undefined);
  const { peak } = await memoryOf(router.program.pid);
  tally.notes.push(
    `${all.length + 1} kinds; the router's memory peaked at ${
      Math.round(peak / MEBIBYTE)
    } MiB`,
  );
  ok(peak < MAX_MEMORY, `${peak} bytes`);
});
