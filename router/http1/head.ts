import { checkPart, MAX_HEAD_BYTES, ProtocolError } from "./fields.ts";
import type { Wire } from "./wire.ts";

/** How much of the buffer a first look for the end of a head takes in: most heads, and little of a body behind them. */
const FIRST_LOOK_BYTES = 512;

/**
 * Takes a complete head off a wire: everything before the empty line, each line ended by CR LF.
 *
 * @param seen how many of the wire's bytes an earlier call has searched without success.
 * @returns null if the head is not complete.
 * @throws {ProtocolError} if what there is cannot be the beginning of a head, or is too long for one.
 */
export function takeHead(wire: Wire, seen: number): string | null {
  const { bytes, start, end } = wire;
  if (seen === 0) {
    const stop = Math.min(end, start + FIRST_LOOK_BYTES);
    const text = bytes.toString("latin1", start, stop);
    const close = text.indexOf("\r\n\r\n");
    if (close >= 0) {
      wire.start = start + close + 4;
      return text.slice(0, close + 2);
    }
    checkPart(text);
    seen = stop - start;
  }
  if (start + seen < end) {
    // The last three bytes searched may be the beginning of the end.
    const from = start + Math.max(0, seen - 3);
    const text = bytes.toString("latin1", from, end);
    const close = text.indexOf("\r\n\r\n");
    if (close >= 0) {
      const length = from + close + 4 - start;
      if (length > MAX_HEAD_BYTES) throw headTooLarge();
      wire.start = start + length;
      return bytes.toString("latin1", start, start + length - 2);
    }
    checkPart(text, from > start);
  }
  if (end - start >= MAX_HEAD_BYTES) throw headTooLarge();
  return null;
}

function headTooLarge(): ProtocolError {
  return new ProtocolError(
    `Cannot take a head of more than ${MAX_HEAD_BYTES} bytes`,
    431,
  );
}
