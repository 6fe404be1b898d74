import { Program } from "./program.ts";
import { until } from "./until.ts";

/** What a cell behind a router answered, and what the router said of it. */
export interface Routed {
  readonly status: number;
  readonly placement: string | null;
  readonly reason: string | null;
  readonly version: number | null;
  readonly text: string;
}

/** A router as a process. */
export class Router implements AsyncDisposable {
  readonly program: Program;
  readonly id: string;
  readonly url: string;
  readonly adminUrl: string;
  readonly #start: Start;

  private constructor(
    program: Program,
    urls: [data: string, admin: string],
    start: Start,
  ) {
    this.program = program;
    this.id = start.env.ROUTER_ID!;
    [this.url, this.adminUrl] = urls;
    this.#start = start;
  }

  /** Starts one whose state is in `folder`; `cpUrl` may be empty, `within` is a command to run it in. */
  static async start(
    id: string,
    options: {
      folder: string;
      cpUrl: string;
      env?: Env;
      within?: readonly string[];
    },
  ): Promise<Router> {
    return await Router.#spawn({
      env: {
        ROUTER_ID: id,
        ROUTER_LISTEN: "127.0.0.1:0",
        ROUTER_ADMIN_LISTEN: "127.0.0.1:0",
        ROUTER_CP_URL: options.cpUrl,
        ROUTER_STATE_DIR: `${options.folder}/${id}`,
        ...options.env,
      },
      within: options.within ?? [],
    });
  }

  /** Starts it again with the same settings, on ports of its own, after the process has ended. */
  async again(env: Env = {}): Promise<Router> {
    return await Router.#spawn({
      ...this.#start,
      env: { ...this.#start.env, ...env },
    });
  }

  /** Starts a process with the same settings, for who does not wait until it listens. */
  begin(): Program {
    const { env, within } = this.#start;
    return Program.start("router", env, { within });
  }

  static async #spawn(start: Start): Promise<Router> {
    const { env, within } = start;
    const program = Program.start("router", env, { within });
    const data = await program.line("listening", { listener: "data" });
    const admin = await program.line("listening", { listener: "admin" });
    return new Router(program, [
      `http://${data.address}`,
      `http://${admin.address}`,
    ], start);
  }

  /** One request of a customer. */
  async ask(customer: string, path = "/"): Promise<Routed> {
    const response = await fetch(this.url + path, {
      headers: { "X-Routing-Key": customer },
    });
    const version = response.headers.get("x-config-version");
    return {
      status: response.status,
      placement: response.headers.get("x-routed-to"),
      reason: response.headers.get("x-route-reason"),
      version: version === null ? null : Number(version),
      text: await response.text(),
    };
  }

  // The tests look at single fields of it and assert what they find there.
  // deno-lint-ignore no-explicit-any
  async status(): Promise<any> {
    return await (await fetch(`${this.adminUrl}/status`)).json();
  }

  /** Waits until it serves this version. */
  async serves(version: number): Promise<void> {
    await until(`${this.id} to serve version ${version}`, async () => {
      const status = await this.status();
      if (status.version !== version) throw new Error(JSON.stringify(status));
      return true;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
  }
}

type Env = Record<string, string>;

/** How it was started. */
interface Start {
  readonly env: Env;
  readonly within: readonly string[];
}
