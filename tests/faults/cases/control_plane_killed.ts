import { equal, ok } from "node:assert/strict";
import { startCell } from "../../harness/cell.ts";
import { configOf } from "../../harness/config.ts";
import { ControlPlane } from "../../harness/control_plane.ts";
import { KeepAlive, type RawAnswer } from "../../harness/keep_alive.ts";
import { Load } from "../../harness/load.ts";
import { dataFolder } from "../../harness/program.ts";
import { Router } from "../../harness/router.ts";
import { until } from "../../harness/until.ts";
import { fault, type Tally } from "../fault.ts";
import { Random } from "../../harness/random.ts";

/**
 * A stream of edits, several at a time, into a control plane that is killed again and again. What is promised: what was
 * answered with 2xx is there for ever, with its version and digest; what was not answered is there as a whole or not at
 * all; no version ever stands for two contents, and none comes back; requests do not notice.
 */

const KILLS = 100;
/** The longest time that edits get between a start and the kill, in milliseconds. */
const MAX_EDITING_MS = 120;
const PLACEMENTS = ["one", "two", "three"];

/** Customers that one stream of edits moves, all of them with each edit. */
interface Group {
  readonly customers: readonly string[];
  /** Where an answered edit has put them. */
  placement: string;
  /** Where an edit was to put them that was not answered; null for none. */
  unanswered: string | null;
}

/** Every version that was ever answered or listed, with its digest. */
class History {
  readonly #digests = new Map<number, string>();
  newest = 0;

  /** Notes a version, and counts it as lost if it stood for something else before. */
  note(version: number, digest: string, tally: Tally): void {
    const known = this.#digests.get(version);
    if (known !== undefined && known !== digest) tally.lost++;
    this.#digests.set(version, digest);
    this.newest = Math.max(this.newest, version);
  }

  get size(): number {
    return this.#digests.size;
  }
}

fault(
  "control plane: kill -9 at random moments of a stream of edits",
  async (tally) => {
    const seed = Number(
      Deno.env.get("FAULT_SEED") ?? Math.floor(Math.random() * 2 ** 31),
    );
    const random = new Random(seed);
    tally.notes.push(`seed ${seed}`);
    await using folder = await dataFolder();
    await using stack = new AsyncDisposableStack();
    const cells = PLACEMENTS.map((name) => stack.use(startCell(name)));
    let controlPlane = await ControlPlane.start(folder.path);
    stack.defer(async () => {
      await controlPlane.program.kill("SIGKILL");
    });
    const groups = Array.from({ length: 4 }, (_, group): Group => ({
      // The first two edit single customers, the others move five at once.
      customers: Array.from(
        { length: group < 2 ? 1 : 5 },
        (_, i) => `group-${group}-${i}`,
      ),
      placement: "one",
      unanswered: null,
    }));
    const config = configOf(cells);
    for (const { customers, placement } of groups) {
      for (const name of customers) {
        config.customer_to_placement[name] = placement;
      }
    }
    const { body } = await controlPlane.call("PUT", "/v1/config", {
      body: config,
    });
    const history = new History();
    history.note(body.version, body.digest, tally);
    const options = { folder: folder.path, cpUrl: controlPlane.connectUrl };
    const routers = await Promise.all(
      ["a", "b"].map((id) => Router.start(id, options)),
    );
    for (const router of routers) stack.use(router);
    await Promise.all(routers.map((router) => router.serves(1)));

    await using load = Load.start(routers.map(({ url }) => url), {
      connections: 4,
    });
    for (let kill = 0; kill < KILLS; kill++) {
      const { program } = controlPlane;
      const url = controlPlane.url;
      const editing = groups.map((group) =>
        editUntilKilled(group, { url, random, history, tally })
      );
      await new Promise((resolve) =>
        setTimeout(resolve, random.below(MAX_EDITING_MS))
      );
      await program.kill("SIGKILL");
      tally.injected++;
      await Promise.all(editing);
      controlPlane = await controlPlane.again();
      await compare(controlPlane, { groups, history, tally });
    }
    const head = history.newest;
    await Promise.all(routers.map((router) => router.serves(head)));
    await load.stop();
    tally.requests = load.requests;
    tally.failed = load.failures.length;
    equal(load.failures[0], undefined);
    // Had the edits not come through between the kills, this would have shown nothing.
    ok(tally.acknowledged > KILLS, `only ${tally.acknowledged} edits`);
  },
);

/** Edits one group after the answer to its edit before, until the control plane is gone. */
async function editUntilKilled(
  group: Group,
  { url, random, history, tally }: {
    url: string;
    random: Random;
    history: History;
    tally: Tally;
  },
): Promise<void> {
  let connection: KeepAlive | null = null;
  try {
    connection = await KeepAlive.connect(url);
    for (;;) {
      const placement = random.pick(
        PLACEMENTS.filter((name) => name !== group.placement),
      );
      group.unanswered = placement;
      const [first, ...others] = group.customers;
      const { status, body }: RawAnswer = others.length === 0
        ? await connection.send("PATCH", `/v1/customers/${first}`, {
          json: { placement },
        })
        : await connection.send("POST", "/v1/moves", {
          json: { customers: group.customers, to: placement },
        });
      equal(status, 200, body);
      const { version, digest, changed } = JSON.parse(body);
      equal(changed, true);
      group.placement = placement;
      group.unanswered = null;
      tally.acknowledged++;
      history.note(version, digest, tally);
    }
  } catch (error) {
    // The kill ended the connection; anything else is a finding.
    if (error instanceof Error && error.name === "AssertionError") throw error;
  } finally {
    connection?.[Symbol.dispose]();
  }
}

/** Compares what a control plane has that was just started with what it has acknowledged before. */
async function compare(
  controlPlane: ControlPlane,
  { groups, history, tally }: {
    groups: readonly Group[];
    history: History;
    tally: Tally;
  },
): Promise<void> {
  const { body } = await until(
    "the config to be read",
    async () => {
      const answer = await controlPlane.call("GET", "/v1/config");
      return answer.status === 200 ? answer : null;
    },
  );
  if (body.version < history.newest) tally.lost++;
  history.note(body.version, body.digest, tally);
  for (const group of groups) {
    const found = new Set<string>(
      group.customers.map((name) => body.config.customer_to_placement[name]),
    );
    const [placement] = found;
    // In part, or neither what was answered nor what was under way.
    if (
      found.size !== 1 ||
      (placement !== group.placement && placement !== group.unanswered)
    ) tally.lost++;
    group.placement = placement!;
    group.unanswered = null;
  }
  const listed = await controlPlane.call("GET", "/v1/versions?limit=100");
  for (const [index, { version, digest }] of listed.body.versions.entries()) {
    if (version !== body.version - index) tally.lost++;
    history.note(version, digest, tally);
  }
}
