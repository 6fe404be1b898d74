/**
 * The process that is measured: links that try to reach one control plane, and a line of output at
 * each sample. Arguments: its URL, the attempts before the first sample, the attempts after it, those
 * between two samples, how many links, and how many times as fast as the machine's their clock goes.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type Clock, systemClock } from "../../../shared/clock.ts";
import { Link } from "../../../router/link/link.ts";
import { connectWebSocket } from "../../../router/link/websocket.ts";

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

const [url = "", ...numbers] = Deno.args;
const [warmup = 0, attempts = 0, every = 0, links = 0, speed = 0] = numbers.map(
  Number,
);

/** The waits and deadlines of a link, as many times shorter. */
const fastClock: Clock = {
  now: () => systemClock.now() * speed,
  wall: () => systemClock.wall(),
  after: (milliseconds, callback) =>
    systemClock.after(milliseconds / speed, callback),
};

/** Below 0 in the warm-up. */
let tried = -warmup;

/** What is resident then is what is held, not what waits to be collected. */
function sample(): void {
  collectGarbage();
  if (tried >= 0) console.log(`at ${tried}`);
}

function startLink(id: number): Link {
  const link = new Link({
    urls: [url],
    id: `r${id}`,
    instance: "i",
    silenceMs: 12_000,
    maxConfigBytes: 1024 * 1024,
    serving: null,
    apply: () => Promise.reject(new Error("nothing is pushed")),
    clock: fastClock,
    connect: (...asked) => {
      tried++;
      if (tried <= attempts && tried % every === 0) sample();
      return connectWebSocket(...asked);
    },
  });
  link.start();
  return link;
}

// What started this process looks at it before the first attempt, after the last, and when the links
// have stopped; then it ends it.
setInterval(() => {}, 60_000);
const { promise: looked, resolve: start } = Promise.withResolvers<void>();
const { promise: seen, resolve: end } = Promise.withResolvers<void>();
// Not SIGUSR1, at which the runtime opens its debugger.
Deno.addSignalListener(
  "SIGUSR2",
  () => tried === -warmup ? start() : end(),
);
console.log("ready");
await looked;
const all = Array.from({ length: links }, (_, id) => startLink(id));
await seen;
await Promise.all(all.map((link) => link.stop()));
collectGarbage();
console.log("stopped");
