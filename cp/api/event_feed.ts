import { errorLine } from "../../shared/errors.ts";
import { logger } from "../../shared/log.ts";
import type { Fleet, FleetEvent } from "../hub/fleet.ts";
import type {
  EndedRollout,
  Head,
  StagedRollout,
  VersionInfo,
  VersionStore,
} from "../store/store.ts";
import { versionInfo } from "./config.ts";
import { busy } from "./problem.ts";
import { rolloutEvent } from "./rollouts.ts";

const log = logger("events");

/** What one client may have waiting, in bytes; one that takes less than comes is dropped. */
const MAX_PENDING_BYTES = 1024 * 1024;
const MAX_CLIENTS = 256;
const KEEP_ALIVE_MS = 15_000;
/** How many versions a client that comes back is told of at most; older ones are in the history. */
const MAX_REPLAY = 100;

/** A client's stream, and what it has been told. */
interface Client {
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
  /** The newest version told. */
  version: number;
}

/** Tells clients what happens. It listens to the store and the fleet only while there is a client. */
export class EventFeed {
  readonly #store: VersionStore;
  readonly #fleet: Fleet;
  readonly #encoder = new TextEncoder();
  readonly #clients = new Set<Client>();
  #opening = 0;
  /** The rollout last told of that is under way. */
  #rollout: StagedRollout | null = null;
  #listening: { stop(): void; ended: Promise<void> } | null = null;
  #closed = false;

  constructor(store: VersionStore, fleet: Fleet) {
    this.#store = store;
    this.#fleet = fleet;
  }

  /** How many streams are open. */
  get clients(): number {
    return this.#clients.size;
  }

  /**
   * A stream of events. It begins with the current version or, behind `lastVersion`, with the versions
   * committed since; then it tells of a rollout that is under way.
   *
   * @throws {ProblemError} `unavailable` if there are too many streams, or the feed is closed.
   */
  async open(lastVersion: number | null): Promise<ReadableStream<Uint8Array>> {
    if (this.#closed) throw busy("The control plane is stopping.");
    if (this.#clients.size + this.#opening >= MAX_CLIENTS) {
      throw busy(`${MAX_CLIENTS} event streams are open, which is the most.`);
    }
    this.#opening++;
    let begin: VersionInfo[];
    let rollout: StagedRollout | null;
    try {
      ({ rollout } = await this.#store.head());
      begin = await this.#store.list({
        limit: lastVersion === null ? 1 : MAX_REPLAY,
      });
    } finally {
      this.#opening--;
    }
    if (this.#closed) throw busy("The control plane is stopping.");
    // A number above the newest is from another history than this store's, which tells nothing here.
    const newest = begin[0]?.version ?? 0;
    const told = lastVersion !== null && lastVersion <= newest
      ? lastVersion
      : Math.max(0, newest - 1);
    let client: Client;
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        client = { controller, version: told };
        this.#clients.add(client);
        this.#send(client, this.#encoder.encode("retry: 2000\n\n"));
        this.#tellVersions(client, begin);
        if (rollout !== null) this.#send(client, this.#rolloutEvent(rollout));
        if (this.#listening === null) this.#rollout = rollout;
        this.#listening ??= this.#listen();
      },
      cancel: () => this.#drop(client),
    }, new ByteLengthQueuingStrategy({ highWaterMark: MAX_PENDING_BYTES }));
  }

  /** Ends all streams, and takes no new ones. */
  async close(): Promise<void> {
    this.#closed = true;
    const ended = this.#listening?.ended;
    for (const client of [...this.#clients]) this.#end(client);
    await ended;
  }

  #listen(): { stop(): void; ended: Promise<void> } {
    const stopping = new AbortController();
    const unlisten = this.#fleet.listen((event) => this.#tellRouter(event));
    const keepAlive = setInterval(
      () => this.#sendAll(this.#encoder.encode(": still here\n\n")),
      KEEP_ALIVE_MS,
    );
    const ended = this.#watch(stopping.signal);
    return {
      ended,
      stop: () => {
        unlisten();
        clearInterval(keepAlive);
        stopping.abort();
      },
    };
  }

  async #watch(signal: AbortSignal): Promise<void> {
    try {
      for await (const head of this.#store.watch(signal)) {
        if (head.version === 0) continue;
        await this.#tellRollout(head);
        const versions = await this.#store.list({ limit: MAX_REPLAY });
        for (const client of [...this.#clients]) {
          this.#tellVersions(client, versions);
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      // Clients come back by themselves, and are told what they missed.
      log.error("the event streams end: the store cannot be watched", {
        error: errorLine(error),
      });
      for (const client of [...this.#clients]) this.#end(client);
    }
  }

  /** Tells of the versions a client has not heard of; `versions` come newest first. */
  #tellVersions(client: Client, versions: readonly VersionInfo[]): void {
    for (const version of versions.toReversed()) {
      if (version.version <= client.version) continue;
      client.version = version.version;
      this.#send(
        client,
        this.#encoder.encode(
          `id: ${version.version}\nevent: version\ndata: ${
            JSON.stringify(versionInfo(version))
          }\n\n`,
        ),
      );
    }
  }

  /** Tells of a rollout that has begun, or ended, since the last head. */
  async #tellRollout({ rollout }: Head): Promise<void> {
    const before = this.#rollout;
    if (
      before?.version === rollout?.version &&
      before?.startedAt === rollout?.startedAt
    ) return;
    this.#rollout = rollout;
    if (before !== null) {
      const ended = await this.#store.rollout(before.version);
      if (ended !== null) this.#sendAll(this.#rolloutEvent(ended));
    }
    if (rollout !== null) this.#sendAll(this.#rolloutEvent(rollout));
  }

  #rolloutEvent(rollout: StagedRollout | EndedRollout): Uint8Array {
    return this.#encoder.encode(
      `event: rollout\ndata: ${JSON.stringify(rolloutEvent(rollout))}\n\n`,
    );
  }

  #tellRouter(event: FleetEvent): void {
    this.#sendAll(
      this.#encoder.encode(
        `event: router\ndata: ${JSON.stringify(event)}\n\n`,
      ),
    );
  }

  #sendAll(bytes: Uint8Array): void {
    for (const client of [...this.#clients]) this.#send(client, bytes);
  }

  #send(client: Client, bytes: Uint8Array): void {
    if (!this.#clients.has(client)) return;
    const { controller } = client;
    if ((controller.desiredSize ?? 0) < bytes.length) {
      log.warn("an event stream was ended: its reader is too slow", {
        pending_bytes: MAX_PENDING_BYTES - (controller.desiredSize ?? 0),
      });
      this.#end(client);
    } else controller.enqueue(bytes);
  }

  #end(client: Client): void {
    this.#drop(client);
    try {
      client.controller.close();
    } catch {
      // It is closed or cancelled already.
    }
  }

  #drop(client: Client): void {
    this.#clients.delete(client);
    if (this.#clients.size > 0) return;
    this.#listening?.stop();
    this.#listening = null;
  }
}
