import { Program } from "./program.ts";

/** What an API call answered. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // The tests look at bodies of all shapes and assert what they find there.
  // deno-lint-ignore no-explicit-any
  readonly body: any;
}

/** A control plane as a process, and its API. */
export class ControlPlane implements AsyncDisposable {
  readonly program: Program;
  readonly port: number;
  readonly #env: Record<string, string>;

  private constructor(
    program: Program,
    port: number,
    env: Record<string, string>,
  ) {
    this.program = program;
    this.port = port;
    this.#env = env;
  }

  /** Starts one whose store is in `folder`, and waits until it listens. */
  static async start(
    folder: string,
    env: Record<string, string> = {},
  ): Promise<ControlPlane> {
    const settings = {
      CP_LISTEN: "127.0.0.1:0",
      CP_KV: `${folder}/cp.kv`,
      ...env,
    };
    const program = Program.start("cp", settings);
    const { address } = await program.line("listening");
    return new ControlPlane(
      program,
      Number(String(address).split(":").at(-1)),
      settings,
    );
  }

  /** Starts it again on the same port and store, after the process has ended. */
  async again(env: Record<string, string> = {}): Promise<ControlPlane> {
    const settings = {
      ...this.#env,
      CP_LISTEN: `127.0.0.1:${this.port}`,
      ...env,
    };
    const program = Program.start("cp", settings);
    await program.line("listening");
    return new ControlPlane(program, this.port, settings);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Where routers connect. */
  get connectUrl(): string {
    return `ws://127.0.0.1:${this.port}/v1/connect`;
  }

  /** Calls the API; `body` is sent as JSON, text as it is. */
  async call(
    method: string,
    path: string,
    options: { body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const { body, headers } = options;
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = /json/.test(response.headers.get("content-type") ?? "");
    return {
      status: response.status,
      headers: response.headers,
      body: json ? JSON.parse(text) : text,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
  }
}
