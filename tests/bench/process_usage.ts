import { commandOutput } from "./command_output.ts";

/** What some processes have used since they were started, summed. */
export interface ProcessUsage {
  /** Of all their threads, in user and kernel mode. */
  readonly cpuSeconds: number;
  /** Of children that have ended. */
  readonly endedChildrenSeconds: number;
  /** The sum of each one's largest resident memory. */
  readonly peakBytes: number;
  /** The sum of what is resident now. */
  readonly residentBytes: number;
}

/** The kernel counts a process's time in these; 100 on every Linux that Deno runs on (`getconf CLK_TCK`). */
const TICKS_PER_SECOND = 100;

/**
 * A process and all that descend from it, as they are now.
 *
 * `/proc` is read through `cat`, because Deno itself may read it only with `--allow-all`.
 */
export async function processTree(pid: number): Promise<number[]> {
  const text = await commandOutput("sh", [
    "-c",
    "cat /proc/[0-9]*/stat 2>/dev/null",
  ]) ?? "";
  const children = Map.groupBy(
    text.trim().split("\n").map(statFields),
    ({ parent }) => parent,
  );
  const tree = [pid];
  for (const parent of tree) {
    tree.push(...(children.get(parent) ?? []).map(({ pid }) => pid));
  }
  return tree;
}

/** @throws {Error} if one of the processes is gone. */
export async function processUsage(
  pids: readonly number[],
): Promise<ProcessUsage> {
  const files = pids.flatMap((
    pid,
  ) => [`/proc/${pid}/stat`, `/proc/${pid}/status`]);
  const text = await commandOutput("cat", files) ?? "";
  const stats = text.match(/^[0-9]+ \(.*$/gm) ?? [];
  const peaks = memory(text, "VmHWM");
  const resident = memory(text, "VmRSS");
  if (stats.length !== pids.length || peaks.length !== pids.length) {
    throw new Error(
      `Cannot read the usage of the processes ${
        pids.join(", ")
      }: one is gone: ${text}`,
    );
  }
  const fields = stats.map(statFields);
  return {
    cpuSeconds: sum(fields.map(({ cpuSeconds }) => cpuSeconds)),
    endedChildrenSeconds: sum(fields.map(({ endedChildren }) => endedChildren)),
    peakBytes: sum(peaks),
    residentBytes: sum(resident),
  };
}

/** A line of `/proc/<pid>/status` for each process, in bytes. */
function memory(text: string, name: "VmHWM" | "VmRSS"): number[] {
  return [...text.matchAll(new RegExp(`^${name}:\\s+([0-9]+) kB$`, "gm"))]
    .map(([, kib]) => Number(kib) * 1024);
}

/**
 * The time that processes other than these, and than their children that have ended, have kept cores busy
 * since the machine was started, in seconds.
 */
export async function othersSeconds(pids: readonly number[]): Promise<number> {
  const [own, busy] = await Promise.all([processUsage(pids), busySeconds()]);
  return busy - own.cpuSeconds - own.endedChildrenSeconds;
}

/** The time that all cores together have been busy since the machine was started, in seconds (proc(5)). */
async function busySeconds(): Promise<number> {
  const text = await commandOutput("cat", ["/proc/stat"]) ?? "";
  const ticks = text.split("\n", 1)[0]!.split(/ +/).slice(1, 9).map(Number);
  const [, , , idle = 0, waiting = 0] = ticks;
  return (sum(ticks) - idle - waiting) / TICKS_PER_SECOND;
}

interface StatFields {
  readonly pid: number;
  readonly parent: number;
  readonly cpuSeconds: number;
  readonly endedChildren: number;
}

/** Reads a line of `/proc/<pid>/stat`; a program's name may hold spaces and brackets (proc(5)). */
function statFields(line: string): StatFields {
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ").map(Number);
  return {
    pid: Number.parseInt(line),
    parent: fields[1]!,
    cpuSeconds: (fields[11]! + fields[12]!) / TICKS_PER_SECOND,
    endedChildren: (fields[13]! + fields[14]!) / TICKS_PER_SECOND,
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
