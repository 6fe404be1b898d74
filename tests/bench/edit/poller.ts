/**
 * A process of its own that asks a control plane for `/healthz`, again and again on one kept connection,
 * and notes the longest time between two answers: for so long the control plane did nothing else. Its
 * arguments are the control plane's port and process. It prints the port of its own listener, where each
 * request is answered with what it has seen since the one before, as {@linkcode Gaps}.
 */

/** What the poller has seen. Times are in milliseconds. */
export interface Gaps {
  /** The longest time between two answers. */
  readonly longest: number;
  /**
   * The same without the time for which the control plane's thread, or the poller, could have run and had
   * no core: what a machine with more cores, or without other programs, would show.
   */
  readonly longestOwn: number;
  /** The most time for which the control plane's thread ran on a core between two answers. */
  readonly longestRun: number;
  readonly answers: number;
}

/** Between an answer and the next request, in milliseconds: often enough, and no load to speak of. */
const PAUSE_MS = 2;

const NONE: Gaps = { longest: 0, longestOwn: 0, longestRun: 0, answers: 0 };

if (import.meta.main) await main(Number(Deno.args[0]), Number(Deno.args[1]));

async function main(port: number, pid: number): Promise<void> {
  let gaps = { ...NONE };
  Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: ({ port }) => console.log(port),
  }, () => {
    const seen: Gaps = gaps;
    gaps = { ...NONE };
    return Response.json(seen);
  });
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  connection.setNoDelay(true);
  const request = new TextEncoder().encode(
    `GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`,
  );
  const buffer = new Uint8Array(16 * 1024);
  let last = { at: performance.now(), ...usedTime(pid) };
  for (;;) {
    await connection.write(request);
    await readAnswer(connection, buffer);
    const now = { at: performance.now(), ...usedTime(pid) };
    const gap = now.at - last.at;
    const waited = now.waited - last.waited;
    gaps = {
      longest: Math.max(gaps.longest, gap),
      longestOwn: Math.max(gaps.longestOwn, gap - waited),
      longestRun: Math.max(gaps.longestRun, now.ran - last.ran),
      answers: gaps.answers + 1,
    };
    last = now;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/**
 * How long the main thread of a process has run, and how long it, or this one, was ready to run and had no
 * core; in milliseconds since the start (proc(5)).
 */
function usedTime(pid: number): { ran: number; waited: number } {
  const [ran, waited] = schedule(pid);
  return { ran, waited: waited + schedule(Deno.pid)[1] };
}

function schedule(pid: number): [ran: number, waited: number] {
  const text = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/schedstat`);
  const [ran, waited] = text.split(" ").map((ns) => Number(ns) / 1e6);
  return [ran!, waited!];
}

/** Reads one answer, which has a small body and says its length. */
async function readAnswer(
  connection: Deno.Conn,
  buffer: Uint8Array,
): Promise<void> {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) throw new Error("The control plane hung up");
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
    const head = text.indexOf("\r\n\r\n");
    if (head === -1) continue;
    if (!text.startsWith("HTTP/1.1 200 ")) throw new Error(text);
    const length = /\r\ncontent-length: *([0-9]+)/i.exec(text);
    if (length === null) throw new Error(`An answer without length: ${text}`);
    if (text.length >= head + 4 + Number(length[1])) return;
  }
}
