import type { Fleet } from "../hub/fleet.ts";
import type { VersionStore } from "../store/store.ts";
import { configToEdit } from "./config_edit.ts";
import type { Edits } from "./edit.ts";
import { ProblemError } from "./problem.ts";
import { NO_BODY } from "./route.ts";

/** `/v1/takeover`: ends a conflict between this store and its routers (SPEC section 4). */
export function addTakeoverCalls(
  { store, fleet, edits }: { store: VersionStore; fleet: Fleet; edits: Edits },
): void {
  edits.add({
    method: "post",
    path: "/v1/takeover",
    summary: "Makes this store the truth, also for routers in conflict",
    description:
      "Commits the current contents above every version announced, under a new epoch that supersedes the store's own and those announced.",
    body: NO_BODY,
    problems: [409],
  }, () => ({
    edit: configToEdit,
    message: "Takeover",
    commit: async (attribution, edit) => {
      const { highestVersion, epochs } = await fleet.conflicts();
      try {
        const committed = await store.takeover(
          { above: highestVersion, epochs },
          attribution,
          edit,
        );
        const superseded = new Set(epochs).add(committed.previous!.epoch);
        return { ...committed, superseded: [...superseded] };
      } catch (cause) {
        // What a router announced may be more than any store can be above of, or supersede.
        if (!(cause instanceof RangeError)) throw cause;
        throw new ProblemError("conflict", `${cause.message}.`, { cause });
      }
    },
  }));
}
