import assert from "node:assert/strict";
import { until } from "../../harness/until.ts";
import {
  configJson,
  patchJson,
  placementOf,
  randomNames,
} from "./customers.ts";
import { Scene, type Step } from "./scene.ts";

/** Edits of one customer each that are timed. */
const EDITS = 300;
/** Edits of one customer each in the history. */
const HISTORY = 1000;
const BURST = 200;

/** What was measured with one number of customers. Times are in milliseconds. */
export interface Measured {
  readonly customers: number;
  readonly steps: readonly Step[];
  /** From the request to the answer, for each edit. */
  readonly editMs: readonly number[];
  /** What the control plane says it has written, for each edit. */
  readonly writtenBytes: number;
  /** What the store's files have grown by, for each edit. */
  readonly grownBytes: number;
  /** The most memory that the control plane had resident: up to the edits, and in all. */
  readonly peakBytes: { readonly edits: number; readonly all: number };
  /** The size of the store's files at the end. */
  readonly fileBytes: number;
  readonly burst: Burst | null;
}

/** What came of many edits at once. */
export interface Burst {
  readonly edits: number;
  /** From the first version's time to the last one's. */
  readonly committedMs: number;
  /** Until the last answer: the router has acked each. */
  readonly answeredMs: number;
  readonly pushes: number;
  /** Answers that came before the router had acked that version or a newer one. */
  readonly untrue: number;
}

/** Which of the further measurements are made. */
export interface Extent {
  readonly burst: boolean;
  /** A thousand edits and what can be done with them, and every call that handles a whole config. */
  readonly history: boolean;
}

export async function measure(
  customers: number,
  { burst, history, tell }: Extent & { tell: (text: string) => void },
): Promise<Measured> {
  const names = randomNames(customers);
  await using scene = await Scene.start(tell);
  await scene.step(
    "nothing, for 2 s",
    () => new Promise((resolve) => setTimeout(resolve, 2000)),
  );
  const body = configJson(names);
  await scene.step(
    "PUT /v1/config",
    () => scene.call("PUT", "/v1/config", { body }),
  );
  await acked(scene, 1);
  const edits = await measureEdits(scene, names);
  const peak = await scene.peakBytes();
  const found = {
    burst: burst ? await measureBurst(scene, names) : null,
  };
  if (history) {
    await measureHistory(scene, names);
    await measureLarge(scene, names);
  }
  const peakBytes = { edits: peak, all: await scene.peakBytes() };
  if (history) await scene.restart("start from the store");
  return {
    customers,
    steps: scene.steps,
    ...edits,
    ...found,
    peakBytes,
    fileBytes: await scene.fileBytes(),
  };
}

async function measureEdits(
  scene: Scene,
  names: readonly string[],
): Promise<Pick<Measured, "editMs" | "writtenBytes" | "grownBytes">> {
  const written = await scene.writtenBytes();
  const size = await scene.fileBytes();
  const editMs: number[] = [];
  await scene.step(`${EDITS} × PATCH /v1/customers/x`, async () => {
    for (let n = 0; n < EDITS; n++) {
      const began = performance.now();
      await move(scene, names, n);
      editMs.push(performance.now() - began);
    }
  });
  return {
    editMs,
    writtenBytes: (await scene.writtenBytes() - written) / EDITS,
    grownBytes: (await scene.fileBytes() - size) / EDITS,
  };
}

/** Moves one customer, chosen by the number of the edit, to the placement after its first one. */
async function move(
  scene: Scene,
  names: readonly string[],
  edit: number,
  query = "",
): Promise<EditAnswer> {
  const index = edit % names.length;
  // Where there are fewer customers than edits, each is moved on another time.
  const moves = 1 + Math.floor(edit / names.length);
  const text = await scene.call(
    "PATCH",
    `/v1/customers/${names[index]}${query}`,
    { body: JSON.stringify({ placement: placementOf(index, moves) }) },
  );
  const answer: EditAnswer = JSON.parse(text);
  assert.equal(answer.changed, true);
  return answer;
}

interface EditAnswer {
  readonly version: number;
  readonly changed: boolean;
  readonly digest: string;
  readonly rollout?: { readonly applied: number; readonly pending: string[] };
}

async function measureBurst(
  scene: Scene,
  names: readonly string[],
): Promise<Burst> {
  const { link } = scene;
  const before = await newest(scene);
  await acked(scene, before.version);
  const pushesBefore = link.pushes;
  let untrue = 0;
  const began = performance.now();
  const versions = await scene.step(
    `a burst of ${BURST} edits`,
    () =>
      Promise.all(Array.from({ length: BURST }, async (_, n) => {
        const answer = await move(
          scene,
          names,
          EDITS + n,
          "?wait=applied&timeout=60s",
        );
        if (answer.rollout?.applied !== 1 || link.acked < answer.version) {
          untrue++;
        }
        return answer.version;
      })),
  );
  const answeredMs = performance.now() - began;
  assert.deepEqual(
    versions.sort((a, b) => a - b),
    Array.from({ length: BURST }, (_, n) => before.version + 1 + n),
  );
  const [first, last] = await Promise.all(
    [before.version + 1, before.version + BURST].map((n) => infoOf(scene, n)),
  );
  return {
    edits: BURST,
    committedMs: Date.parse(last!.created_at) - Date.parse(first!.created_at),
    answeredMs,
    pushes: link.pushes - pushesBefore,
    untrue,
  };
}

interface Info {
  readonly version: number;
  readonly created_at: string;
  readonly digest: string;
}

async function newest(scene: Scene): Promise<Info> {
  const text = await scene.call("GET", "/v1/versions?limit=1");
  return JSON.parse(text).versions[0];
}

async function infoOf(scene: Scene, version: number): Promise<Info> {
  for await (const info of history(scene)) {
    if (info.version === version) return info;
  }
  throw new Error(`The history has no version ${version}`);
}

/** All versions that are kept, newest first. */
async function* history(scene: Scene): AsyncGenerator<Info> {
  let cursor: string | null = "";
  while (cursor !== null) {
    const text: string = await scene.call(
      "GET",
      `/v1/versions?limit=1000${cursor === "" ? "" : `&cursor=${cursor}`}`,
    );
    const { versions, next_cursor } = JSON.parse(text);
    yield* versions;
    cursor = next_cursor;
  }
}

/** Waits until the router's link has acked a version. */
async function acked(scene: Scene, version: number): Promise<void> {
  await until(`version ${version} to be acked`, () => {
    scene.link.check();
    return scene.link.acked >= version;
  }, 60_000);
}

/** A thousand edits, after which the history, a diff over all of it and restoring its first version work. */
async function measureHistory(
  scene: Scene,
  names: readonly string[],
): Promise<void> {
  const first = await newest(scene);
  await scene.step(`${HISTORY} edits more`, async () => {
    for (let n = 0; n < HISTORY; n++) {
      await move(scene, names, EDITS + BURST + n);
    }
  });
  const last = first.version + HISTORY;
  const listed = await scene.step(
    "GET /v1/versions, all pages",
    async () => (await Array.fromAsync(history(scene))).map((v) => v.version),
  );
  assert.deepEqual(
    listed.slice(0, HISTORY + 1),
    Array.from({ length: HISTORY + 1 }, (_, n) => last - n),
  );
  const diff = await scene.step(
    "diff of the first and the last of them",
    () => scene.call("GET", `/v1/versions/${last}/diff?from=${first.version}`),
  );
  assert.deepEqual(JSON.parse(diff).summary, {
    customers_added: 0,
    customers_removed: 0,
    customers_moved: HISTORY,
    placements_added: 0,
    placements_removed: 0,
    placements_changed: 0,
    default_changed: false,
  });
  const restored = await scene.step(
    "restore of the first",
    () => scene.call("POST", `/v1/versions/${first.version}/restore`),
  );
  assert.equal(JSON.parse(restored).digest, first.digest);
  await acked(scene, last + 1);
}

/** Every other call that handles a whole config, or many customers. */
async function measureLarge(
  scene: Scene,
  names: readonly string[],
): Promise<void> {
  const other = configJson(names, 1);
  const calls: [name: string, run: () => Promise<unknown>][] = [
    [
      "the same PUT, dry run",
      () => scene.call("PUT", "/v1/config?dry_run=true", { body: other }),
    ],
    [
      "PUT of other contents",
      () => scene.call("PUT", "/v1/config", { body: other }),
    ],
    [
      "PUT with an error in every third customer",
      () =>
        scene.call("PUT", "/v1/config", {
          body: other.replaceAll(':"tier1"', ':"tier4"'),
          status: 422,
        }),
    ],
    [
      "PUT that is not JSON at its end",
      () => scene.call("PUT", "/v1/config", { body: `${other}}`, status: 400 }),
    ],
    ["merge patch of 1,000 customers", () =>
      scene.call("PATCH", "/v1/config", {
        body: patchJson(names.slice(0, 1000), 2),
      })],
    [
      "merge patch of all customers",
      () => scene.call("PATCH", "/v1/config", { body: patchJson(names, 3) }),
    ],
    [
      "merge patch that takes a placement in use away",
      () =>
        scene.call("PATCH", "/v1/config", {
          body: '{"placement_to_endpoint":{"tier3":null}}',
          status: 422,
        }),
    ],
    [
      "move of a placement's customers",
      () =>
        scene.call("POST", "/v1/moves", {
          body: '{"from":"tier1","to":"tier2"}',
        }),
    ],
    ["move of all customers by name", () =>
      scene.call("POST", "/v1/moves", {
        body: JSON.stringify({ customers: names, to: "tier1" }),
      })],
    ["GET /v1/config", () => scene.call("GET", "/v1/config")],
    ["takeover", () => scene.call("POST", "/v1/takeover")],
  ];
  for (const [name, run] of calls) {
    await scene.step(name, run);
    await acked(scene, (await newest(scene)).version);
  }
}
