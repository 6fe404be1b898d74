/** A small cell: an HTTP server that answers who it is and what it was asked. */
export interface Cell extends AsyncDisposable {
  readonly name: string;
  /** Its endpoint, as a config has it. */
  readonly endpoint: string;
  /** How many requests reached it. */
  readonly requests: number;
}

/** Starts a cell on a port of its own, or on `port`. */
export function startCell(name: string, port = 0): Cell {
  let requests = 0;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port, onListen: () => {} },
    (request) => {
      requests++;
      const { pathname, search } = new URL(request.url);
      const traceparent = request.headers.get("traceparent");
      return Response.json({
        cell: name,
        customer: request.headers.get("x-routing-key"),
        path: pathname + search,
        ...(traceparent === null ? {} : { traceparent }),
      });
    },
  );
  return {
    name,
    endpoint: `http://127.0.0.1:${server.addr.port}`,
    get requests() {
      return requests;
    },
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
