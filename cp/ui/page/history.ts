import { useEffect, useState } from "preact/hooks";
import type { Diff, VersionInfo } from "../../api/answers.ts";
import { call } from "./api.ts";
import { path } from "./path.ts";
import { Change } from "./change.ts";
import { DiffTable } from "./diff.ts";
import { html, type View } from "./html.ts";
import { useServerPages } from "./lists.ts";
import { type Live, useNow } from "./live.ts";
import { Pager } from "./pages.ts";
import { Problem } from "./problem.ts";
import { count, moment, span } from "./text.ts";

interface VersionPage {
  readonly versions: VersionInfo[];
  readonly next_cursor: string | null;
}

const PER_PAGE = 25;

/** Every version that is kept, what differs between two of them, and the way back. */
export function History({ live }: { live: Live }): View {
  const [chosen, setChosen] = useState<readonly number[]>([]);
  const [compared, setCompared] = useState<
    { from: number | null; to: number } | null
  >(null);
  const [restoring, setRestoring] = useState<number | null>(null);
  const { page, error, previous, next } = useServerPages<VersionPage>(
    "/v1/versions",
    { query: { limit: PER_PAGE }, version: live.version },
  );
  function choose(version: number): void {
    setChosen(
      chosen.includes(version)
        ? chosen.filter((each) => each !== version)
        : [...chosen.slice(-1), version],
    );
  }
  const [one, other] = chosen;
  return html`
    <div class="toolbar">
      <span>${chosen.length < 2
        ? "Select two versions to compare them."
        : `Versions ${Math.min(one!, other!)} and ${
          Math.max(one!, other!)
        }`}</span>
      <span class="grow"></span>
      <button class="primary" disabled=${chosen.length < 2}
        onClick=${() =>
          setCompared({
            from: Math.min(one!, other!),
            to: Math.max(one!, other!),
          })}>Compare</button>
    </div>
    <${Problem} error=${error} />
    ${compared === null ? null : html`
      <${Compared} key=${JSON.stringify(compared)} from=${compared
        .from} to=${compared.to}
        close=${() => setCompared(null)} />
    `}
    <table class="cards">
      <thead>
        <tr>
          <th scope="col" class="check"><span class="unseen">Compare</span></th>
          <th scope="col" class="number">Version</th>
          <th scope="col">When</th>
          <th scope="col">Author</th>
          <th scope="col">Message</th>
          <th scope="col" class="number">Customers</th>
          <th scope="col" class="number">Placements</th>
          <th scope="col"><span class="unseen">Edit</span></th>
        </tr>
      </thead>
      <tbody>${(page?.versions ?? []).map((version) =>
        html`
          <tr key=${version.version}>
            <td class="check"><input type="checkbox" aria-label=${`Compare version ${version.version}`}
              checked=${chosen.includes(version.version)} onChange=${() =>
                choose(version.version)} /></td>
            <th scope="row" class="number">${version
              .version}${version.version === live.version
              ? html`
                <span class="tag">current</span>
              `
              : null}</th>
            <td data-label="When">
              <${Ago} time=${version.created_at} />
            </td>
            <td data-label="Author">${version.author ?? "–"}</td>
            <td data-label="Message">${version.message ?? "–"}</td>
            <td data-label="Customers" class="number">${count(
              version.customers,
            )}</td>
            <td data-label="Placements" class="number">${count(
              version.placements,
            )}</td>
            <td class="row-actions">
              <button onClick=${() =>
                setCompared({
                  from: null,
                  to: version.version,
                })}>What changed</button>
              <button disabled=${version.version ===
                live.version} onClick=${() =>
                setRestoring(version.version)}>Restore…</button>
            </td>
          </tr>
        `
      )}</tbody>
    </table>
    <${Pager} previous=${previous} next=${next} />
    ${restoring === null ? null : html`
      <${Change} title=${`Restore version ${restoring}`}
        edit=${() => ({
          method: "POST",
          path: path`/v1/versions/${restoring}/restore`,
        })} verb="Restore" close=${() => setRestoring(null)} />
    `}
  `;
}

function Ago({ time }: { time: string }): View {
  const now = useNow();
  return html`<time datetime=${time} title=${moment(time)}>${
    span((now - Date.parse(time)) / 1000)
  } ago</time>`;
}

/** The difference between two versions, a page at a time; from null, that to the version before. */
function Compared(
  { from, to, close }: {
    from: number | null;
    to: number;
    close: () => void;
  },
): View {
  const [diffs, setDiffs] = useState<readonly Diff[]>([]);
  const [error, setError] = useState<unknown>(null);
  const cursor = diffs.at(-1)?.next_cursor ?? null;
  async function read(): Promise<void> {
    try {
      const diff = await call<Diff>(path`/v1/versions/${to}/diff`, {
        query: { from, cursor, limit: 100 },
      });
      setDiffs([...diffs, diff]);
      setError(null);
    } catch (error) {
      setError(error);
    }
  }
  useEffect(() => void read(), []);
  const [first] = diffs;
  return html`
    <section class="panel" aria-label="Difference">
      <header><h2>${first === undefined
        ? "Comparing…"
        : first.from === 0
        ? `Version ${first.to}, all of it`
        : `From version ${first.from} to version ${first.to}`}</h2>
        <button onClick=${close}>Close</button></header>
      <${Problem} error=${error} />
      ${first === undefined ? null : html`
        <${DiffTable} summary=${first.summary} samples=${diffs}
          more=${cursor === null ? null : () => void read()} />
      `}
    </section>
  `;
}
