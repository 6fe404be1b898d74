import { TEST_CERT, TEST_KEY } from "../../router/upstream/testing.ts";
import { dataFolder } from "../harness/program.ts";
import { Router } from "../harness/router.ts";
import { type Front, WireFront } from "./front.ts";
import { H2Front } from "./h2_front.ts";

/** What a router under test is started with. */
export interface SubjectOptions {
  /** The endpoints of its placements; the customer `acme` is on `cell`, and everybody else on the last. */
  readonly placements: Readonly<Record<string, string>>;
  /** More customers, and where they are. */
  readonly customers?: Readonly<Record<string, string>>;
  /**
   * Whether its data listener speaks TLS; HTTP/2 is spoken beside it then.
   *
   * @default {false}
   */
  readonly secure?: boolean;
  /** More settings. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * A router as a process of its own, on a bootstrap config and without a control plane. It is started
 * once for a test file, outside of its tests, and ended by `Deno.test.afterAll`.
 */
export class Subject implements AsyncDisposable {
  readonly router: Router;
  /** The way in for tests that look at bytes. */
  readonly front: WireFront;
  /** The way in over HTTP/2; null without TLS. */
  readonly h2: H2Front | null;
  /** Every way in, {@linkcode Subject.front} first. */
  readonly fronts: readonly Front[];
  readonly #folder: { path: string } & AsyncDisposable;

  private constructor(
    router: Router,
    folder: { path: string } & AsyncDisposable,
    fronts: [WireFront, H2Front?],
  ) {
    this.router = router;
    this.#folder = folder;
    this.front = fronts[0];
    this.h2 = fronts[1] ?? null;
    this.fronts = this.h2 === null ? [this.front] : [this.front, this.h2];
  }

  static async start(options: SubjectOptions): Promise<Subject> {
    const { placements, secure = false } = options;
    const folder = await dataFolder();
    const files = {
      ROUTER_BOOTSTRAP: `${folder.path}/bootstrap.json`,
      ...(secure && {
        ROUTER_TLS_CERT: `${folder.path}/cert.pem`,
        ROUTER_TLS_KEY: `${folder.path}/key.pem`,
        ROUTER_H2_LISTEN: "127.0.0.1:0",
      }),
    };
    await Deno.writeTextFile(
      files.ROUTER_BOOTSTRAP,
      JSON.stringify({
        default_placement: Object.keys(placements).at(-1),
        customer_to_placement: { acme: "cell", ...options.customers },
        placement_to_endpoint: placements,
      }),
    );
    await Deno.writeTextFile(`${folder.path}/cert.pem`, TEST_CERT);
    await Deno.writeTextFile(`${folder.path}/key.pem`, TEST_KEY);
    const router = await Router.start("subject", {
      folder: folder.path,
      cpUrl: "",
      env: { ...files, ...options.env },
    });
    const url = new URL(router.url);
    if (!secure) return new Subject(router, folder, [new WireFront(url)]);
    url.protocol = "https:";
    const h2 = await router.program.line("listening", { listener: "h2" });
    const { port } = new URL(`https://${h2.address}`);
    return new Subject(router, folder, [
      new WireFront(url),
      new H2Front(Number(port)),
    ]);
  }

  /** Starts one on plain HTTP/1.1 and one over TLS, on the same config. */
  static async both(
    options: Omit<SubjectOptions, "secure">,
  ): Promise<[Subject, Subject]> {
    return await Promise.all([
      Subject.start(options),
      Subject.start({ ...options, secure: true }),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.router[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }
}
