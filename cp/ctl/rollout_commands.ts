import type { StagedRollout } from "../api/answers.ts";
import { path } from "../ui/page/path.ts";
import { canaryText, rolloutText } from "../ui/page/text.ts";
import type { Context } from "./edit.ts";
import { CommandError, EXIT, type ExitCode } from "./exit.ts";
import { pause } from "./fleet_commands.ts";
import { styled, type Terminal } from "./terminal.ts";

/** How many are listed. */
const LISTED = 20;

/** How often a rollout is asked for while it is watched, in milliseconds. */
const WATCH_MS = 1_000;

/** Lists staged rollouts, newest first; or shows one, and with `watch` waits until it is over. */
export async function rollouts(
  context: Context,
  id: number | undefined,
  { watch = false }: { watch?: boolean } = {},
): Promise<ExitCode> {
  const { client, terminal, json, signal } = context;
  if (watch) return await watchRollout(context, id);
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
  return id === undefined ? EXIT.done : endOf(listed[0]!);
}

/** Waits until a rollout is over, the one under way if none is named; ends with 1 where it was taken back. */
async function watchRollout(
  { client, terminal, json, signal }: Context,
  id: number | undefined,
): Promise<ExitCode> {
  const [newest] = id === undefined
    ? await client.list<StagedRollout>("/v1/rollouts", "rollouts", { limit: 1 })
    : [{ id }];
  if (newest === undefined) {
    throw new CommandError("No version was rolled out in stages.");
  }
  let last = "";
  for (;;) {
    const rollout = await client.call<StagedRollout>(
      path`/v1/rollouts/${newest.id}`,
      { signal },
    );
    const over = rollout.state !== "under_way";
    if (json) {
      if (over) terminal.out(JSON.stringify(rollout, null, 2));
    } else {
      const states = rollout.canaries.map((canary) => canary.state).join();
      if (over || states !== last) tellRollout(terminal, rollout);
      last = states;
    }
    if (over) return endOf(rollout);
    await pause(WATCH_MS, signal);
    signal.throwIfAborted();
  }
}

/** What a command ends with that tells of a rollout. */
function endOf({ state }: StagedRollout): ExitCode {
  return state === "halted" || state === "aborted" ? EXIT.failed : EXIT.done;
}

/** Ends a rollout: gives its version to all routers, or takes it back. */
export async function endRollout(
  { client, terminal, json, signal }: Context,
  id: number,
  { verb, author, message }: {
    verb: "promote" | "abort";
    author?: string;
    message?: string;
  },
): Promise<ExitCode> {
  const answer = await client.call<StagedRollout>(
    path`/v1/rollouts/${id}/${verb}`,
    {
      method: "POST",
      headers: {
        "x-signalbox-author": author,
        "x-signalbox-message": message,
      },
      signal,
    },
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
  for (const canary of canaries) {
    const bad = canary.state !== "applied";
    const text = `  ${canary.id}: ${canaryText(canary)}`;
    terminal.out(bad ? styled(terminal, "yellow", text) : text);
  }
}
