import { useEffect, useRef, useState } from "preact/hooks";
import { call } from "./api.ts";

/** A list that the server pages: a page of it, and the way to the others. */
export interface ServerPages<T> {
  /** Null before the first answer. */
  readonly page: T | null;
  readonly error: unknown;
  readonly previous: (() => void) | null;
  readonly next: (() => void) | null;
}

/**
 * Reads a list page by page. It begins anew when the path or the query changes, and reads the page in view again when
 * `version` does.
 */
export function useServerPages<T extends { next_cursor: string | null }>(
  path: string,
  { query, version, later }: {
    query: Readonly<Record<string, string | number | null>>;
    version: number | null;
    /** Asked for as well once the page is there, because it takes longer. */
    later?: Readonly<Record<string, string>>;
  },
): ServerPages<T> {
  const key = `${path} ${JSON.stringify(query)}`;
  /** The cursors of the pages before the one in view, and its own. */
  const [trail, setTrail] = useState<readonly (string | null)[]>([null]);
  const [state, setState] = useState<{ page: T | null; error: unknown }>({
    page: null,
    error: null,
  });
  const shownKey = useRef(key);
  const anew = shownKey.current !== key;
  const at = anew ? [null] : trail;
  const cursor = at.at(-1)!;
  useEffect(() => {
    if (shownKey.current !== key) {
      shownKey.current = key;
      setTrail([null]);
    }
    const asked = new AbortController();
    const ask = async (more: Readonly<Record<string, string>>) => {
      const page = await call<T>(path, {
        query: { ...query, ...more, cursor },
        signal: asked.signal,
      });
      setState({ page, error: null });
    };
    ask({}).then(() => later === undefined ? undefined : ask(later)).catch(
      (error) => {
        if (asked.signal.aborted) return;
        setState(({ page }) => ({ page, error }));
      },
    );
    return () => asked.abort();
  }, [key, cursor, version]);
  const { page, error } = state;
  return {
    page,
    error,
    previous: at.length > 1 ? () => setTrail(at.slice(0, -1)) : null,
    next: page !== null && page.next_cursor !== null
      ? () => setTrail([...at, page.next_cursor])
      : null,
  };
}

/** A text that follows another one when that has been still for a moment. */
export function useSettled(text: string, ms = 200): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), ms);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}
