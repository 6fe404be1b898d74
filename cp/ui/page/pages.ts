import { useEffect, useState } from "preact/hooks";
import { html, type View } from "./html.ts";
import { count, counted } from "./text.ts";

const PER_PAGE = 50;

/** A page of a list that is here whole. */
export interface PagesOf<T> {
  readonly shown: readonly T[];
  readonly total: number;
  /** The place of the first that is shown. */
  readonly first: number;
  readonly previous: (() => void) | null;
  readonly next: (() => void) | null;
}

/** Pages through a list; begins anew when `key` changes. */
export function usePages<T>(
  list: readonly T[],
  { key }: { key: string },
): PagesOf<T> {
  const [page, setPage] = useState(0);
  useEffect(() => setPage(0), [key]);
  const last = Math.max(0, Math.ceil(list.length / PER_PAGE) - 1);
  const at = Math.min(page, last);
  return {
    shown: list.slice(at * PER_PAGE, (at + 1) * PER_PAGE),
    total: list.length,
    first: at * PER_PAGE,
    previous: at > 0 ? () => setPage(at - 1) : null,
    next: at < last ? () => setPage(at + 1) : null,
  };
}

/** The way to the other pages, where there are any. */
export function Pages<T>(
  { pages, noun }: { pages: PagesOf<T>; noun: string },
): View {
  const { shown, total, first, previous, next } = pages;
  if (previous === null && next === null) return null;
  return html`<${Pager} previous=${previous} next=${next}>
    ${count(first + 1)} to ${count(first + shown.length)} of ${
    counted(total, noun)
  }
  </${Pager}>`;
}

/** Buttons to the page before and the one behind. */
export function Pager(
  { previous, next, children }: {
    previous: (() => void) | null;
    next: (() => void) | null;
    children?: View;
  },
): View {
  return html`
    <nav class="pager" aria-label="Pages">
      <button disabled=${previous ===
        null} onClick=${previous}>Previous</button>
      <span>${children}</span>
      <button disabled=${next === null} onClick=${next}>Next</button>
    </nav>
  `;
}
