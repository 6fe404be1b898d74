import type { FieldProblem } from "../../api/answers.ts";
import { ApiError } from "./api.ts";
import { html, type View } from "./html.ts";
import { counted } from "./text.ts";

/** What went wrong, in the API's words. Problems of fields that are shown beside them are left out. */
export function Problem(
  { error, fields = [] }: { error: unknown; fields?: readonly string[] },
): View {
  if (error === null || error === undefined) return null;
  if (!(error instanceof ApiError)) {
    return html`<p class="problem" role="alert">${
      error instanceof TypeError
        ? "The control plane does not answer; nothing is known to have changed."
        : String(error)
    }</p>`;
  }
  const others = error.problems.filter(({ pointer }) =>
    !fields.includes(pointer)
  );
  // One problem that stands beside its field is the whole story.
  if (others.length === 0 && error.problems.length > 0 && error.more === 0) {
    return null;
  }
  return html`
    <div class="problem" role="alert">
      <p>${error.message}</p>
      ${others.length > 1
        ? html`<ul>${
          others.map(({ pointer, detail }) =>
            html`<li key=${pointer}><code>${pointer}</code> ${detail}</li>`
          )
        }</ul>`
        : null}
      ${error.more > 0
        ? html`<p>And ${counted(error.more, "more problem")}.</p>`
        : null}
    </div>
  `;
}

/** What the API says of one field; null if nothing. */
export function problemOf(error: unknown, pointer: string): string | null {
  if (!(error instanceof ApiError)) return null;
  const found = error.problems.find((each: FieldProblem) =>
    each.pointer === pointer
  );
  return found?.detail ?? null;
}
