import { Child } from "../child.ts";
import type { Case } from "./cases.ts";
import type { LoadResult } from "./sample.ts";

/** What both loads need to know. */
export interface LoadOptions {
  readonly port: number;
  readonly seconds: number;
  /** A file with a customer a line. */
  readonly customersFile: string;
  /** A folder for temporary files. */
  readonly folder: string;
  /** Ends it before its time. */
  readonly signal: AbortSignal;
}

/** What the process for WebSockets is told. */
export interface WebSocketLoad
  extends Pick<LoadOptions, "port" | "seconds" | "customersFile"> {
  readonly item: Case;
}

/** Bodies stand in every prepared request, so there are fewer of these. */
const PREPARED_WITH_BODY = 1000;

/**
 * The script for wrk. Every request is made beforehand, one a customer, so that choosing one at random
 * is all that is left to do; the result comes as JSON in wrk's own microseconds.
 */
function script(item: Case, customersFile: string): string {
  const limit = item.sends > 0 ? PREPARED_WITH_BODY : Number.MAX_SAFE_INTEGER;
  return `
local requests = {}
function init(args)
  local body = nil
  if ${item.sends} > 0 then body = string.rep("x", ${item.sends}) end
  for customer in io.lines(${JSON.stringify(customersFile)}) do
    if #requests < ${limit} then
      requests[#requests + 1] = wrk.format("${item.method}", "${item.path}",
        { ["X-Routing-Key"] = customer, ["User-Agent"] = "wrk", ["Accept"] = "*/*" }, body)
    end
  end
  math.randomseed(os.time())
end
function request()
  return requests[math.random(#requests)]
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"us":%d,"p50":%f,"p99":%f,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
`;
}

/** Loads a proxy with requests by wrk (1 thread), the customer of each chosen at random. */
export async function requestLoad(
  item: Case,
  options: LoadOptions,
): Promise<LoadResult> {
  const path = `${options.folder}/${item.id}.lua`;
  await Deno.writeTextFile(path, script(item, options.customersFile));
  await using wrk = new Child("wrk", {
    args: [
      "-t1",
      `-c${item.connections}`,
      `-d${options.seconds}s`,
      "--timeout=10s",
      `--script=${path}`,
      `http://127.0.0.1:${options.port}`,
    ],
    signal: options.signal,
  });
  const output = await wrk.succeeds();
  const json = /^\{.*\}$/m.exec(output);
  if (json === null) throw new Error(`wrk said nothing of use: ${output}`);
  const { requests, us, p50, p99, ...errors } = JSON.parse(json[0]);
  return {
    requests,
    seconds: us / 1e6,
    p50Ms: p50 / 1000,
    p99Ms: p99 / 1000,
    errors,
  };
}

/** Loads a proxy with WebSocket messages, by a process of our own. */
export async function webSocketLoad(
  item: Case,
  { port, seconds, customersFile, signal }: LoadOptions,
): Promise<LoadResult> {
  await using load = new Child(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--allow-net=127.0.0.1",
      "--allow-read",
      new URL("websocket_load.ts", import.meta.url).pathname,
      JSON.stringify(
        { item, port, seconds, customersFile } satisfies WebSocketLoad,
      ),
    ],
    // A proxy that hangs shall not hang the benchmark. wrk ends by itself.
    signal: AbortSignal.any([
      signal,
      AbortSignal.timeout(seconds * 1000 + 20_000),
    ]),
  });
  return JSON.parse(await load.succeeds());
}
