import { commandOutput } from "./command_output.ts";

/** The machine in one line: processor, cores, memory, kernel. */
export async function machine(): Promise<string> {
  const [cpu = "", memory = "", kernel = ""] = await Promise.all([
    commandOutput("cat", ["/proc/cpuinfo"]),
    commandOutput("cat", ["/proc/meminfo"]),
    commandOutput("uname", ["-srm"]),
  ]);
  const model = /^model name\s*:\s*(.*)$/m.exec(cpu)?.[1] ??
    "unknown processor";
  const mhz = /^cpu MHz\s*:\s*([0-9]+)/m.exec(cpu)?.[1];
  const kib = Number(/^MemTotal:\s+([0-9]+)/m.exec(memory)?.[1] ?? Number.NaN);
  return `${model}${
    mhz === undefined ? "" : ` at ${mhz} MHz`
  }, ${navigator.hardwareConcurrency} cores, ${
    Math.round(kib / 2 ** 20)
  } GiB of memory, ${kernel.trim()}`;
}
