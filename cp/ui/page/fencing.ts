import { useState } from "preact/hooks";
import { Field } from "./field.ts";
import { html, type View } from "./html.ts";

/** Whether a move is fenced, and how. */
export interface FencingState {
  readonly fenced: boolean;
  readonly within: string;
  readonly setFenced: (fenced: boolean) => void;
  readonly setWithin: (within: string) => void;
  /** What of it goes into the body of the move. */
  readonly body: Readonly<Record<string, unknown>>;
}

export function useFencing(): FencingState {
  const [fenced, setFenced] = useState(false);
  const [within, setWithin] = useState("10s");
  const body = fenced ? { fenced: true, within: within.trim() } : {};
  return { fenced, within, setFenced, setWithin, body };
}

/** The fields of a form that say whether a move is fenced. */
export function Fencing(
  { fencing, error }: { fencing: FencingState; error: unknown },
): View {
  const { fenced, within, setFenced, setWithin } = fencing;
  return html`
    <label class="choice"><input type="checkbox" checked=${fenced}
      onChange=${() => setFenced(!fenced)} /> Never on both sides
      <small>New requests wait until what runs is over and all routers serve the move.</small>
    </label>
    ${fenced
      ? html`
        <${Field} label="At most for" value=${within} set=${setWithin}
          error=${error} pointer="/within"
          hint="How long what runs may take to end, such as 10s; then everything is as before." />
      `
      : null}
  `;
}
