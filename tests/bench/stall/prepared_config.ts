import { Buffer } from "node:buffer";
import { gzipSync } from "node:zlib";
import { type Frames, Payload } from "../../../cp/hub/payload.ts";
import { configDigest } from "../../../shared/canonical.ts";
import type { Config } from "../../../shared/config.ts";
import { CustomerMap } from "../../../shared/customers.ts";
import { encode } from "../../../shared/protocol.ts";
import type { Cell } from "../proxy/customers.ts";
import { assignments } from "./customers.ts";
import type { Form } from "./forms.ts";

/** The history all versions are of. */
export const EPOCH = "bench-stall";

/** Beyond this gzip costs the benchmark more and the router nothing less. */
const GZIP_LEVEL = 4;

/** The configs of a size as they are pushed. All that costs time is done when one is made. */
export class PreparedConfigs {
  readonly #form: Form["id"];
  /** Versions that are even are alike, and those that are odd. */
  readonly #contents: readonly [even: Contents, odd: Contents];

  constructor(
    form: Form,
    { names, cells }: { names: Buffer; cells: readonly Cell[] },
  ) {
    this.#form = form.id;
    this.#contents = [
      new Contents({ names, cells, version: 2 }),
      new Contents({ names, cells, version: 1 }),
    ];
  }

  /** The push of a version. */
  frames(version: number): Frames {
    const contents = this.#contents[version % 2]!;
    if (this.#form === "reordered") return contents.reordered(version);
    const { digest, config } = contents;
    const payload = new Payload({
      version,
      epoch: EPOCH,
      digest,
      config,
      createdAt: new Date().toISOString(),
      author: null,
      message: null,
      customers: config.customers.size,
      placements: config.endpoints.size,
    }, { supersedes: [], guardedSince: 0 });
    const frames = this.#form === "update" ? payload.whole() : payload.parts();
    if (frames === null) {
      throw new Error("Cannot push this as one text: no frame is large enough");
    }
    return frames;
  }
}

/** What a version holds. */
class Contents {
  readonly config: Config;
  readonly digest: string;
  readonly #options: AssignmentOptions;
  #gzip: Uint8Array | undefined;

  constructor(options: AssignmentOptions) {
    this.#options = options;
    this.config = configOf(options);
    this.digest = configDigest(this.config);
  }

  /** The same config as another JSON text: its fields the other way round, its customers in no order. */
  reordered(version: number): Frames {
    this.#gzip ??= gzipSync(this.#reorderedText(), { level: GZIP_LEVEL });
    const text = encode({
      type: "config_begin",
      version,
      epoch: EPOCH,
      digest: this.digest,
      supersedes: [],
      encoding: "gzip",
      bytes: this.#gzip.length,
    });
    return { text, body: this.#gzip };
  }

  #reorderedText(): string {
    const { defaultPlacement, endpoints } = this.config;
    const pairs = assignments(this.#options.names, this.#options)
      .map(([customer, placement]) => `"${customer}":"${placement}"`);
    return `{"placement_to_endpoint":${
      JSON.stringify(Object.fromEntries(endpoints))
    },"default_placement":"${defaultPlacement}","customer_to_placement":{${
      [...pairs].join(",")
    }}}`;
  }
}

interface AssignmentOptions {
  readonly names: Buffer;
  readonly cells: readonly Cell[];
  readonly version: number;
}

/** The config of a version. */
export function configOf(options: AssignmentOptions): Config {
  const { names, cells } = options;
  return {
    defaultPlacement: cells[0]!.placement,
    endpoints: new Map(cells.map(({ placement, url }) => [placement, url])),
    customers: CustomerMap.from(assignments(names, options)),
  };
}
