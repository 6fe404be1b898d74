import type { Clock } from "../../shared/clock.ts";
import type { Frames } from "./payload.ts";

/** What is left to send through; see {@linkcode RouterSocket} in `hub.ts`. */
export interface Outlet {
  send(data: string | Uint8Array): void;
  /** Bytes given to `send` that have not left yet. */
  readonly bufferedAmount: number;
}

/** One router's push, from its place in the queue to its last byte. */
export interface Transfer {
  readonly outlet: Outlet;
  /** Its turn has come: what to send, or null if it is not to be sent after all. */
  begin(): Frames | null;
  /** Bytes have left. */
  moved(): void;
  /** The last byte has left. */
  sent(): void;
  /** Others need the memory that this push, which stands still, holds: drop its connection. */
  evict(): void;
}

/** Bounds of a pacer. */
export interface PacerLimits {
  /** Bytes sent at a time; the next are sent when the last have left. */
  readonly partBytes: number;
  /**
   * Bytes of a frame; a part is sent as several. The runtime keeps, for each socket and for ever, a
   * buffer as large as the largest frame it has written: with frames of 64 KiB that is 640 MB for
   * 10,000 routers.
   */
  readonly frameBytes: number;
  /**
   * The same where there are more connections than `many`: 4 KiB less memory for each of them, and a third more
   * processor time for each push (bench:fleet).
   */
  readonly frameBytesOfMany: number;
  readonly many: number;
  /** Pushes at a time, those that stand still not counted. */
  readonly maxActive: number;
  /** Bytes in flight of pushes that move, plus one frame. */
  readonly maxActiveBytes: number;
  /**
   * Bytes in flight of all pushes, plus one frame. What stands still holds its bytes until it moves,
   * is dropped, or has stood for `evictMs` when others need them.
   */
  readonly maxBytes: number;
  readonly evictMs: number;
  /** After so long without progress a push gives its place to another. */
  readonly stallMs: number;
}

export const PACER_LIMITS: PacerLimits = {
  partBytes: 64 * 1024,
  frameBytes: 8 * 1024,
  frameBytesOfMany: 4 * 1024,
  many: 4000,
  maxActive: 32,
  maxActiveBytes: 64 * 1024 * 1024,
  maxBytes: 256 * 1024 * 1024,
  evictMs: 3000,
  stallMs: 500,
};

/** Milliseconds between two looks at sockets that are not ready, growing from the first to the last. */
const MIN_POLL_MS = 1;
const MAX_POLL_MS = 8;
/** Milliseconds between two looks at pushes that stand still. */
const PARKED_POLL_MS = 50;

/** A transfer that has begun. */
interface Begun {
  readonly transfer: Transfer;
  readonly body: Uint8Array;
  /** How much of the body has been given to the socket. */
  offset: number;
  /** Bytes of this push that have not left. */
  inFlight: number;
  /** The socket's buffer at the last look. */
  buffered: number;
  /** When bytes last left. */
  movedAt: number;
}

const NO_BODY = new Uint8Array(0);

/**
 * Gives pushes their turns, first come, first served, and sends each in parts, the next when the last
 * has left: the runtime's sockets buffer without bound and copy what they are given. Where they are
 * polled, because they tell nobody when their buffer empties, one timer does it for all, and only
 * while something is on its way.
 */
export class Pacer {
  readonly #clock: Clock;
  readonly #limits: PacerLimits;
  readonly #connections: () => number;
  readonly #waiting = new Set<Transfer>();
  /** Begun ones that stood still and move again: they go on before new ones begin. */
  readonly #ready = new Set<Begun>();
  readonly #active = new Set<Begun>();
  readonly #parked = new Set<Begun>();
  readonly #begun = new Map<Transfer, Begun>();
  /** What dropped pushes left in sockets that have not closed yet. */
  readonly #left = new Map<Transfer, number>();
  #leftBytes = 0;
  #activeBytes = 0;
  #bytes = 0;
  #bytesTotal = 0;
  #pollMs = MIN_POLL_MS;
  #parkedAt = 0;
  #scheduled = false;
  #stopped = false;
  #cancelTimer: (() => void) | null = null;

  /** `connections` tells how many there are, also those that are pushed nothing. */
  constructor(
    clock: Clock,
    limits: PacerLimits = PACER_LIMITS,
    connections: () => number = () => 0,
  ) {
    this.#clock = clock;
    this.#limits = limits;
    this.#connections = connections;
  }

  /** Bytes given to sockets that have not left. */
  get bytesInFlight(): number {
    return this.#bytes + this.#leftBytes;
  }

  /** Bytes of pushes given to sockets, ever. */
  get bytesTotal(): number {
    return this.#bytesTotal;
  }

  /** How many pushes wait for their turn, move, and stand still. */
  get counts(): { waiting: number; active: number; stalled: number } {
    return {
      waiting: this.#waiting.size,
      active: this.#active.size,
      stalled: this.#parked.size + this.#ready.size,
    };
  }

  /** Puts a transfer at the end of the queue. */
  enqueue(transfer: Transfer): void {
    this.#waiting.add(transfer);
    this.#soon();
  }

  /**
   * Takes a transfer out of the queue, or drops it wherever it is. What its socket still holds keeps no
   * others waiting, for a peer may never take it; it is shown until {@linkcode Pacer.release}.
   */
  remove(transfer: Transfer): void {
    this.#waiting.delete(transfer);
    const begun = this.#begun.get(transfer);
    if (begun === undefined) return;
    if (this.#active.delete(begun)) this.#activeBytes -= begun.inFlight;
    this.#ready.delete(begun);
    this.#parked.delete(begun);
    this.#begun.delete(transfer);
    this.#bytes -= begun.inFlight;
    if (begun.inFlight > 0) {
      this.#left.set(transfer, begun.inFlight);
      this.#leftBytes += begun.inFlight;
    }
    this.#soon();
  }

  /** The socket of a dropped transfer has closed. */
  release(transfer: Transfer): void {
    this.#leftBytes -= this.#left.get(transfer) ?? 0;
    this.#left.delete(transfer);
  }

  /** Drops everything, and its timer. */
  stop(): void {
    this.#stopped = true;
    for (const transfer of [...this.#begun.keys()]) this.remove(transfer);
    this.#waiting.clear();
    this.#cancelTimer?.();
    this.#cancelTimer = null;
  }

  /** Looks after everything once all that happens right now has happened. */
  #soon(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#stopped) return;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    const now = this.#clock.now();
    let busy = false;
    for (const begun of this.#active) busy = this.#advance(begun, now) || busy;
    if (now - this.#parkedAt >= PARKED_POLL_MS) {
      this.#parkedAt = now;
      for (const begun of this.#parked) this.#wake(begun, now);
    }
    busy = this.#fill(now) || busy;
    this.#evict(now);
    this.#schedule(busy);
  }

  #schedule(busy: boolean): void {
    if (this.#active.size > 0) {
      this.#pollMs = busy
        ? MIN_POLL_MS
        : Math.min(this.#pollMs * 2, MAX_POLL_MS);
    } else if (this.#parked.size + this.#ready.size + this.#waiting.size > 0) {
      this.#pollMs = PARKED_POLL_MS;
    } else {
      this.#pollMs = MIN_POLL_MS;
      return;
    }
    const delay = busy && this.#active.size > 0 ? 0 : this.#pollMs;
    this.#cancelTimer = this.#clock.after(delay, () => {
      this.#cancelTimer = null;
      this.#pump();
    });
  }

  /** Goes on with an active push; answers whether it moved. */
  #advance(begun: Begun, now: number): boolean {
    const moved = this.#look(begun, now);
    if (begun.buffered > 0) {
      if (now - begun.movedAt >= this.#limits.stallMs) {
        this.#active.delete(begun);
        this.#activeBytes -= begun.inFlight;
        this.#parked.add(begun);
      }
      return moved;
    }
    if (begun.offset === begun.body.length) this.#finish(begun);
    else this.#sendPart(begun);
    return true;
  }

  /** Looks whether a push that stood still moves again. */
  #wake(begun: Begun, now: number): void {
    this.#look(begun, now);
    if (begun.buffered > 0) return;
    this.#parked.delete(begun);
    if (begun.offset === begun.body.length) this.#finish(begun);
    else this.#ready.add(begun);
  }

  /** Takes note of what has left since the last look; answers whether anything has. */
  #look(begun: Begun, now: number): boolean {
    const buffered = begun.transfer.outlet.bufferedAmount;
    const moved = buffered < begun.buffered ||
      (buffered === 0 && begun.inFlight > 0);
    begun.buffered = buffered;
    const left = Math.max(0, begun.inFlight - buffered);
    if (left > 0) this.#account(begun, -left);
    if (moved) {
      begun.movedAt = now;
      begun.transfer.moved();
    }
    return moved;
  }

  #account(begun: Begun, bytes: number): void {
    begun.inFlight += bytes;
    this.#bytes += bytes;
    if (this.#active.has(begun)) this.#activeBytes += bytes;
  }

  #finish(begun: Begun): void {
    this.#active.delete(begun);
    this.#begun.delete(begun.transfer);
    begun.transfer.sent();
  }

  /** Gives free places to pushes that stood still, then to new ones; answers whether any went on. */
  #fill(now: number): boolean {
    let any = false;
    while (this.#active.size < this.#limits.maxActive) {
      const ready = first(this.#ready);
      if (ready !== undefined) {
        if (!this.#affords(this.#nextPart(ready).length)) return any;
        this.#ready.delete(ready);
        this.#active.add(ready);
        ready.movedAt = now;
        this.#sendPart(ready);
        any = true;
        continue;
      }
      const transfer = first(this.#waiting);
      // What it will send is known once it has begun; room for a part is what it needs at least.
      if (transfer === undefined || !this.#affords(this.#limits.partBytes)) {
        return any;
      }
      this.#waiting.delete(transfer);
      const frames = transfer.begin();
      if (frames === null) continue;
      this.#start(transfer, frames, now);
      any = true;
    }
    return any;
  }

  #start(transfer: Transfer, frames: Frames, now: number): void {
    const begun: Begun = {
      transfer,
      body: frames.body ?? NO_BODY,
      offset: 0,
      inFlight: 0,
      buffered: 0,
      movedAt: now,
    };
    this.#begun.set(transfer, begun);
    this.#active.add(begun);
    this.#send(begun, frames.text, frames.text.length);
    if (begun.body.length > 0) this.#sendPart(begun);
  }

  #nextPart(begun: Begun): Uint8Array {
    const end = begun.offset + this.#limits.partBytes;
    return begun.body.subarray(begun.offset, end);
  }

  #sendPart(begun: Begun): void {
    const part = this.#nextPart(begun);
    begun.offset += part.length;
    const { many, frameBytes: few, frameBytesOfMany } = this.#limits;
    const frameBytes = this.#connections() > many ? frameBytesOfMany : few;
    for (let at = 0; at < part.length; at += frameBytes) {
      const frame = part.subarray(at, at + frameBytes);
      this.#send(begun, frame, frame.length);
    }
  }

  #send(begun: Begun, data: string | Uint8Array, bytes: number): void {
    const { outlet } = begun.transfer;
    this.#bytesTotal += bytes;
    this.#account(begun, bytes);
    outlet.send(data);
    begun.buffered = outlet.bufferedAmount;
  }

  /** Where the bytes of pushes that stand still keep others from going on, the stillest one goes. */
  #evict(now: number): void {
    if (this.#ready.size + this.#waiting.size === 0) return;
    if (this.#bytes + this.#limits.partBytes <= this.#limits.maxBytes) return;
    const begun = first(this.#parked);
    if (begun !== undefined && now - begun.movedAt >= this.#limits.evictMs) {
      begun.transfer.evict();
    }
  }

  #affords(bytes: number): boolean {
    return (this.#activeBytes === 0 ||
      this.#activeBytes + bytes <= this.#limits.maxActiveBytes) &&
      (this.#bytes === 0 || this.#bytes + bytes <= this.#limits.maxBytes);
  }
}

function first<T>(set: ReadonlySet<T>): T | undefined {
  for (const one of set) return one;
  return undefined;
}
