/** What a router's process costs, and what it tells of itself. */
import { until } from "../harness/until.ts";

const text = new TextDecoder();

/** Memory of a process, in bytes. */
export interface Memory {
  /** Resident now. */
  readonly resident: number;
  /** The most that was ever resident. */
  readonly peak: number;
}

/** Linux alone tells the memory and the descriptors of another process in files. */
export const HAS_PROC = Deno.build.os === "linux";

/** The memory of a process. */
export async function memoryOf(pid: number): Promise<Memory> {
  // The runtime lets nobody read /proc without all permissions, so another program does.
  const status = await output("cat", `/proc/${pid}/status`);
  const kibibytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) * 1024;
  return { resident: kibibytes("VmRSS"), peak: kibibytes("VmHWM") };
}

/** How many descriptors a process has open. */
export async function descriptorsOf(pid: number): Promise<number> {
  return (await output("ls", `/proc/${pid}/fd`)).trim().split("\n").length;
}

/** How many descriptors a process may have open, as it is for those it starts. */
export async function descriptorLimit(): Promise<number> {
  const limit = (await output("sh", "-c", "ulimit -n")).trim();
  return limit === "unlimited" ? Infinity : Number(limit);
}

async function output(program: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args })
    .output();
  if (!success) {
    throw new Error(
      `Cannot run ${program} ${args.join(" ")}: ${text.decode(stderr)}`,
    );
  }
  return text.decode(stdout);
}

/** What of a router tells its metrics. */
export interface Told {
  readonly adminUrl: string;
}

/** A router's metrics: the value of each sample, by its name with its labels. */
export async function metricsOf(router: Told): Promise<Map<string, number>> {
  const response = await fetch(`${router.adminUrl}/metrics`);
  const lines = (await response.text()).split("\n");
  return new Map(
    lines.filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
      const space = line.lastIndexOf(" ");
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

/** The connections a router has to a placement's endpoint, as its metrics tell. */
export async function upstreamConnections(
  router: Told,
  placement = "cell",
): Promise<{ active: number; idle: number }> {
  const metrics = await metricsOf(router);
  const of = (state: string) =>
    metrics.get(
      `signalbox_router_upstream_connections{placement="${placement}",state="${state}"}`,
    ) ?? 0;
  return { active: of("active"), idle: of("idle") };
}

/** Waits until no request is under way in a router. */
export async function quiet(router: Told): Promise<void> {
  await until("no request to be under way", async () => {
    const metrics = await metricsOf(router);
    const flying = metrics.get("signalbox_router_requests_in_flight");
    if (flying !== 0) throw new Error(`${flying} are`);
    return true;
  });
}

/** Prints a number that a test has measured. */
export function report(what: string, value: string): void {
  console.log(`    ${what}: ${value}`);
}

/** Bytes in words. */
export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** Milliseconds in words. */
export function milliseconds(value: number): string {
  return `${value.toFixed(0)} ms`;
}
