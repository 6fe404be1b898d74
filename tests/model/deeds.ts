import type { Park } from "./park.ts";
import type { Action } from "./plan.ts";
import { stepAt } from "./router.ts";
import type { Process, Simulation } from "./simulation.ts";

/** Does to the park what a plan says. */
export function act(park: Park, action: Action): void {
  const { simulation } = park;
  if (simulation.traced) simulation.trace(`>> ${JSON.stringify(action)}`);
  switch (action.kind) {
    case "edit": {
      const { customer, placement, ...options } = action;
      park.controlPlane(action).edit(
        new Map([[customer, placement]]),
        options,
      );
      return;
    }
    case "crowd": {
      const { count, placement, by } = action;
      const crowd = Array.from({ length: count }, (_, n) => `crowd-${n}`);
      park.controlPlane(action).edit(
        new Map(crowd.map((customer) => [customer, placement])),
        { waitMs: null, by },
      );
      return;
    }
    case "end rollout":
      park.controlPlane(action).endRollout(action);
      return;
    case "failing requests":
      park.router(action).failFor(action.forMs);
      return;
    case "confirm":
      park.controlPlane(action).confirm();
      return;
    case "request": {
      const { process, data } = park.router(action);
      if (process === null) return;
      const { customer } = action;
      simulation.after(0, process, () => void data!.request(customer, action));
      return;
    }
    case "fenced move":
      park.controlPlane(action).fencedMove(action);
      // What asks for the customer meanwhile, on all routers.
      for (const [index, ms] of action.requests.entries()) {
        simulation.after(ms, null, () => {
          const { customer } = action;
          const { process, data } = park.router({ router: index });
          if (process === null) return;
          const request = { forMs: ms * 2, streaming: false };
          simulation.after(
            0,
            process,
            () => void data!.request(customer, request),
          );
        });
      }
      return;
    case "hold":
      park.controlPlane(action).hold(action);
      return;
    case "pin": {
      const { customer, placement } = action;
      park.controlPlane(action).pin(
        placement === null ? null : { customer, placement },
      );
      return;
    }
    case "takeover":
      park.controlPlane(action).takeover();
      return;
    case "kill control plane":
      park.kill(park.controlPlane(action), action.downMs);
      return;
    case "kill control plane at a call": {
      const controlPlane = park.controlPlane(action);
      const { calls } = controlPlane;
      if (calls === null) return;
      calls.deathtrap = {
        calls: action.calls,
        writesOnly: action.writesOnly,
        effective: action.effective,
        die: () => {
          if (controlPlane.process === calls.process) {
            park.kill(controlPlane, action.downMs);
          }
        },
      };
      return;
    }
    case "stop control plane": {
      const controlPlane = park.controlPlane(action);
      controlPlane.stop(() => park.startLater(controlPlane, action.downMs + 2));
      return;
    }
    case "kill router": {
      const router = park.router(action);
      router.crash();
      park.startLater(router, action.downMs);
      return;
    }
    case "kill router at a step": {
      park.router(action).fatalStep = stepAt(action.step);
      return;
    }
    case "stop router": {
      const router = park.router(action);
      const { process, link } = router;
      if (process === null) return;
      simulation.after(0, process, () => void link!.stop());
      simulation.after(1500, null, () => {
        if (router.process === process) park.kill(router, 500);
      });
      return;
    }
    case "break connection":
      park.live(action)?.cut(action.how);
      return;
    case "partition": {
      const name = `${park.router(action).id} ${
        park.controlPlane(action).name
      }`;
      park.partitions.set(name, simulation.now + action.forMs);
      for (const each of park.connections) {
        const pair = `${each.router.id} ${each.controlPlane.name}`;
        if (pair === name && each.live) each.cut("neither");
      }
      return;
    }
    case "stall": {
      const connection = park.live(action);
      connection?.stall(true);
      simulation.after(action.forMs, null, () => connection?.stall(false));
      return;
    }
    case "echo":
      // Who serves nothing takes whatever comes.
      if (park.router(action).serving !== null) {
        park.live(action)?.echo(action.as);
      }
      return;
    case "store faults":
      park.controlPlane(action).calls?.faults.push(...action.faults);
      return;
    case "store outage": {
      const { calls } = park.controlPlane(action);
      if (calls !== null) calls.outageUntil = simulation.now + action.forMs;
      return;
    }
    case "silent watches":
      park.place.silenceWatches(simulation.now + action.forMs);
      return;
    case "set the store back": {
      const { snapshots } = park.place;
      const snapshot = snapshots[action.snapshot % snapshots.length];
      if (snapshot === undefined) return;
      if (action.kill) park.killAll(action.downMs);
      simulation.trace(`the store is set back to ${snapshot.node?.version}`);
      park.place.restore(snapshot);
      return;
    }
    case "wipe the store":
      if (action.kill) park.killAll(action.downMs);
      park.place.wipe();
      return;
    case "suspend control plane":
      suspend(simulation, park.controlPlane(action).process, action.forMs);
      return;
    case "suspend router":
      suspend(simulation, park.router(action).process, action.forMs);
      return;
    case "wall clock": {
      const { process } = park.controlPlane(action);
      if (process !== null) process.wallOffset += action.byMs;
      return;
    }
    case "reject": {
      const router = park.router(action);
      router.rejects = true;
      simulation.after(action.forMs, null, () => router.rejects = false);
      return;
    }
    case "resend": {
      const { id } = park.router(action);
      for (const controlPlane of park.controlPlanes) {
        controlPlane.within((hub) => {
          park.checker.resent(id);
          hub.resend(id);
        });
      }
      return;
    }
    case "failing saves":
      park.router(action).failingSaves += 2;
      return;
    case "quiet":
      for (const router of park.routers) router.fatalStep = null;
      return;
    default:
      action satisfies never;
  }
}

function suspend(
  simulation: Simulation,
  process: Process | null,
  milliseconds: number,
): void {
  if (process === null || process.suspended) return;
  process.suspended = true;
  simulation.after(milliseconds, null, () => simulation.resume(process));
}
