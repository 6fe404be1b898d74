import { deepEqual, ok } from "node:assert/strict";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";

/** The page of a control plane, open in a browser. */
export interface OpenPage extends AsyncDisposable {
  readonly page: Page;
  /** Checks that the browser complained of nothing: no error, nothing that the page's own policy forbids. */
  quiet(): void;
}

/** What a browser says of calls that were answered with an error, or not: a page shows that itself. */
const ANSWERS = /^Failed to load resource: /;

/** Opens a page, at one of its views, and waits until it is there. */
export async function openPage(
  browser: Browser,
  url: string,
  { view = "fleet", ...options }: BrowserContextOptions & { view?: string } =
    {},
): Promise<OpenPage> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    ...options,
  });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    const text = message.text();
    if (message.type() === "error" && !ANSWERS.test(text)) {
      complaints.push(text);
    }
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(`${url}/`)) complaints.push(request.url());
  });
  await page.goto(`${url}/#/${view}`);
  await page.getByRole("navigation", { name: "Views" }).waitFor();
  return {
    page,
    quiet: () => deepEqual(complaints, []),
    [Symbol.asyncDispose]: () => context.close(),
  };
}

/** Checks that nothing of a page is wider than its window. */
export async function fits(page: Page): Promise<void> {
  // As text: what it names is there in a browser only.
  const [wide, window] = await page.evaluate<[number, number]>(
    "[document.documentElement.scrollWidth, document.documentElement.clientWidth]",
  );
  ok(wide <= window, `the page is ${wide} wide in a window of ${window}`);
}
