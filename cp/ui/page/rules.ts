import { useEffect, useRef, useState } from "preact/hooks";
import type { Rule } from "../../api/answers.ts";
import { call } from "./api.ts";
import { Field } from "./field.ts";
import { html, type View } from "./html.ts";
import type { Live } from "./live.ts";
import { Problem } from "./problem.ts";
import { counted } from "./text.ts";

const PATH = "/v1/assertions";

interface RuleList {
  readonly rules: readonly Rule[];
}

/** The rules that no edit may break, and a way of changing them. */
export function Rules({ live }: { live: Live }): View {
  const [rules, setRules] = useState<readonly Rule[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const over = new AbortController();
    call<RuleList>(PATH, { signal: over.signal }).then(({ rules }) => {
      setRules(rules);
      setError(null);
    }, (error) => over.signal.aborted || setError(error));
    return () => over.abort();
  }, [live.version]);
  return html`
    <section class="panel" aria-label="Rules">
      <header>
        <h2>Rules that no edit may break</h2>
        <button disabled=${rules === null} onClick=${() =>
          setOpen(true)}>Change the rules…</button>
      </header>
      <${Problem} error=${error} />
      ${rules?.length === 0 ? html`<p>There are none.</p>` : null}
      <ul>${rules?.map((rule) =>
        html`<li key=${rule.name}><b>${rule.name}</b>: ${ruleText(rule)}</li>`
      )}</ul>
    </section>
    ${open && rules !== null
      ? html`<${ChangeRules} rules=${rules} changed=${setRules} close=${() =>
        setOpen(false)} />`
      : null}
  `;
}

function ruleText(
  { customers, placements, max_customers: most }: Rule,
): string {
  return customers === undefined
    ? `placements ${placements} have at most ${
      counted(most ?? 0, "customer")
    } each`
    : `customers ${customers} are only in placements ${placements}`;
}

function ChangeRules({ rules, changed, close }: {
  rules: readonly Rule[];
  changed: (rules: readonly Rule[]) => void;
  close: () => void;
}): View {
  const dialog = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState(JSON.stringify(rules, null, 2));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => dialog.current?.showModal(), []);

  async function save(): Promise<void> {
    setBusy(true);
    setError(null);
    try {
      const body = { rules: JSON.parse(text) };
      changed((await call<RuleList>(PATH, { method: "PUT", body })).rules);
      dialog.current?.close();
    } catch (error) {
      setError(error);
      setBusy(false);
    }
  }

  return html`
    <dialog ref=${dialog} aria-label="Change the rules" onClose=${close}>
      <form onSubmit=${(event: SubmitEvent) => {
        event.preventDefault();
        void save();
      }}>
        <h2>Change the rules</h2>
        <${Field} label="Rules" value=${text} set=${setText}
          lines=${12}
          focus=${true}
          hint='{"name", "customers", "placements"}: such customers only there. {"name", "placements", "max_customers"}: at most so many in each. A * stands at the end only, for any.' />
        <${Problem} error=${error} />
        <div class="buttons">
          <button type="button" onClick=${() =>
            dialog.current?.close()}>Cancel</button>
          <button class="primary" disabled=${busy}>Save</button>
        </div>
      </form>
    </dialog>
  `;
}
