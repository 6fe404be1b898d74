import { BODY_BUFFERS } from "./buffers.ts";
import { TAILROOM, type Wire } from "./wire.ts";

/** How long a tunnel may be silent, in milliseconds. */
export interface TunnelTimeouts {
  /** Both ways, while both are open. */
  readonly stream: number;
  /** One way, after the other has ended. */
  readonly closing: number;
}

/**
 * Carries bytes both ways until both have ended; the end of one way is passed on by FIN. Both wires
 * are closed when it returns. Whoever owns the wires sweeps their deadlines.
 */
export async function tunnel(
  a: Wire,
  b: Wire,
  timeouts: TunnelTimeouts,
): Promise<void> {
  const state = { patience: timeouts.stream };
  const rearm = () => {
    a.awaitBytes(state.patience);
    b.awaitBytes(state.patience);
  };
  const carry = async (from: Wire, to: Wire) => {
    try {
      await flow(from, to, { state, rearm });
      state.patience = timeouts.closing;
      rearm();
    } catch {
      // A broken way ends both: what was lost cannot be told otherwise.
      from.close();
      to.close();
    }
  };
  rearm();
  await Promise.all([carry(a, b), carry(b, a)]);
  a.close();
  b.close();
}

async function flow(
  from: Wire,
  to: Wire,
  options: { state: { readonly patience: number }; rearm: () => void },
): Promise<void> {
  for (;;) {
    if (from.available > 0) {
      const piece = from.bytes.subarray(from.start, from.end);
      const filled = from.end === from.bytes.length - TAILROOM;
      await to.write(piece, options.state.patience);
      from.start = from.end;
      if (filled) from.grow(BODY_BUFFERS);
      options.rearm();
    }
    if (!from.took(await from.reading())) break;
  }
  await to.closeWrite();
}
