import type { Case } from "./cases.ts";
import type { RunningPeer, Scene } from "./peers/peer.ts";

/** Customers looked up before a proxy is measured. */
const PROBES = 8;

/**
 * Makes sure that a proxy does what it is measured for: that customers reach the cells of their
 * placements, and that the answer is whole.
 *
 * @throws {Error} saying what came instead.
 */
export async function probe(
  item: Case,
  { port }: RunningPeer,
  scene: Scene,
): Promise<void> {
  const customers = Object.entries(scene.config.customer_to_placement);
  for (const [customer, placement] of customers.slice(-PROBES)) {
    const url = `http://127.0.0.1:${port}${item.path}`;
    const response = await fetch(url, {
      method: item.method,
      headers: { "X-Routing-Key": customer },
      signal: AbortSignal.any([scene.signal, AbortSignal.timeout(10_000)]),
      ...(item.sends > 0 ? { body: "x".repeat(item.sends) } : {}),
    });
    const { byteLength } = await response.arrayBuffer();
    const cell = Number(response.headers.get("x-cell"));
    const expected = scene.cells.findIndex((cell) =>
      cell.placement === placement
    );
    if (
      response.status !== 200 || byteLength !== item.receives ||
      cell !== expected
    ) {
      throw new Error(
        `Asked for ${item.path} of ${placement} it answered ${response.status} with ${byteLength} bytes of cell ${cell}`,
      );
    }
  }
}
