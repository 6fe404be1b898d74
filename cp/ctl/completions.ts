import tab from "@bomb.sh/tab/commander";
import type { Command } from "commander";
import type { Placement } from "../api/answers.ts";
import type { Client } from "./client.ts";

/** A shell does not wait longer for names. */
const PATIENCE_MS = 1_000;

/** Options and arguments that are placements' names. */
const PLACEMENT_OPTIONS: readonly [command: string, option: string][] = [
  ["move", "to"],
  ["move", "from"],
  ["get customers", "placement"],
];
const PLACEMENT_ARGUMENTS = [
  "placement set",
  "placement rm",
  "placement default",
];

/**
 * Adds `completions SHELL`, which writes what a shell loads, and the hidden `complete`, which that asks. Names of
 * placements come from the control plane; customers are too many to offer.
 */
export function addCompletions(
  program: Command,
  client: () => Promise<Client>,
): void {
  let placements: readonly Placement[] = [];
  const completion = tab(program, { completionCommandName: "completions" });
  // What is offered has to be there when it is asked for.
  program.hook("preAction", async (_program, command) => {
    if (command.name() === "complete") {
      placements = await readPlacements(client);
    }
  });
  const offer = (complete: (value: string, description: string) => void) => {
    for (const { placement, endpoint } of placements) {
      complete(placement, endpoint);
    }
  };
  for (const [command, name] of PLACEMENT_OPTIONS) {
    const option = completion.commands.get(command)?.options.get(name);
    if (option !== undefined) option.handler = offer;
  }
  for (const command of PLACEMENT_ARGUMENTS) {
    completion.commands.get(command)?.argument("name", offer);
  }
}

async function readPlacements(
  client: () => Promise<Client>,
): Promise<readonly Placement[]> {
  try {
    const answer = await (await client()).call<{ placements: Placement[] }>(
      "/v1/placements",
      {
        query: { limit: 1000 },
        signal: AbortSignal.timeout(PATIENCE_MS),
      },
    );
    return answer.placements;
  } catch {
    // Without a control plane there is nothing to offer, and nobody to tell.
    return [];
  }
}
