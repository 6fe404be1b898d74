/**
 * Waits until a condition holds. What the condition throws counts as "not yet" and is told at the
 * deadline.
 *
 * @throws {Error} after `timeoutMs`, naming what was waited for and what was seen last.
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 20_000,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  let seen: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
      seen = value;
    } catch (error) {
      seen = error;
    }
    if (performance.now() > deadline) {
      throw new Error(
        `Waited ${timeoutMs} ms for ${what}; last seen: ${describe(seen)}`,
        {
          cause: seen,
        },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function describe(value: unknown): string {
  return value instanceof Error
    ? value.message
    : JSON.stringify(value) ?? String(value);
}
