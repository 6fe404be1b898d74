import { useEffect, useState } from "preact/hooks";
import type { Placement } from "../../api/answers.ts";
import { call } from "./api.ts";
import { html, type View } from "./html.ts";

/** The first placements, to choose from; any other one can be typed. */
export function PlacementList(
  { id, version }: { id: string; version: number | null },
): View {
  const [names, setNames] = useState<readonly string[]>([]);
  useEffect(() => {
    call<{ placements: Placement[] }>("/v1/placements", {
      query: { limit: 1000 },
    }).then(
      ({ placements }) => setNames(placements.map((each) => each.placement)),
      // Nothing to choose from; a name can be typed all the same.
      () => {},
    );
  }, [version]);
  return html`<datalist id=${id}>${
    names.map((name) => html`<option key=${name} value=${name}></option>`)
  }</datalist>`;
}
