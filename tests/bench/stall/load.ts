/**
 * The load: requests for known customers in turn, at a steady rate, over a few kept connections. A request
 * is due when it is due, whatever became of the ones before it, and its time counts from then on, so that a
 * router that stands still cannot hide it. Every answer is checked. Its argument is JSON; SIGTERM ends it,
 * and then it writes down what it has seen.
 */
import { Buffer } from "node:buffer";
import { type Answer, Asker } from "./asker.ts";
import { cellOf, NAME_BYTES, sizeOf } from "./customers.ts";
import { now } from "./recording.ts";

/** What the load is told. */
export interface LoadOptions {
  /** Of the router. */
  readonly port: number;
  /** The names of all customers, 16 bytes each. */
  readonly namesFile: string;
  /** How many cells they are spread over. */
  readonly cells: number;
  readonly connections: number;
  readonly requestsPerSecond: number;
  /** Where to write what was seen: numbers of 64 bits. */
  readonly files: RecordingFiles;
}

/** The parts of a recording, each in a file. */
export interface RecordingFiles {
  readonly due: string;
  readonly answered: string;
  readonly looked: string;
}

/** Milliseconds that an answer may still take when the load ends; later it counts as missing. */
const LAST_ANSWERS_MS = 20_000;
/** Milliseconds between two looks at what is due; the runtime knows no shorter time. */
const LOOK_MS = 1;
/** Room for some minutes; what is not written takes up no memory. */
const MAX_RECORDED = 4_000_000;

const options: LoadOptions = JSON.parse(Deno.args[0]!);
const names = Buffer.from(await Deno.readFile(options.namesFile));
const customers = sizeOf(names);
const due = new Float64Array(MAX_RECORDED);
const answered = new Float64Array(MAX_RECORDED);
const looked = new Float64Array(MAX_RECORDED);
const failures: Record<string, number> = {};
let answers = 0;
let looks = 0;
let asked = 0;
let stopping = false;

/** One of the connections, and the highest version it has seen. */
interface Lane {
  asker: Asker;
  version: number;
}

const lanes: Lane[] = [];
for (let i = 0; i < options.connections; i++) {
  lanes.push({ asker: await Asker.connect(options.port), version: 0 });
}
const idle = [...lanes];
const started = now();

function fail(what: string): void {
  failures[what] = (failures[what] ?? 0) + 1;
}

/** What is wrong with an answer; null if it is the one the customer has to get. */
function wrong(answer: Answer, customer: number, lane: Lane): string | null {
  const { status, cell, reason, version } = answer;
  if (status !== 200) return `status ${status}`;
  if (reason !== "assigned") return `route reason ${reason}`;
  if (version === null || version < 1) return `config version ${version}`;
  if (version < lane.version) return "an older version after a newer one";
  lane.version = version;
  return cell === cellOf(customer, { version, cells: options.cells })
    ? null
    : "an answer of another cell";
}

async function ask(lane: Lane, number: number, dueAt: number): Promise<void> {
  const customer = number % customers;
  const at = customer * NAME_BYTES;
  try {
    const answer = await lane.asker.ask(names.subarray(at, at + NAME_BYTES));
    due[answers] = dueAt;
    answered[answers] = now();
    answers++;
    const problem = wrong(answer, customer, lane);
    if (problem !== null) fail(problem);
  } catch (error) {
    fail((error as Error).message);
    lane.asker.close();
    try {
      lane.asker = await Asker.connect(options.port);
    } catch (error) {
      fail((error as Error).message);
      return;
    }
  }
  idle.push(lane);
  askWhatIsDue();
}

/** Looked at by the clock, and whenever a connection is free again. */
function askWhatIsDue(): void {
  const time = now();
  if (looks < MAX_RECORDED) looked[looks++] = time;
  while (idle.length > 0 && !stopping) {
    const dueAt = started + asked * 1000 / options.requestsPerSecond;
    if (dueAt > time || asked === MAX_RECORDED) return;
    ask(idle.shift()!, asked++, dueAt);
  }
}

const timer = setInterval(askWhatIsDue, LOOK_MS);
console.log("loading");
await new Promise<void>((resolve) =>
  Deno.addSignalListener("SIGTERM", () => resolve())
);
stopping = true;
clearInterval(timer);
const deadline = now() + LAST_ANSWERS_MS;
while (idle.length < lanes.length && now() < deadline) {
  await new Promise((resolve) => setTimeout(resolve, 10));
}
for (let i = idle.length; i < lanes.length; i++) fail("no answer, or no way");
const write = (path: string, values: Float64Array, count: number) =>
  Deno.writeFile(path, new Uint8Array(values.buffer, 0, count * 8));
await write(options.files.due, due, answers);
await write(options.files.answered, answered, answers);
await write(options.files.looked, looked, looks);
console.log(JSON.stringify(failures));
// What is still open ends with the process.
Deno.exit(0);
