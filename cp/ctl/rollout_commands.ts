import type { StagedRollout } from "../api/answers.ts";
import { path } from "../ui/page/path.ts";
import { canaryText, counted, rolloutText } from "../ui/page/text.ts";
import type { Context } from "./edit.ts";
import { EXIT, type ExitCode } from "./exit.ts";
import { styled, type Terminal } from "./terminal.ts";

/** How many are listed. */
const LISTED = 20;

/** Lists staged rollouts, newest first; or shows one. */
export async function rollouts(
  { client, terminal, json, signal }: Context,
  id: number | undefined,
): Promise<ExitCode> {
  const listed = id === undefined
    ? await client.list<StagedRollout>("/v1/rollouts", "rollouts", {
      limit: LISTED,
    })
    : [
      await client.call<StagedRollout>(path`/v1/rollouts/${id}`, { signal }),
    ];
  if (json) {
    terminal.out(
      JSON.stringify(id === undefined ? listed : listed[0], null, 2),
    );
  } else if (listed.length === 0) {
    terminal.out("No version was rolled out in stages.");
  } else for (const each of listed) tellRollout(terminal, each);
  return EXIT.done;
}

/** Ends a rollout: gives its version to all routers, or takes it back. */
export async function endRollout(
  { client, terminal, json, signal }: Context,
  id: number,
  verb: "promote" | "abort",
): Promise<ExitCode> {
  const answer = await client.call<StagedRollout>(
    path`/v1/rollouts/${id}/${verb}`,
    { method: "POST", signal },
  );
  if (json) terminal.out(JSON.stringify(answer, null, 2));
  else tellRollout(terminal, answer);
  return EXIT.done;
}

const STYLES = {
  under_way: "yellow",
  promoted: "green",
  halted: "red",
  aborted: "yellow",
} as const;

function tellRollout(terminal: Terminal, rollout: StagedRollout): void {
  const { state, canaries } = rollout;
  terminal.out(
    styled(terminal, STYLES[state], rolloutText(rollout, Date.now())),
  );
  if (state !== "under_way") {
    terminal.out(
      `  ${counted(canaries.length, "canary", "canaries")}: ${
        canaries.map(({ id }) => id).join(", ")
      }`,
    );
    return;
  }
  for (const canary of canaries) {
    const bad = canary.state !== "applied";
    const text = `  ${canary.id}: ${canaryText(canary)}`;
    terminal.out(bad ? styled(terminal, "yellow", text) : text);
  }
}
