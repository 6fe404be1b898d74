/** The thread of a `Watchdog`. */
import { replayCommand } from "./run.ts";
import type { Watched } from "./watchdog.ts";

/** What there is of the global scope of a worker. */
const scope = self as unknown as {
  onmessage: (event: MessageEvent<Watched>) => void;
};

scope.onmessage = ({ data: { words, targets, seed, patienceMs } }) => {
  let seen = "";
  let since = performance.now();
  setInterval(() => {
    const now = `${words[0]} ${words[1]}`;
    if (now !== seen) {
      seen = now;
      since = performance.now();
    } else if (performance.now() - since > patienceMs) {
      const target = targets[words[0]!]!;
      const number = words[1]!;
      console.error(
        `${target}, seed ${seed}, input ${number}: it does not end\n  again: ${
          replayCommand({ target, seed, number })
        }`,
      );
      Deno.kill(Deno.pid, "SIGKILL");
    }
  }, Math.min(1000, patienceMs / 4));
};
