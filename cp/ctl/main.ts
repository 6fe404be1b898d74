/** The command line: its wiring to the process. */
import { run } from "./program.ts";
import type { Terminal } from "./terminal.ts";

const interrupted = new AbortController();
Deno.addSignalListener("SIGINT", () => {
  // A second one ends it at once.
  if (interrupted.signal.aborted) Deno.exit(130);
  interrupted.abort();
});

const isTerminal = Deno.stdout.isTerminal();
const errIsTerminal = Deno.stderr.isTerminal();
const encoder = new TextEncoder();

function write(stream: { writeSync(bytes: Uint8Array): number }, text: string) {
  const bytes = encoder.encode(text);
  try {
    for (let at = 0; at < bytes.length;) {
      at += stream.writeSync(bytes.subarray(at));
    }
  } catch (error) {
    // Who reads has seen enough, as `head` has.
    if (error instanceof Deno.errors.BrokenPipe) Deno.exit(0);
    throw error;
  }
}

const terminal: Terminal = {
  width: isTerminal ? Deno.consoleSize().columns : null,
  colour: isTerminal && Deno.env.get("NO_COLOR") === undefined,
  redraws: isTerminal,
  out: (line) => write(Deno.stdout, `${line}\n`),
  err: (line) => write(Deno.stderr, `${line}\n`),
  progress: (line) => {
    if (errIsTerminal) write(Deno.stderr, `\r\x1b[K${line}`);
    else if (line !== "") write(Deno.stderr, `${line}\n`);
  },
  clear: () => {
    if (isTerminal) write(Deno.stdout, "\x1b[2J\x1b[H");
  },
  ask: (question) => Deno.stdin.isTerminal() ? confirm(question) : null,
};

Deno.exit(
  await run(Deno.args, {
    terminal,
    signal: interrupted.signal,
    env: (name) => Deno.env.get(name),
    read: (file) =>
      file === "-"
        ? new Response(Deno.stdin.readable).text()
        : Deno.readTextFile(file),
    write: (file, text) => Deno.writeTextFile(file, text),
  }),
);
