import { useEffect, useRef, useState } from "preact/hooks";
import type { EditAnswer } from "../../api/answers.ts";
import { ApiError, call } from "./api.ts";
import { DiffTable } from "./diff.ts";
import { FencedText } from "./holds.ts";
import { html, type View } from "./html.ts";
import { type Live, readFleet, useLive } from "./live.ts";
import { Problem } from "./problem.ts";
import { Rollout } from "./rollout.ts";
import { count, counted } from "./text.ts";

/** An edit as the API takes it. */
export interface Edit {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly type?: string;
}

type Step =
  | { readonly kind: "asking" }
  | { readonly kind: "looking" }
  /** What it would change; `dry.version` is the version it was compared with. */
  | { readonly kind: "shown"; readonly dry: EditAnswer }
  | { readonly kind: "committing"; readonly dry: EditAnswer }
  | { readonly kind: "committed"; readonly answer: EditAnswer };

const AUTHOR_KEY = "signalbox-author";

/**
 * A dialog that makes an edit in two steps: it shows the difference, then commits exactly that, and goes on to show
 * how the routers take it. Where the edit needs words there is a form before the difference.
 */
export function Change(
  { title, form = null, fields = [], edit, verb = "Commit", close }: {
    title: string;
    /** The form's fields, shown disabled once the difference is; told what went wrong with them. */
    form?: ((error: unknown) => View) | null;
    /** Pointers of the body that the form shows problems of itself. */
    fields?: readonly string[];
    edit: () => Edit;
    verb?: string;
    close: () => void;
  },
): View {
  const live: Live = useLive();
  const dialog = useRef<HTMLDialogElement>(null);
  const [step, setStep] = useState<Step>({
    kind: form === null ? "looking" : "asking",
  });
  const [error, setError] = useState<unknown>(null);
  const [author, setAuthor] = useState(localStorage.getItem(AUTHOR_KEY) ?? "");
  const [message, setMessage] = useState("");
  const [within, setWithin] = useState("");
  const [canary, setCanary] = useState("");
  const [hold, setHold] = useState("");

  async function look(): Promise<void> {
    setStep({ kind: "looking" });
    setError(null);
    try {
      const dry = await sendEdit(edit(), { query: { dry_run: "true" } });
      setStep({ kind: "shown", dry });
    } catch (error) {
      setError(error);
      setStep({ kind: "asking" });
    }
  }

  async function commit(dry: EditAnswer): Promise<void> {
    setStep({ kind: "committing", dry });
    setError(null);
    localStorage.setItem(AUTHOR_KEY, author);
    try {
      const answer = await sendEdit(edit(), {
        query: {
          ...(dry.guard === undefined ? {} : { confirm: dry.guard.confirm }),
          ...given("confirm_within", within),
          ...given("canary", canary),
          ...(canary.trim() === "" ? {} : given("hold", hold)),
        },
        headers: {
          "if-match": `"${dry.version}"`,
          ...(author.trim() === ""
            ? {}
            : { "x-signalbox-author": utf8(author) }),
          ...(message.trim() === ""
            ? {}
            : { "x-signalbox-message": utf8(message) }),
        },
      });
      setStep({ kind: "committed", answer });
      if ((answer.confirm_by ?? answer.staged) !== undefined) void readFleet();
    } catch (error) {
      setError(error);
      // Somebody else was first: what was shown is not what would happen.
      const outdated = error instanceof ApiError && error.status === 412;
      setStep(outdated ? { kind: "asking" } : { kind: "shown", dry });
    }
  }

  useEffect(() => {
    dialog.current?.showModal();
    if (form === null) void look();
  }, []);
  // The fields that had the focus are disabled in the next step.
  useEffect(() => {
    if (step.kind === "shown" || step.kind === "committed") {
      dialog.current?.querySelector<HTMLElement>("[data-focus]")?.focus();
    }
  }, [step.kind]);

  return html`
    <dialog ref=${dialog} aria-label=${title} onClose=${close}>
      <form onSubmit=${(event: SubmitEvent) => {
        event.preventDefault();
        if (step.kind === "asking") void look();
        else if (step.kind === "shown") void commit(step.dry);
        else if (step.kind === "committed") dialog.current?.close();
      }}>
        <h2>${title}</h2>
        ${form === null
          ? null
          : html`<fieldset disabled=${step.kind !== "asking"}>${
            form(error)
          }</fieldset>`}
        <${Problem} error=${error} fields=${fields} />
        ${step.kind === "looking"
          ? html`<p role="status">Comparing…</p>`
          : null}
        ${step.kind === "shown" || step.kind === "committing"
          ? html`
            <${Shown} dry=${step.dry} author=${author} message=${message}
              setAuthor=${setAuthor} setMessage=${setMessage}
              within=${within} setWithin=${setWithin}
              canary=${canary} setCanary=${setCanary}
              hold=${hold} setHold=${setHold} />
          `
          : null}
        ${step.kind === "committed"
          ? html`
            ${step.answer.fenced === undefined
              ? null
              : html`<${FencedText} fenced=${step.answer.fenced} />`}
            <${Rollout} live=${live} version=${step.answer.version}
              epoch=${step.answer.epoch} />
          `
          : null}
        <div class="buttons">
          ${step.kind === "committed" ? null : html`
            <button type="button" onClick=${() =>
              dialog.current?.close()}>Cancel</button>
          `}
          ${step.kind === "shown" && form !== null
            ? html`
              <button type="button" onClick=${() =>
                setStep({ kind: "asking" })}>Back</button>
            `
            : null}
          <${Primary} step=${step} verb=${verb} />
        </div>
      </form>
    </dialog>
  `;
}

function Primary({ step, verb }: { step: Step; verb: string }): View {
  switch (step.kind) {
    case "asking":
      return html`<button class="primary">Show the difference</button>`;
    case "looking":
      return html`<button class="primary" disabled>Show the difference</button>`;
    case "shown":
      return html`<button class="primary" disabled=${!step.dry
        .changed}>${verb}</button>`;
    case "committing":
      return html`<button class="primary" disabled>${verb}…</button>`;
    case "committed":
      return html`<button class="primary" data-focus>Close</button>`;
    default:
      return step satisfies never;
  }
}

function Shown(
  {
    dry,
    author,
    message,
    setAuthor,
    setMessage,
    within,
    setWithin,
    canary,
    setCanary,
    hold,
    setHold,
  }: {
    dry: EditAnswer;
    author: string;
    message: string;
    setAuthor: (text: string) => void;
    setMessage: (text: string) => void;
    within: string;
    setWithin: (text: string) => void;
    canary: string;
    setCanary: (text: string) => void;
    hold: string;
    setHold: (text: string) => void;
  },
): View {
  if (!dry.changed) {
    return html`
      <p role="status" tabindex="-1"
        data-focus>That is how it is already: nothing would change.</p>
    `;
  }
  return html`
    ${dry.guard === undefined
      ? null
      : html`<p class="behind" role="alert">${guardText(dry.guard)}</p>`}
    <h3 tabindex="-1" data-focus>What would change, from version ${dry
      .version}</h3>
    <${DiffTable} summary=${dry.summary} samples=${dry.diff === undefined
      ? []
      : [dry.diff]} more=${null} />
    <div class="fields">
      <label>Author <input value=${author} maxlength="256" placeholder="who you are"
        onInput=${(event: InputEvent) =>
          setAuthor((event.target as HTMLInputElement).value)} /></label>
      <label>Message <input value=${message} maxlength="1024" placeholder="why; kept with the version"
        onInput=${(event: InputEvent) =>
          setMessage((event.target as HTMLInputElement).value)} /></label>
      <label>Take back unless confirmed within <input value=${within} placeholder="never"
        onInput=${(event: InputEvent) =>
          setWithin((event.target as HTMLInputElement).value)} /></label>
      <label>Canaries first <input value=${canary} placeholder="all at once; 2, 10% or id:a,b"
        onInput=${(event: InputEvent) =>
          setCanary((event.target as HTMLInputElement).value)} /></label>
      <label>For <input value=${hold} placeholder="45s"
        disabled=${canary.trim() === ""}
        onInput=${(event: InputEvent) =>
          setHold((event.target as HTMLInputElement).value)} /></label>
    </div>
  `;
}

/** A parameter, where it was given. */
function given(name: string, text: string): Record<string, string> {
  return text.trim() === "" ? {} : { [name]: text.trim() };
}

/** Why an edit is to be looked at twice. */
function guardText(guard: NonNullable<EditAnswer["guard"]>): string {
  const { customers_touched, customers, placements_unreached } = guard;
  return [
    `This changes much: ${count(customers_touched)} of ${
      counted(customers, "customer")
    }.`,
    ...(placements_unreached.length === 0 ? [] : [
      `Nobody would be sent to ${placements_unreached.join(", ")} any more.`,
    ]),
  ].join(" ");
}

async function sendEdit(
  { method, path, body, type = "application/json" }: Edit,
  { query = {}, headers = {} }: {
    query?: Record<string, string>;
    headers?: Record<string, string>;
  },
): Promise<EditAnswer> {
  return await call<EditAnswer>(path, {
    method,
    query,
    headers: {
      ...headers,
      ...(body === undefined ? {} : { "content-type": type }),
    },
    ...(body === undefined ? {} : { body }),
  });
}

/** A header takes bytes: those of UTF-8, a character each, which the API reads as such. */
function utf8(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text.trim()));
}
