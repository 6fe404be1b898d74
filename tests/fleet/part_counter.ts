import { type ConfigBegin, encode } from "../../shared/protocol.ts";

/** What a link is given for the parts of a config that have been counted. */
const ONE_BYTE = new Uint8Array(1);

/**
 * Counts the parts of a config, and has a link believe that it is of one byte: to gather the parts of
 * every config in every one of thousands of links would cost more than all else they do.
 */
export class PartCounter {
  #announced = 0;
  #left = 0;

  /** A config is announced; answers what the link is told of it. */
  begins(begin: ConfigBegin): string {
    this.#announced = this.#left = begin.bytes;
    return encode({ ...begin, bytes: ONE_BYTE.length });
  }

  /**
   * A part has come.
   *
   * @returns what the link is given, null while more are due.
   * @throws {RangeError} if there are more bytes than were announced.
   */
  takes(part: Uint8Array): Uint8Array | null {
    if (part.length > this.#left) {
      throw new RangeError(
        `the parts are of ${
          this.#announced - this.#left + part.length
        } bytes, and ${this.#announced} were announced`,
      );
    }
    this.#left -= part.length;
    return this.#left === 0 ? ONE_BYTE : null;
  }
}
