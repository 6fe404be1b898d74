import type { Kv } from "../../cp/store/database.ts";
import { HEAD_KEY, routerKey, STORE_KEY } from "../../cp/store/keys.ts";
import { openKvStore } from "../../cp/store/kv_store.ts";
import {
  decodeRecord,
  encodeRecord,
  HEAD_SHAPE,
} from "../../cp/store/records.ts";
import type { Head, VersionStore } from "../../cp/store/store.ts";
import { SILENT } from "../../cp/store/store_contract.ts";
import { emptyHead } from "../../cp/store/version_info.ts";
import { ChangeStreams } from "./change_streams.ts";
import type { History, Node } from "./history.ts";
import type { Place, Snapshot } from "./place.ts";
import type { RemoteCalls } from "./remote_calls.ts";
import {
  keyName,
  KvData,
  openSimulatedKv,
  type Operation,
} from "./simulated_kv.ts";
import type { Simulation } from "./simulation.ts";

interface KvSnapshot extends Snapshot {
  readonly data: KvData;
}

/** A place whose store is the real one, over a database whose every call is simulated. */
export class KvPlace implements Place {
  readonly snapshots: KvSnapshot[] = [];
  readonly #history: History;
  readonly #keepVersions: number;
  readonly #streams: ChangeStreams;
  #data = new KvData();

  constructor(
    simulation: Simulation,
    options: { history: History; keepVersions: number },
  ) {
    this.#history = options.history;
    this.#keepVersions = options.keepVersions;
    this.#streams = new ChangeStreams(simulation);
  }

  async open(
    calls: RemoteCalls,
    { wrapKv }: { wrapKv: (kv: Kv) => Kv },
  ): Promise<VersionStore> {
    const kv = openSimulatedKv(calls, {
      data: () => this.#data,
      streams: this.#streams,
      commit: (operation) => this.#commit(operation),
    });
    return await openKvStore({
      kv: wrapKv(kv),
      keepVersions: this.#keepVersions,
      log: SILENT,
    });
  }

  get head(): Head {
    return decodeRecord(this.#data.read(HEAD_KEY), HEAD_SHAPE);
  }

  lists(router: string): boolean {
    return this.#data.read(routerKey(router)).value !== null;
  }

  restore(snapshot: Snapshot): void {
    const { data, node } = snapshot as KvSnapshot;
    const { stamp } = this.#data;
    this.#data = new KvData(data);
    this.#data.stamp = stamp;
    this.#touchHead();
    this.#history.restored(node);
    this.#streams.ring();
  }

  wipe(): void {
    const { stamp } = this.#data;
    this.#data = new KvData();
    this.#data.stamp = stamp;
    this.#data.commit({
      checks: [],
      changes: [
        {
          key: STORE_KEY,
          value: encodeRecord({ format: 1, createdAt: "2026-01-01" }),
        },
        { key: HEAD_KEY, value: encodeRecord(emptyHead()) },
      ],
    });
    this.#history.restored(null);
    this.#streams.ring();
  }

  silenceWatches(until: number): void {
    this.#streams.silentUntil = until;
  }

  /** Running processes tell by its versionstamp whether the head is the one they know. */
  #touchHead(): void {
    const { value } = this.#data.read(HEAD_KEY);
    if (value === null) return;
    this.#data.commit({
      checks: [],
      changes: [{ key: HEAD_KEY, value }],
    });
  }

  #commit(
    operation: Operation,
  ): Deno.KvCommitResult | Deno.KvCommitError {
    const result = this.#data.commit(operation);
    if (result === null) return { ok: false };
    const head = keyName(HEAD_KEY);
    if (operation.changes.some(({ key }) => keyName(key) === head)) {
      this.#headChanged();
    }
    return result;
  }

  #headChanged(): void {
    const head = decodeRecord(this.#data.read(HEAD_KEY), HEAD_SHAPE);
    const { current } = this.#history;
    if (head.version === 0) this.#remember(null);
    if (
      head.version > 0 &&
      (head.version !== current?.version || head.epoch !== current.epoch)
    ) this.#remember(this.#history.committed(head));
    // Orders, rules and what is confirmed change the head alone.
    else this.#history.headChanged(head);
    this.#streams.ring();
  }

  #remember(node: Node | null): void {
    this.snapshots.push({ node, data: new KvData(this.#data) });
  }
}
