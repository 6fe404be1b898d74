import type { Router, VersionInfo } from "../api/answers.ts";
import { counted } from "../ui/page/text.ts";
import type { Context } from "./edit.ts";

/**
 * Shows how routers take a version while its edit is waited for. It only shows: what the edit answers at the end is
 * the control plane's own count.
 */
export class RolloutProgress implements AsyncDisposable {
  readonly #context: Context;
  readonly #ended = new AbortController();
  readonly #applied = new Set<string>();
  readonly #connected: Set<string>;
  #version: number;
  #canaries: ReadonlySet<string> | null = null;
  #committed = false;
  #following: Promise<void> = Promise.resolve();

  private constructor(
    context: Context,
    { version, routers }: { version: number; routers: readonly Router[] },
  ) {
    this.#context = context;
    this.#version = version;
    this.#connected = new Set(
      routers.filter(({ connected }) => connected).map(({ id }) => id),
    );
  }

  /** Begins to follow; call it before the edit is sent. */
  static async start(context: Context): Promise<RolloutProgress> {
    const progress = new RolloutProgress(
      context,
      await context.client.call("/v1/routers", { signal: context.signal }),
    );
    progress.#following = progress.#follow();
    return progress;
  }

  /** Shows nothing more. */
  end(): void {
    this.#ended.abort();
    this.#context.terminal.progress("");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end();
    await this.#following;
  }

  async #follow(): Promise<void> {
    const signal = AbortSignal.any([this.#ended.signal, this.#context.signal]);
    try {
      const events = this.#context.client.events({ signal });
      for await (const { name, data } of events) {
        if (name === "version") this.#versionTold(JSON.parse(data));
        else if (name === "router") this.#routerTold(JSON.parse(data));
        else if (name === "rollout") this.#rolloutTold(JSON.parse(data));
      }
    } catch {
      // The edit itself tells when the control plane is gone.
    }
  }

  #versionTold({ version }: VersionInfo): void {
    if (version <= this.#version) return;
    this.#version = version;
    this.#committed = true;
    this.#applied.clear();
    this.#show();
  }

  /** The version is for these only; all others are not waited for. */
  #rolloutTold({ id, canaries }: { id: number; canaries: string[] }): void {
    this.#canaries = id === this.#version ? new Set(canaries) : null;
    if (this.#committed) this.#show();
  }

  #routerTold({ router }: { router: Router }): void {
    const { id, connected, version } = router;
    if (connected) this.#connected.add(id);
    else this.#connected.delete(id);
    if ((version ?? 0) >= this.#version) this.#applied.add(id);
    if (this.#committed) this.#show();
  }

  #show(): void {
    if (this.#ended.signal.aborted) return;
    const canaries = this.#canaries;
    const all = canaries === null
      ? counted(this.#connected.size, "router")
      : counted(canaries.size, "canary", "canaries");
    const applied = [...this.#applied].filter((id) =>
      canaries?.has(id) ?? true
    );
    this.#context.terminal.progress(
      `version ${this.#version}: ${applied.length} of ${all} …`,
    );
  }
}
