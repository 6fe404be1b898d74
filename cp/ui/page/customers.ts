import { useState } from "preact/hooks";
import { path } from "./path.ts";
import { Change } from "./change.ts";
import { Customer } from "./customer.ts";
import { Field } from "./field.ts";
import { html, type View } from "./html.ts";
import { Fencing, useFencing } from "./fencing.ts";
import { Holds, useHolds } from "./holds.ts";
import { useServerPages, useSettled } from "./lists.ts";
import type { Live } from "./live.ts";
import { Pager } from "./pages.ts";
import { PlacementList } from "./placement_list.ts";
import { Problem } from "./problem.ts";
import { count, counted } from "./text.ts";

interface CustomerPage {
  readonly version: number;
  /** Since which version each is there; null for longer than versions are kept, absent while that is not known. */
  readonly customers: {
    customer: string;
    placement: string;
    since?: number | null;
  }[];
  readonly next_cursor: string | null;
}

/** Which edit is open, and of whom. */
type Open =
  | { readonly kind: "none" }
  | { readonly kind: "move"; readonly customers: readonly string[] }
  | { readonly kind: "customer"; readonly name: string };

const PER_PAGE = 50;

/** Who is where; and moving them, one or many. */
export function Customers(
  { live, placement }: { live: Live; placement: string },
): View {
  const [prefix, setPrefix] = useState("");
  const [only, setOnly] = useState(placement);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [open, setOpen] = useState<Open>({ kind: "none" });
  const query = {
    prefix: useSettled(prefix.trim()) || null,
    placement: useSettled(only.trim()) || null,
    limit: PER_PAGE,
  };
  const { page, error, previous, next } = useServerPages<CustomerPage>(
    "/v1/customers",
    { query, version: live.version, later: { since: "true" } },
  );
  const customers = page?.customers ?? [];
  const holds = useHolds();
  const all = customers.length > 0 &&
    customers.every(({ customer }) => chosen.has(customer));

  function choose(names: readonly string[], wanted: boolean): void {
    const next = new Set(chosen);
    for (const name of names) wanted ? next.add(name) : next.delete(name);
    setChosen(next);
  }

  return html`
    <div class="toolbar">
      <input type="search" placeholder="Customers that begin with …"
        aria-label="Search customers"
        value=${prefix} onInput=${(event: InputEvent) =>
          setPrefix((event.target as HTMLInputElement).value)} />
      <input type="search" placeholder="in placement …"
        aria-label="Only in placement" list="placements"
        value=${only} onInput=${(event: InputEvent) =>
          setOnly((event.target as HTMLInputElement).value)} />
      <span class="grow"></span>
      <button onClick=${() =>
        setOpen({ kind: "move", customers: [] })}>Move by name…</button>
      <button class="primary" disabled=${chosen.size === 0}
        onClick=${() =>
          setOpen({
            kind: "move",
            customers: [...chosen],
          })}>Move ${chosen.size === 0
          ? "selected"
          : count(chosen.size)}…</button>
    </div>
    <${PlacementList} id="placements" version=${live.version} />
    <${Problem} error=${error} />
    <${Holds} holds=${holds} />
    ${page !== null && customers.length === 0
      ? html`<p class="empty">${
        prefix === "" && only === ""
          ? "No customer is assigned: everybody is in the default placement."
          : "No assigned customer is like that. Whoever is not assigned is in the default placement."
      }</p>`
      : html`
        <table>
          <thead>
            <tr>
              <th scope="col"
                class="check"><input type="checkbox" aria-label="Select all of this page" checked=${all}
              onChange=${() =>
                choose(customers.map(({ customer }) => customer), !all)} /></th>
              <th scope="col">Customer</th>
              <th scope="col">Placement</th>
              <th scope="col">Since</th>
            </tr>
          </thead>
          <tbody>
            ${customers.map(({ customer, placement, since }) =>
              html`
                <tr key=${customer} class=${chosen.has(customer)
                  ? "chosen"
                  : ""}>
                  <td
                    class="check"><input type="checkbox" aria-label=${`Select ${customer}`} checked=${chosen
                      .has(customer)} onChange=${() =>
                      choose([customer], !chosen.has(customer))} /></td>
                  <th
                    scope="row"><button class="plain" onClick=${() =>
                      setOpen({
                        kind: "customer",
                        name: customer,
                      })}>${customer}</button></th>
                  <td>${placement}</td>
                  <td>${sinceText(since)}</td>
                </tr>
              `
            )}
          </tbody>
        </table>
        <${Pager} previous=${previous}
          next=${next}>${counted(
            customers.length,
            "customer",
          )} here${live.newest === null
            ? ""
            : `, ${count(live.newest.customers)} assigned in all`}</${Pager}>
      `}
    ${open.kind === "move"
      ? html`<${Move} customers=${open.customers} close=${() => {
        setOpen({ kind: "none" });
        setChosen(new Set());
      }} />`
      : null}
    ${open.kind === "customer"
      ? html`
        <${Customer} name=${open.name} version=${live.version}
          move=${() => setOpen({ kind: "move", customers: [open.name] })}
          close=${() => setOpen({ kind: "none" })} />
      `
      : null}
  `;
}

function sinceText(since: number | null | undefined): string {
  return since === undefined
    ? ""
    : since === null
    ? "longer ago"
    : `version ${since}`;
}

/** Moves customers by name; those that are not assigned become so. */
function Move(
  { customers, close }: { customers: readonly string[]; close: () => void },
): View {
  const [names, setNames] = useState(customers.join("\n"));
  const [to, setTo] = useState("");
  const fencing = useFencing();
  const list = names.split(/\s+/).filter((name) => name !== "");
  return html`
    <${Change}
      title=${customers.length === 1
        ? `Move ${customers[0]}`
        : "Move customers"}
      fields=${["/to", "/placement", "/within"]}
      form=${(error: unknown) =>
        html`
          ${customers.length === 1 ? null : html`
            <${Field} label="Customers" value=${names} set=${setNames}
              lines=${6}
              error=${error} pointer="/customers" focus=${customers.length ===
                0}
              hint=${`One a line; ${
                counted(list.length, "customer")
              }. Those not assigned yet become assigned.`} />
          `}
          <${Field} label="To placement" value=${to} set=${setTo}
            list="placements" error=${error}
            pointer=${list.length === 1 && !fencing.fenced
              ? "/placement"
              : "/to"} focus=${customers.length > 0} />
          <${Fencing} fencing=${fencing} error=${error} />
        `}
      edit=${() =>
        list.length === 1 && !fencing.fenced
          ? {
            method: "PUT",
            path: path`/v1/customers/${list[0]!}`,
            body: { placement: to.trim() },
          }
          : {
            method: "POST",
            path: "/v1/moves",
            body: { customers: list, to: to.trim(), ...fencing.body },
          }}
      verb="Move" close=${close} />
  `;
}
