import { useState } from "preact/hooks";
import { html, type View } from "./html.ts";
import { Problem } from "./problem.ts";

/** A call that needs no words. */
export interface Action {
  readonly name: string;
  run(): Promise<unknown>;
  /** What is said when it is done. */
  readonly done: string;
}

/** Buttons; what comes of each is said beside them. */
export function Actions({ actions }: { actions: readonly Action[] }): View {
  const [busy, setBusy] = useState(false);
  const [said, setSaid] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  async function run(action: Action): Promise<void> {
    setBusy(true);
    setSaid(null);
    setError(null);
    try {
      await action.run();
      setSaid(action.done);
    } catch (error) {
      setError(error);
    }
    setBusy(false);
  }
  return html`
    <div class="actions">
      ${actions.map((action) =>
        html`
          <button key=${action.name} disabled=${busy}
            onClick=${() => run(action)}>${action.name}</button>
        `
      )}
      <span role="status">${said}</span>
      <${Problem} error=${error} />
    </div>
  `;
}
