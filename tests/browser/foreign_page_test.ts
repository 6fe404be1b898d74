import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { Browser, Page } from "playwright-core";
import { DraftRouter } from "../harness/draft.ts";
import { Installation } from "../harness/installation.ts";
import { until } from "../harness/until.ts";
import { serveSite, startBrowser } from "./browser.ts";

/**
 * Pages of other people in the browser of somebody who can reach a control plane that asks for no token, as on loopback.
 * What is promised (SPEC section 5, *Who may*): a browser is no way in.
 */

const MARKUP = "<img/src=x/onerror=document.title='owned'>";

interface Scene extends AsyncDisposable {
  readonly all: Installation;
  readonly browser: Browser;
}

async function start(): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const all = stack.use(await Installation.start());
  const browser = await startBrowser();
  stack.defer(() => browser.close());
  const resources = stack.move();
  return {
    all,
    browser,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** A page of an origin that is nobody's: what it loads from itself is answered here, all else goes its way. */
async function pageAt(
  browser: Browser,
  origin: string,
  html = "<title>attack</title>",
): Promise<Page> {
  const page = await browser.newPage();
  await page.route(
    `${origin}/attack`,
    (route) => route.fulfill({ contentType: "text/html", body: html }),
  );
  await page.goto(`${origin}/attack`);
  return page;
}

/**
 * Everything that a page can do to reach a control plane at `target`. Answers what it got to see: a status, or the name
 * of an error.
 */
async function attack(
  page: Page,
  target: string,
): Promise<Record<string, string>> {
  return await page.evaluate(async (target) => {
    const seen: Record<string, string> = {};
    const patch = JSON.stringify({ placement: "two" });
    const tries: Record<string, [path: string, init: RequestInit]> = {
      "read": ["/v1/config", {}],
      "read with cookies": ["/v1/config", { credentials: "include" }],
      "patch": ["/v1/customers/acme", {
        method: "PATCH",
        headers: { "content-type": "application/json" },
        body: patch,
      }],
      "post without a preflight": ["/v1/moves", {
        method: "POST",
        mode: "no-cors",
        headers: { "content-type": "text/plain" },
        body: JSON.stringify({ from: "one", to: "two" }),
      }],
      "post without a body": ["/v1/takeover", {
        method: "POST",
        mode: "no-cors",
      }],
      "delete": ["/v1/customers/acme", { method: "DELETE" }],
      "put": ["/v1/customers/acme", { method: "PUT", body: patch }],
    };
    for (const [name, [path, init]] of Object.entries(tries)) {
      seen[name] = await fetch(target + path, init).then(
        ({ status, type }) => type === "opaque" ? "opaque" : String(status),
        (error) => error.name,
      );
    }
    // deno-lint-ignore no-explicit-any
    const { document, navigator, EventSource } = globalThis as any;
    navigator.sendBeacon(
      `${target}/v1/moves`,
      JSON.stringify({ from: "one", to: "two" }),
    );
    const load = (tag: string, path: string) =>
      new Promise<string>((resolve) => {
        const element = document.createElement(tag);
        element.onload = () => resolve("loaded");
        element.onerror = () => resolve("error");
        element.src = target + path;
        document.body.append(element);
      });
    seen["script"] = await load("script", "/v1/config");
    seen["its page's script"] = await load("script", "/page.js");
    seen["image"] = await load("img", "/icon.svg");
    seen["events"] = await new Promise<string>((resolve) => {
      const source = new EventSource(`${target}/v1/events`);
      source.onopen = () => resolve("open");
      source.onerror = () => resolve("error");
    });
    seen["socket"] = await new Promise<string>((resolve) => {
      const url = `${target.replace("http", "ws")}/v1/connect?id=browser`;
      const socket = new WebSocket(url);
      socket.onopen = () => resolve("open");
      socket.onerror = () => resolve("error");
    });
    return seen;
  }, target);
}

/** Sends a form, which a browser lets any page do, and answers the status of what came. */
async function submit(page: Page, url: string): Promise<number | undefined> {
  const answered = page.waitForResponse(url);
  await page.evaluate((url) => {
    // deno-lint-ignore no-explicit-any
    const { document } = globalThis as any;
    const form = document.createElement("form");
    form.method = "POST";
    form.enctype = "text/plain";
    form.action = url;
    const input = document.createElement("input");
    input.name = '{"from":"one","to":"two","ignored":"';
    input.value = '"}';
    form.append(input);
    document.body.append(form);
    form.submit();
  }, url);
  return (await answered).status();
}

/** Nothing has changed, and nobody has connected. */
async function unchanged({ controlPlane }: Installation): Promise<void> {
  const { body } = await controlPlane.call("GET", "/v1/config");
  equal(body.version, 1);
  const fleet = await controlPlane.call("GET", "/v1/routers");
  deepEqual(fleet.body.routers.map(({ id }: { id: string }) => id), ["r"]);
}

const REFUSED = {
  "read": "TypeError",
  "read with cookies": "TypeError",
  "patch": "TypeError",
  // Sent, and answered, without a way to see what; whether it did anything is looked at elsewhere.
  "post without a preflight": "TypeError",
  "post without a body": "TypeError",
  "delete": "TypeError",
  "put": "TypeError",
  "script": "error",
  "its page's script": "error",
  "image": "error",
  "events": "error",
  "socket": "error",
};

for (
  const [name, origin] of [
    ["of another site", "http://evil.example"],
    ["on another port of this machine", "http://127.0.0.1:1"],
    ["of a name like ours", "http://localhost:1"],
  ] as const
) {
  Deno.test(`a page ${name} neither reads, edits nor connects`, async () => {
    await using scene = await start();
    const { all, browser } = scene;
    const page = await pageAt(browser, origin);
    deepEqual(await attack(page, all.controlPlane.url), REFUSED);
    await unchanged(all);
    equal(await submit(page, `${all.controlPlane.url}/v1/moves`), 403);
    await unchanged(all);
    await page.close();
  });
}

Deno.test("a page without an origin, in a sandboxed frame, does not edit either", async () => {
  await using scene = await start();
  const { all, browser } = scene;
  const page = await pageAt(
    browser,
    "http://evil.example",
    `<iframe sandbox="allow-scripts" srcdoc="<script>
      fetch('${all.controlPlane.url}/v1/takeover', { method: 'POST', mode: 'no-cors' })
        .finally(() => parent.postMessage('tried', '*'));
    </script>"></iframe><script>onmessage = () => document.title = "tried";</script>`,
  );
  await page.waitForFunction("document.title === 'tried'");
  await unchanged(all);
  await page.close();
});

Deno.test("a name that was made to lead here is served nothing", async () => {
  await using scene = await start();
  const { all, browser } = scene;
  const { port } = all.controlPlane;
  const origin = `http://rebound.example:${port}`;
  const page = await pageAt(browser, origin);
  // It is its own origin, so it sees what it gets.
  const seen = await attack(page, origin);
  deepEqual(seen, {
    ...Object.fromEntries(
      Object.entries(REFUSED).map((
        [name, error],
      ) => [name, error === "TypeError" ? "421" : error]),
    ),
  });
  await unchanged(all);
  equal((await page.goto(`${origin}/`))?.status(), 421);
  const admin = new URL(all.router.adminUrl).port;
  for (const path of ["/config", "/status", "/metrics"]) {
    const answer = await page.goto(`http://rebound.example:${admin}${path}`);
    equal(answer?.status(), 421, path);
  }
  await page.close();
});

Deno.test("nobody frames the page", async () => {
  await using scene = await start();
  const { all, browser } = scene;
  await using site = serveSite(
    `<iframe src="${all.controlPlane.url}/"></iframe>`,
  );
  for (const host of ["evil.example", "127.0.0.1"]) {
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on("console", (message) => errors.push(message.text()));
    await page.goto(`http://${host}:${site.port}/`);
    await until("the frame to be refused", () => errors.length > 0);
    match(errors.join(), /frame/i);
    const [, frame] = page.frames();
    equal(await frame!.locator("#routers").count(), 0);
    await page.close();
  }
});

Deno.test("names and errors that are markup are shown as text, and scripts are no names", async () => {
  await using scene = await start();
  const { all, browser } = scene;
  const { controlPlane } = all;
  for (const name of ["<script>alert(1)</script>", MARKUP, '"onload="x']) {
    const { status, body } = await controlPlane.call(
      "PUT",
      `/v1/placements/${encodeURIComponent(name)}`,
      { body: { endpoint: "http://127.0.0.1:1" } },
    );
    equal(status, 422);
    ok(body.errors[0].detail.length > 0);
    const endpoint = `http://127.0.0.1:1/${name}`;
    const put = await controlPlane.call("PUT", "/v1/placements/three", {
      body: { endpoint },
    });
    ok(put.status === 200 || put.status === 422);
  }
  // Any visible ASCII is a customer.
  const customer = await controlPlane.call(
    "PUT",
    `/v1/customers/${encodeURIComponent(MARKUP)}`,
    {
      body: { placement: "one" },
      headers: { "x-signalbox-author": MARKUP, "x-signalbox-message": MARKUP },
    },
  );
  equal(customer.status, 200);
  await using hostile = await DraftRouter.connect(
    `${controlPlane.connectUrl}?id=hostile`,
  );
  const { version } = await hostile.inbox.next();
  hostile.send({ type: "ack", version, status: "rejected", error: MARKUP });
  const page = await browser.newPage();
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  await page.goto(`${controlPlane.url}/`);
  await page.getByText(MARKUP).first().waitFor();
  match(await page.title(), /Signalbox$/);
  equal(await page.locator("main img").count(), 0);
  // What the API answers is no page, whatever a browser is told to do with it.
  for (
    const path of [
      "/v1/versions",
      "/v1/routers",
      `/v1/customers/${encodeURIComponent(MARKUP)}`,
      `/${encodeURIComponent(MARKUP)}`,
    ]
  ) {
    await page.goto(controlPlane.url + path);
    equal(await page.locator("main img").count(), 0, path);
    equal(await page.title(), "", path);
  }
  deepEqual(
    // A path that does not exist, which is asked for above.
    problems.filter((problem) => !/404/.test(problem)),
    [],
  );
  await page.close();
});
