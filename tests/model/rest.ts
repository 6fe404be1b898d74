import type { RouterView } from "../../cp/hub/fleet.ts";
import type { ControlPlane } from "./control_plane.ts";
import { nameOf } from "./history.ts";
import { nameOfNode, type Park } from "./park.ts";
import { RemoteCalls } from "./remote_calls.ts";
import type { Router } from "./router.ts";
import { Process } from "./simulation.ts";

/** How long everything has to come to rest once nothing goes wrong any more, in milliseconds. */
const REST_MS = 120_000;
/** How long a roster takes to know of a router, at least. */
const ROSTER_MS = 3_000;
/** Longer than anything is waited for once it was sent. */
const QUIET_MS = 45_000;
const ANSWER_MS = 12_000;
const ASK_AGAIN_MS = 500;
const STOP_MS = 30_000;
const WAIT_MS = 60_000;
/** Timers of a process that has nothing to do. */
/** One of a router is its link's, another tells of old work. */
const MAX_IDLE_TIMERS = { controlPlane: 8, router: 2 };

/**
 * What has to come of everything once nothing goes wrong any more: who belongs together finds together,
 * conflicts last until they are ended, and everything stops and leaves nothing behind.
 */
export async function comeToRest(park: Park): Promise<{ conflicts: number }> {
  const { simulation } = park;
  heal(park);
  await settle(park, "after all faults");
  await simulation.run(ROSTER_MS, () => false);
  const conflicts = foreign(park).length;
  await checkViews(park);
  if (conflicts > 0) await endConflicts(park);
  if (simulation.seed % 16 === 0) await simulation.run(QUIET_MS, () => false);
  await vouch(park);
  await lastEdit(park);
  await checkViews(park);
  await readBack(park);
  await stop(park);
  return { conflicts };
}

function heal(park: Park): void {
  park.partitions.clear();
  park.place.silenceWatches(0);
  for (const each of park.connections) each.stall(false);
  for (const { process } of [...park.routers, ...park.controlPlanes]) {
    if (process !== null) park.simulation.resume(process);
  }
  for (const each of park.routers) {
    each.rejects = false;
    each.failingSaves = 0;
    each.fatalStep = null;
    each.start();
  }
  for (const each of park.controlPlanes) {
    if (each.calls !== null) {
      each.calls.faults = [];
      each.calls.outageUntil = 0;
      each.calls.deathtrap = null;
    }
    if (each.process !== null) each.process.wallOffset = 0;
    each.start();
  }
}

/** Waits until nobody has to do anything any more. */
async function settle(park: Park, when: string): Promise<void> {
  const { simulation } = park;
  const settled = await simulation.run(
    REST_MS,
    () => open(park) === null,
  );
  if (!settled) {
    simulation.fail("everything comes to rest", `${when}: ${open(park)}`);
  }
}

/** What is not as it has to become; null if nothing. */
function open(park: Park): string | null {
  const { history, controlPlanes, routers } = park;
  const { current } = history;
  const { trial, rollout } = park.place.head;
  if (trial !== null) return "a version waits to be confirmed";
  if (rollout !== null) return `version ${rollout.version} is rolled out`;
  for (const each of controlPlanes) {
    if (each.hub === null || each.stopping) return `${each.name} is down`;
  }
  const conflicts = foreign(park).length > 0;
  for (const router of routers) {
    const { id, process, link, serving } = router;
    const connection = park.liveOf(router);
    if (
      process === null || !link?.status().connected ||
      !connection?.held || !connection.server?.alive
    ) return `${id} is not connected`;
    if (router.data!.holding > 0) return `${id} holds somebody`;
    const stands = park.standing(router);
    // While there are conflicts, who serves nothing may have to wait.
    if (stands === "conflict" || (stands === "blank" && conflicts)) continue;
    if (
      current === null ||
      (serving?.epoch === current.epoch &&
        serving.version === current.version &&
        serving.digest === current.digest)
    ) continue;
    if (park.checker.hasRejected(process.name, current)) continue;
    return `${id} serves ${
      serving === null ? "nothing" : nameOf(serving)
    }, and the store holds ${nameOfNode(current)}`;
  }
  return null;
}

/** Somebody means what software without a guard has done: routers whose guard has refused it take it then. */
async function vouch(park: Park): Promise<void> {
  if (!park.routers.some(({ shutOut }) => shutOut)) return;
  await change(park, () => park.controlPlanes[0]!.takeover());
  await settle(park, "after a takeover that vouches for all");
}

function foreign(park: Park): Router[] {
  return park.routers.filter((router) => park.standing(router) === "conflict");
}

/** The control planes come to say of each router what is true. */
async function checkViews(park: Park): Promise<void> {
  const { simulation, history } = park;
  for (const controlPlane of park.controlPlanes) {
    let wrong: string | null = "no answer";
    const end = simulation.now + REST_MS;
    const over = () => simulation.violation !== null || simulation.now >= end;
    while (wrong !== null && !over()) {
      let views: RouterView[] | null = null;
      controlPlane.within((hub) => {
        void hub.routers().then((answer) => views = answer);
      });
      // It may be about to stop, and never answer.
      const answered = await simulation.run(ANSWER_MS, () => views !== null);
      wrong = answered ? wrongIn(park, views!) : "no answer";
      if (wrong !== null) await simulation.run(ASK_AGAIN_MS, () => false);
    }
    if (wrong === null) continue;
    simulation.fail(
      "the control plane knows its routers",
      `${controlPlane.name}, of a store that holds ${
        nameOfNode(history.current)
      }: ${wrong}`,
    );
  }
}

function wrongIn(park: Park, views: readonly RouterView[]): string | null {
  const conflicts = foreign(park).length > 0;
  for (const view of views) {
    const router = park.routers.find(({ id }) => id === view.id)!;
    if (view.instance !== router.process?.name) continue;
    const stands = park.standing(router);
    const { current } = park.history;
    const rejected = current !== null &&
      park.checker.hasRejected(view.instance, current);
    const allowed = stands === "conflict"
      ? ["conflict"]
      : rejected
      ? ["rejected", "behind", "current"]
      : stands === "blank" && conflicts
      ? ["behind", "current"]
      : ["current"];
    if (!allowed.includes(view.status)) {
      return `${view.id} is called ${view.status}, not ${allowed}`;
    }
  }
  return null;
}

/** An operator has the store become the truth. */
async function endConflicts(park: Park): Promise<void> {
  const { simulation, history, controlPlanes } = park;
  if (history.current === null) {
    await change(park, () => controlPlanes[0]!.edit(LAST, { waitMs: null }));
    await simulation.run(ROSTER_MS, () => false);
  }
  for (let tries = 0; foreign(park).length > 0; tries++) {
    if (tries === 2 * controlPlanes.length || simulation.violation !== null) {
      const left = foreign(park).map(({ id }) => id);
      simulation.fail(
        "a takeover ends conflicts",
        `${left} are in conflict after ${tries} takeovers`,
      );
      return;
    }
    const controlPlane = controlPlanes[tries % controlPlanes.length]!;
    await settle(park, "before a takeover");
    await change(park, () => controlPlane.takeover());
    await settle(park, "after a takeover");
    await simulation.run(ROSTER_MS, () => false);
  }
}

const LAST = new Map([["last", "p1"]]);
const VERY_LAST = new Map([["last", "p2"]]);

/** Does what commits a version. */
async function change(park: Park, commit: () => void): Promise<void> {
  const { simulation, history, controlPlanes } = park;
  // A rule that was set on an empty store may refuse every edit.
  controlPlanes[0]!.pin(null);
  await simulation.run(REST_MS, () => history.lawless);
  const before = history.current;
  commit();
  if (!await simulation.run(REST_MS, () => history.current !== before)) {
    simulation.fail("everything comes to rest", "nothing was committed");
  }
}

/** One more edit reaches everybody, and who waits for that hears of it. */
async function lastEdit(park: Park): Promise<void> {
  const { simulation, controlPlanes, routers } = park;
  const [first] = controlPlanes as [ControlPlane];
  // What was on its way when all faults ended may be to be confirmed, or for canaries first.
  await simulation.run(
    REST_MS,
    () => controlPlanes.every(({ waits }) => waits === 0),
  );
  await settle(park, "before the last edit");
  await change(park, () => first.edit(VERY_LAST, { waitMs: WAIT_MS }));
  await settle(park, "after the last edit");
  const ended = await simulation.run(
    WAIT_MS + 1000,
    () => controlPlanes.every(({ waits }) => waits === 0),
  );
  if (!ended) {
    simulation.fail("who waits is answered", "a wait for a rollout goes on");
    return;
  }
  const { rollout } = first;
  if (
    rollout === null || rollout.pending.length > 0 ||
    rollout.rejected.length > 0 || rollout.applied > routers.length
  ) {
    simulation.fail(
      "who waits is answered",
      `the last edit was answered with ${JSON.stringify(rollout)}`,
    );
  }
}

/** Whatever was acknowledged is there, for a process that knows nothing yet. */
async function readBack(park: Park): Promise<void> {
  const { simulation, place, checker, history } = park;
  const process = new Process(simulation, "reader");
  const calls = new RemoteCalls(simulation, process);
  let done = false;
  async function read(): Promise<void> {
    const store = await place.open(calls, { wrapKv: (kv) => kv });
    const { version: newest } = await store.newest();
    const { current } = history;
    if (
      newest?.version !== current?.version || newest?.digest !== current?.digest
    ) {
      simulation.fail(
        "acknowledged is durable",
        `the newest version is ${newest?.version}, not ${nameOfNode(current)}`,
      );
    }
    for (const node of checker.acknowledged) {
      const record = await store.digestOf(node.version);
      if (record?.digest !== node.digest || record.epoch !== node.epoch) {
        simulation.fail(
          "acknowledged is durable",
          `${nameOfNode(node)} was acknowledged, and the store has ${
            JSON.stringify(record)
          }`,
        );
      }
    }
    await store.close();
    done = true;
  }
  simulation.after(0, process, () => {
    read().catch((error) =>
      simulation.fail("acknowledged is durable", `cannot be read: ${error}`)
    );
  });
  await simulation.run(REST_MS, () => done);
  if (!done) simulation.fail("acknowledged is durable", "it cannot be read");
  process.alive = false;
}

/** Everything is told to stop, and leaves nothing behind. */
async function stop(park: Park): Promise<void> {
  const { simulation, controlPlanes, routers } = park;
  const unanswered = Math.max(
    ...controlPlanes.map(({ calls }) => calls?.silentUntil ?? 0),
  );
  await simulation.run(Math.max(0, unanswered - simulation.now), () => false);
  if (simulation.violation !== null) return;
  for (const { process } of controlPlanes) {
    idle(park, process, MAX_IDLE_TIMERS.controlPlane);
  }
  for (const { process } of routers) {
    idle(park, process, MAX_IDLE_TIMERS.router);
  }
  let stopped = 0;
  const processes = [...routers, ...controlPlanes].map(({ process }) =>
    process!
  );
  for (const { process, link, data } of routers) {
    simulation.after(0, process!, () => {
      data!.stop();
      void link!.stop().then(() => stopped++);
    });
  }
  for (const each of controlPlanes) each.stop(() => stopped++);
  if (!await simulation.run(STOP_MS, () => stopped === processes.length)) {
    simulation.fail("everything stops", `only ${stopped} have stopped`);
  }
  for (const process of processes) idle(park, process, 0);
}

function idle(park: Park, process: Process | null, most: number): void {
  if (process !== null && process.timers > most) {
    park.simulation.fail(
      "timers are bounded",
      `${process.name}, which has nothing to do, has ${process.timers} timers`,
    );
  }
}
