import { html, type View } from "./html.ts";
import { problemOf } from "./problem.ts";

/** A field of a form, with what the API says of it. */
export function Field(
  {
    label,
    value,
    set,
    error = null,
    pointer = null,
    hint = null,
    lines = 1,
    list = null,
    focus = false,
  }: {
    label: string;
    value: string;
    set: (text: string) => void;
    error?: unknown;
    /** Where the value is in the body; null where it is in the path. */
    pointer?: string | null;
    hint?: string | null;
    lines?: number;
    /** The id of a list of values to choose from. */
    list?: string | null;
    focus?: boolean;
  },
): View {
  const problem = pointer === null ? null : problemOf(error, pointer);
  const attributes = {
    value,
    spellcheck: false,
    autocomplete: "off",
    autocapitalize: "none",
    autofocus: focus,
    required: true,
    "aria-invalid": problem !== null,
    onInput: (event: InputEvent) =>
      set((event.target as HTMLInputElement).value),
  };
  return html`
    <label class="field">${label}
      ${lines > 1
        ? html`<textarea rows=${lines} ...${attributes}></textarea>`
        : html`<input ...${attributes} list=${list} />`}
      ${hint === null ? null : html`<small>${hint}</small>`}
      ${problem === null
        ? null
        : html`<small class="problem" role="alert">${problem}</small>`}
    </label>
  `;
}
