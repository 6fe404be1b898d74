import type { ConfigBody } from "../../../harness/config.ts";
import type { Cell } from "../customers.ts";
import type { Case } from "../cases.ts";

/** What all proxies are given to work with. */
export interface Scene {
  readonly config: ConfigBody;
  /** The same as a file of JSON. */
  readonly configFile: string;
  readonly cells: readonly Cell[];
  /** The process behind the cells. */
  readonly endpointPid: number;
  /** A folder for temporary files, which every user may enter. */
  readonly folder: string;
  /** Settings of the router beside those of the benchmark. */
  readonly routerEnv: Readonly<Record<string, string>>;
  /** Aborted when the benchmark is to end. */
  readonly signal: AbortSignal;
}

/** A proxy under load. Disposing ends it. */
export interface RunningPeer extends AsyncDisposable {
  readonly port: number;
  /** Its first process. */
  readonly pid: number;
}

/** A proxy of the benchmark. */
export interface Peer {
  /** As `--peers` has it. */
  readonly id: string;
  /** As the tables have it. */
  readonly name: string;
  /** Whether it runs on a JavaScript runtime and is not ours. */
  readonly javaScript: boolean;
  /**
   * Its version and how it is set up.
   *
   * @throws {NotInstalled}
   */
  version(scene: Scene): Promise<string>;
  /** Starts it on a free port of 127.0.0.1. */
  start(scene: Scene): Promise<RunningPeer>;
  /** Why it has no place in the table of a case; undefined where it has. */
  cannot?(item: Case): string | undefined;
}

/** Something that is not on this machine; the message says how it gets there. */
export class NotInstalled extends Error {
  override name = "NotInstalled";
}
