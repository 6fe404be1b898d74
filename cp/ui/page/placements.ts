import { useState } from "preact/hooks";
import type { Placement } from "../../api/answers.ts";
import { path } from "./path.ts";
import { Change } from "./change.ts";
import { Fencing, useFencing } from "./fencing.ts";
import { Field } from "./field.ts";
import { html, type View } from "./html.ts";
import { useServerPages } from "./lists.ts";
import type { Live } from "./live.ts";
import { Pager } from "./pages.ts";
import { PlacementList } from "./placement_list.ts";
import { Problem } from "./problem.ts";
import { Rules } from "./rules.ts";
import { count, counted } from "./text.ts";

interface PlacementPage {
  readonly default_placement: string | null;
  readonly placements: Placement[];
  readonly total: number;
  readonly next_cursor: string | null;
}

type Open =
  | { readonly kind: "none" }
  | { readonly kind: "add" }
  | {
    readonly kind: "edit" | "remove" | "empty" | "default";
    readonly placement: Placement;
  };

/** The placements: where each leads, and how many customers are there. */
export function Placements({ live }: { live: Live }): View {
  const [open, setOpen] = useState<Open>({ kind: "none" });
  const { page, error, previous, next } = useServerPages<PlacementPage>(
    "/v1/placements",
    { query: { limit: 100 }, version: live.version },
  );
  const placements = page?.placements ?? [];
  const most = Math.max(1, ...placements.map(({ customers }) => customers));
  const close = () => setOpen({ kind: "none" });
  return html`
    <div class="toolbar">
      <span>${page === null ? "" : counted(page.total, "placement")}</span>
      <span class="grow"></span>
      <button class="primary" onClick=${() =>
        setOpen({ kind: "add" })}>Add a placement…</button>
    </div>
    <${Problem} error=${error} />
    <table class="cards">
      <thead>
        <tr>
          <th scope="col">Placement</th>
          <th scope="col">Endpoint</th>
          <th scope="col">Customers</th>
          <th scope="col"><span class="unseen">Edit</span></th>
        </tr>
      </thead>
      <tbody>${placements.map((placement) =>
        html`
          <tr key=${placement.placement}>
            <th scope="row">${placement.placement}${placement.default
              ? html`
                <span class="tag">default</span>
              `
              : null}</th>
            <td data-label="Endpoint">${placement.endpoint}</td>
            <td data-label="Customers"><a href=${`#/customers/${
              encodeURIComponent(placement.placement)
            }`}>${count(placement.customers)}</a>
              <meter min="0" max=${most} value=${placement.customers}
                aria-label=${`${placement.customers} customers`}></meter></td>
            <td class="row-actions">
              <button onClick=${() =>
                setOpen({ kind: "edit", placement })}>Endpoint…</button>
              <button disabled=${placement.customers === 0} onClick=${() =>
                setOpen({ kind: "empty", placement })}>Move all…</button>
              <button disabled=${placement.default} onClick=${() =>
                setOpen({ kind: "default", placement })}>Make default…</button>
              <button class="danger" onClick=${() =>
                setOpen({ kind: "remove", placement })}>Remove…</button>
            </td>
          </tr>
        `
      )}</tbody>
    </table>
    ${previous === null && next === null
      ? null
      : html`<${Pager} previous=${previous} next=${next} />`}
    <${Rules} live=${live} />
    <${PlacementList} id="placements" version=${live.version} />
    ${open.kind === "add" ? html`<${Add} close=${close} />` : null}
    ${open.kind === "edit"
      ? html`<${EditEndpoint} placement=${open.placement} close=${close} />`
      : null}
    ${open.kind === "empty"
      ? html`<${MoveAll} from=${open.placement.placement} close=${close} />`
      : null}
    ${open.kind === "default"
      ? html`
        <${Change} title=${`Make ${open.placement.placement} the default`}
          edit=${() => ({
            method: "PATCH",
            path: "/v1/config",
            type: "application/merge-patch+json",
            body: { default_placement: open.placement.placement },
          })} verb="Make default" close=${close} />
      `
      : null}
    ${open.kind === "remove"
      ? html`
        <${Change} title=${`Remove ${open.placement.placement}`}
          edit=${() => ({
            method: "DELETE",
            path: path`/v1/placements/${open.placement.placement}`,
          })} verb="Remove" close=${close} />
      `
      : null}
  `;
}

function Add({ close }: { close: () => void }): View {
  const [name, setName] = useState("");
  const [endpoint, setEndpoint] = useState("http://");
  return html`
    <${Change} title="Add a placement" fields=${["/endpoint"]}
      form=${(error: unknown) =>
        html`
          <${Field} label="Name" value=${name} set=${setName} focus=${true}
            hint="1 to 128 of A-Z a-z 0-9 . _ -" />
          <${Field} label="Endpoint" value=${endpoint} set=${setEndpoint}
            error=${error} pointer="/endpoint"
            hint="An http: or https: URL with a host, an optional port and base path" />
        `}
      edit=${() => ({
        method: "PUT",
        path: path`/v1/placements/${name.trim()}`,
        body: { endpoint: endpoint.trim() },
      })} verb="Add" close=${close} />
  `;
}

function EditEndpoint(
  { placement, close }: { placement: Placement; close: () => void },
): View {
  const [endpoint, setEndpoint] = useState(placement.endpoint);
  return html`
    <${Change} title=${`Endpoint of ${placement.placement}`} fields=${[
      "/endpoint",
    ]}
      form=${(error: unknown) =>
        html`
          <${Field} label="Endpoint" value=${endpoint} set=${setEndpoint}
            error=${error}
            pointer="/endpoint" focus=${true} />
        `}
      edit=${() => ({
        method: "PATCH",
        path: path`/v1/placements/${placement.placement}`,
        body: { endpoint: endpoint.trim() },
      })} verb="Change" close=${close} />
  `;
}

function MoveAll({ from, close }: { from: string; close: () => void }): View {
  const [to, setTo] = useState("");
  const fencing = useFencing();
  return html`
    <${Change} title=${`Move all customers of ${from}`} fields=${[
      "/to",
      "/within",
    ]}
      form=${(error: unknown) =>
        html`
          <${Field} label="To placement" value=${to} set=${setTo}
            list="placements" error=${error}
            pointer="/to" focus=${true} />
          <${Fencing} fencing=${fencing} error=${error} />
        `}
      edit=${() => ({
        method: "POST",
        path: "/v1/moves",
        body: { from, to: to.trim(), ...fencing.body },
      })} verb="Move" close=${close} />
  `;
}
