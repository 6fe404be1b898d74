import { chosen, count, readArguments } from "../arguments.ts";
import type { TableForm } from "../table.ts";
import { CASES } from "./cases.ts";
import type { Case } from "./cases.ts";
import { PEERS } from "./peers/mod.ts";
import type { Peer } from "./peers/peer.ts";

/** What the command line asks for. */
export interface Options {
  readonly peers: readonly Peer[];
  readonly cases: readonly Case[];
  readonly rounds: number;
  readonly seconds: number;
  readonly form: TableForm;
}

export const USAGE = `Options:
  --peers=ours,nginx   of ${PEERS.map(({ id }) => id).join(", ")}
  --cases=1k,post      of ${CASES.map(({ id }) => id).join(", ")}
  --rounds=3           samples of each proxy in each case; the tables have medians
  --seconds=4          length of a sample, beside its warm-up
  --markdown           tables as Markdown
ROUTER_* variables are passed on to our router.`;

/** @throws {TypeError} naming the argument that is wrong. */
export function parseOptions(args: readonly string[]): Options {
  const options = {
    peers: PEERS,
    cases: CASES,
    rounds: 3,
    seconds: 4,
    form: "text" as TableForm,
  };
  readArguments(args, {
    "--peers": (value) => {
      options.peers = chosen(PEERS, value);
    },
    "--cases": (value) => {
      options.cases = chosen(CASES, value);
    },
    "--rounds": (value, arg) => {
      options.rounds = count(arg, value);
    },
    "--seconds": (value, arg) => {
      options.seconds = count(arg, value);
    },
    "--markdown": () => {
      options.form = "markdown";
    },
  });
  return options;
}
