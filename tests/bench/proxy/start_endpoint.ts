import { Child } from "../child.ts";
import { type Cell, cellsOn } from "./customers.ts";

/** The process behind the cells. Disposing ends it. */
export interface Endpoint extends AsyncDisposable {
  readonly pid: number;
  readonly cells: readonly Cell[];
}

/** Starts the cells, each on a port of its own. */
export async function startEndpoint(): Promise<Endpoint> {
  await using stack = new AsyncDisposableStack();
  const child = stack.use(
    new Child(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--allow-net=127.0.0.1",
        new URL("endpoint.ts", import.meta.url).pathname,
      ],
    }),
  );
  const cells = cellsOn(JSON.parse(await child.line(/^\[/)));
  const started = stack.move();
  return {
    pid: child.pid,
    cells,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}
