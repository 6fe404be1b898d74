import { createHash } from "node:crypto";
import { stripTypeScriptTypes } from "node:module";
import htm from "htm" with { type: "text" };
import preact from "preact" with { type: "text" };
import preactHooks from "preact/hooks" with { type: "text" };

/** A file of the page. */
export interface PageFile {
  /** Its text, or what reads it when it is asked for. */
  readonly body: string | (() => Promise<string>);
  readonly type: string;
}

/** The page, and the description of the API at `/docs`, as they are served: nothing of them comes from elsewhere. */
export interface Page {
  /** By the path each is served at. */
  readonly files: ReadonlyMap<string, PageFile>;
  /** What a browser may do with them. */
  readonly contentSecurityPolicy: string;
}

const HTML = "text/html; charset=utf-8";
const STYLE = "text/css; charset=utf-8";
const SCRIPT = "text/javascript; charset=utf-8";

/** Reads the page. Its scripts are TypeScript, served under their own names without the types. */
export async function readPage(): Promise<Page> {
  const index = await read("index.html");
  const files = new Map<string, PageFile>([
    ["/", { body: index, type: HTML }],
    ["/page.css", { body: await read("page.css"), type: STYLE }],
    ["/icon.svg", { body: await read("icon.svg"), type: "image/svg+xml" }],
    ["/docs", { body: await read("docs.html"), type: HTML }],
    ["/docs/docs.ts", script(await read("docs.ts"))],
    ["/docs/swagger-ui.js", { body: swagger, type: SCRIPT }],
    ["/docs/swagger-ui.css", { body: swaggerStyle, type: STYLE }],
    ["/page/preact.js", { body: preact, type: SCRIPT }],
    ["/page/preact-hooks.js", { body: preactHooks, type: SCRIPT }],
    ["/page/htm.js", { body: htm, type: SCRIPT }],
  ]);
  for await (const { name } of Deno.readDir(new URL("page", import.meta.url))) {
    if (!name.endsWith(".ts") || name.endsWith("_test.ts")) continue;
    files.set(`/page/${name}`, script(await read(`page/${name}`)));
  }
  return { files, contentSecurityPolicy: policyOf(index) };
}

/** Large, and mostly never asked for: not in memory before it is. */
async function swagger(): Promise<string> {
  return (await import("swagger-ui-dist/swagger-ui-bundle.js", {
    with: { type: "text" },
  })).default;
}

async function swaggerStyle(): Promise<string> {
  return (await import("swagger-ui-dist/swagger-ui.css", {
    with: { type: "text" },
  })).default;
}

function script(source: string): PageFile {
  return { body: stripTypeScriptTypes(source), type: SCRIPT };
}

function read(name: string): Promise<string> {
  return Deno.readTextFile(new URL(name, import.meta.url));
}

/** Only what is served here runs, and it talks only to here; the one script that stands in the page is named by its hash. */
function policyOf(index: string): string {
  const [, importMap = ""] =
    /<script type="importmap">(.*?)<\/script>/s.exec(index) ?? [];
  const hash = createHash("sha256").update(importMap).digest("base64");
  return [
    "default-src 'none'",
    `script-src 'self' 'sha256-${hash}'`,
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}
