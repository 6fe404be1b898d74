import { differenceOf } from "./h2_differences.ts";

/**
 * A case of the suite. One that waits for ever fails: a proxy that hangs is what many look for. One
 * that cannot hold on HTTP/2 is ignored there, and its name says why.
 */
export function conforms(name: string, run: () => Promise<void>): void {
  const difference = differenceOf(name);
  if (difference === null) Deno.test(name, { timeout: 60_000 }, run);
  else Deno.test.ignore(`${name} – not here: ${difference}`, run);
}

/** Ends, after the file's tests, what they share; the first last. */
export function endAfterwards(...shared: AsyncDisposable[]): void {
  Deno.test.afterAll(async () => {
    for (const one of shared.reverse()) await one[Symbol.asyncDispose]();
  });
}
