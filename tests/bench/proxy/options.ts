import { chosen, count } from "../arguments.ts";
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
  for (const arg of args) {
    const [name, value = ""] = arg.split("=", 2);
    switch (name) {
      case "--peers":
        options.peers = chosen(PEERS, value);
        break;
      case "--cases":
        options.cases = chosen(CASES, value);
        break;
      case "--rounds":
        options.rounds = count(arg, value);
        break;
      case "--seconds":
        options.seconds = count(arg, value);
        break;
      case "--markdown":
        options.form = "markdown";
        break;
      default:
        throw new TypeError(`Cannot read ${arg}: there is no such option`);
    }
  }
  return options;
}
