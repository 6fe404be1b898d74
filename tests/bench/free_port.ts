/** A port of 127.0.0.1 that is free now, for programs that cannot take one of their own. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Two of them, which are not the same. */
export function twoFreePorts(): readonly [number, number] {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return [listener.addr.port, freePort()];
}
