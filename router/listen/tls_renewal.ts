import { X509Certificate } from "node:crypto";
import { type Logger, logger } from "../../shared/log.ts";
import { checkIdentity, type TlsIdentity } from "./tls_identity.ts";

/** What {@linkcode TlsRenewal} needs. */
export interface TlsRenewalOptions {
  /** The files of the certificate and its key. */
  readonly cert: string;
  readonly key: string;
  /** What they held when they were read first. */
  readonly identity: TlsIdentity;
  /** Told of each certificate and key that replace those before. */
  readonly renew: (identity: TlsIdentity) => void;
  /**
   * How often the files are read, in milliseconds.
   *
   * @default {5_000}
   */
  readonly interval?: number;
  readonly log?: Logger;
}

/**
 * Reads the files of a certificate and its key again and again, and tells of what they hold where that
 * is new and fits together. It looks at contents: nothing tells reliably of a change behind a symbolic
 * link, as Kubernetes mounts secrets.
 */
export class TlsRenewal {
  #options: TlsRenewalOptions;
  #log: Logger;
  #served: TlsIdentity;
  /** What was found in place of a usable pair at the last look; empty if nothing. */
  #wrong = "";
  /** The same, once it was told of. */
  #told = "";
  #timer: ReturnType<typeof setInterval>;
  #looking: Promise<void> | null = null;

  constructor(options: TlsRenewalOptions) {
    this.#options = options;
    this.#log = options.log ?? logger("tls");
    this.#served = options.identity;
    this.#timer = setInterval(
      () => this.#looking ??= this.#look(),
      options.interval ?? 5000,
    );
  }

  async #look(): Promise<void> {
    const { cert, key, renew } = this.#options;
    let found = "";
    try {
      const identity = {
        cert: await Deno.readTextFile(cert),
        key: await Deno.readTextFile(key),
      };
      found = JSON.stringify(identity);
      if (found !== JSON.stringify(this.#served)) {
        checkIdentity(identity);
        renew(identity);
        this.#served = identity;
        const { subject, validTo } = new X509Certificate(identity.cert);
        this.#log.info("certificate renewed", { subject, not_after: validTo });
      }
      this.#wrong = this.#told = "";
    } catch (error) {
      this.#failed(`${found} ${error}`, error);
    }
    this.#looking = null;
  }

  /** Tells what is wrong once, and not before it was seen twice: one of two files is written first. */
  #failed(wrong: string, error: unknown): void {
    if (wrong === this.#wrong && wrong !== this.#told) {
      this.#told = wrong;
      this.#log.error(
        "the certificate cannot be renewed; the one before is served on",
        { cert: this.#options.cert, key: this.#options.key, error },
      );
    }
    this.#wrong = wrong;
  }

  /** Looks no more. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }
}
