import { useEffect, useRef, useState } from "preact/hooks";
import type { AssignmentChange } from "../../api/answers.ts";
import { Actions } from "./actions.ts";
import { call } from "./api.ts";
import { path } from "./path.ts";
import { html, type View } from "./html.ts";
import { Problem } from "./problem.ts";
import { moment } from "./text.ts";

interface Explained {
  readonly placement: string;
  readonly endpoint: string;
  readonly reason: "assigned" | "default";
}

interface History {
  readonly changes: AssignmentChange[];
  readonly looked_back_to: number | null;
}

const MAX_CHANGES = 20;

/** One customer: where it is, since when, and where it was. */
export function Customer(
  { name, version, move, close }: {
    name: string;
    version: number | null;
    move: () => void;
    close: () => void;
  },
): View {
  const dialog = useRef<HTMLDialogElement>(null);
  const [explained, setExplained] = useState<Explained | null>(null);
  const [history, setHistory] = useState<History | null>(null);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => dialog.current?.showModal(), []);
  useEffect(() => {
    Promise.all([
      call<Explained>("/v1/explain", { query: { customer: name } }),
      call<History>(path`/v1/customers/${name}/history`, {
        query: { limit: MAX_CHANGES },
      }),
    ]).then(([explained, history]) => {
      setExplained(explained);
      setHistory(history);
    }, setError);
  }, [name, version]);
  const [newest] = history?.changes ?? [];
  return html`
    <dialog ref=${dialog} aria-label=${`Customer ${name}`} onClose=${close}>
      <h2>${name}</h2>
      <${Problem} error=${error} />
      ${explained === null ? null : html`
        <dl>
          <div>
            <dt>Placement</dt>
            <dd>${explained.placement}${explained.reason === "default"
              ? " (the default; it is not assigned)"
              : ""}</dd>
          </div>
          <div>
            <dt>Endpoint</dt>
            <dd>${explained.endpoint}</dd>
          </div>
          <div>
            <dt>There since</dt>
            <dd>${newest !== undefined
              ? `version ${newest.version}, ${moment(newest.created_at)}`
              : history?.looked_back_to === null || history === null
              ? "–"
              : `before version ${history.looked_back_to}, the oldest that is kept`}</dd>
          </div>
        </dl>
      `}
      ${history === null || history.changes.length === 0 ? null : html`
        <h3>Where it was</h3>
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col" class="number">Version</th>
                <th scope="col">When</th>
                <th scope="col">Change</th>
                <th scope="col">Who and why</th>
              </tr>
            </thead>
            <tbody>${history.changes.map((change) =>
              html`
                <tr key=${change.version}>
                  <td class="number">${change.version}</td>
                  <td>${moment(change.created_at)}</td>
                  <td>
                    <del>${change.from ?? "not assigned"}</del>
                    <ins>${change.to ?? "not assigned"}</ins>
                  </td>
                  <td>${[change.author, change.message].filter((text) =>
                    text !== null
                  ).join(": ")}</td>
                </tr>
              `
            )}</tbody>
          </table>
        </div>
      `}
      <${Actions} actions=${[{
        name: "Hold for 10 s",
        run: () =>
          call(path`/v1/customers/${name}/hold`, {
            method: "POST",
            body: { for: "10s" },
          }),
        done: "New requests wait on every router.",
      }, {
        name: "Release",
        run: () =>
          call(path`/v1/customers/${name}/release`, { method: "POST" }),
        done: "Its requests go on.",
      }]} />
      <div class="buttons">
        <button onClick=${() => dialog.current?.close()}>Close</button>
        <button class="primary" onClick=${move}>Move…</button>
      </div>
    </dialog>
  `;
}
