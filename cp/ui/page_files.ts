/** A file of the page. */
export interface PageFile {
  readonly body: string;
  readonly type: string;
}

const FILES = [
  ["/", "index.html", "text/html; charset=utf-8"],
  ["/page.css", "page.css", "text/css; charset=utf-8"],
  ["/page.js", "page.js", "text/javascript; charset=utf-8"],
  ["/icon.svg", "icon.svg", "image/svg+xml"],
] as const;

/** Reads the page's files, by the path each is served at. */
export async function readPage(): Promise<ReadonlyMap<string, PageFile>> {
  const files = await Promise.all(FILES.map(async ([path, name, type]) => {
    const body = await Deno.readTextFile(new URL(name, import.meta.url));
    return [path, { body, type }] as const;
  }));
  return new Map(files);
}
