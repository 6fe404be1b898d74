import { equal } from "node:assert/strict";
import { Installation } from "../harness/installation.ts";
import { DraftRouter } from "../harness/draft.ts";
import { startBrowser } from "./browser.ts";
import { fits, openPage } from "./open_page.ts";

/** Where the pictures go, to be looked at. */
const PICTURES = "data/screenshots";

const VIEWS = [
  "fleet",
  "propagation",
  "customers",
  "placements",
  "history",
] as const;

Deno.test("every view is sound in light and dark, wide and narrow", async () => {
  await using all = await Installation.start({ routers: ["r1", "r2", "r3"] });
  const { controlPlane } = all;
  for (let i = 0; i < 30; i++) {
    const placement = i % 3 === 0 ? "one" : "two";
    const { status } = await controlPlane.call(
      "PUT",
      `/v1/customers/customer-${i}?wait=applied`,
      {
        body: { placement },
        headers: {
          "x-signalbox-author": "ada",
          "x-signalbox-message": `customer ${i} comes on board`,
        },
      },
    );
    equal(status, 200);
  }
  await using rejecter = await DraftRouter.connect(
    `${controlPlane.connectUrl}?id=edge-7`,
  );
  const { version } = await rejecter.inbox.next();
  rejecter.send({
    type: "ack",
    version,
    status: "rejected",
    error: "/placement_to_endpoint/two: no route to the cell from here",
  });
  const browser = await startBrowser();
  await using _closing = { [Symbol.asyncDispose]: () => browser.close() };
  for (const colorScheme of ["light", "dark"] as const) {
    for (
      const [size, viewport] of [
        ["wide", { width: 1280, height: 800 }],
        ["narrow", { width: 390, height: 844 }],
      ] as const
    ) {
      await using open = await openPage(browser, controlPlane.url, {
        colorScheme,
        viewport,
      });
      const { page } = open;
      for (const view of VIEWS) {
        await page.goto(`${controlPlane.url}/#/${view}`);
        await page.locator("main table").first().waitFor();
        await page.screenshot({
          path: `${PICTURES}/${view}-${colorScheme}-${size}.png`,
        });
        await fits(page);
      }
      open.quiet();
    }
  }
});

Deno.test("the description of the API is rendered from local files, and its calls can be tried", async () => {
  await using all = await Installation.start();
  const browser = await startBrowser();
  await using _closing = { [Symbol.asyncDispose]: () => browser.close() };
  await using open = await openPage(browser, all.controlPlane.url);
  const { page } = open;
  await page.goto(`${all.controlPlane.url}/docs`);
  await page.getByText("/v1/explain").click();
  await page.getByRole("button", { name: "Try it out" }).click();
  await page.getByPlaceholder("customer").fill("acme");
  await page.getByRole("button", { name: "Execute" }).click();
  await page.getByText('"reason": "assigned"').first().waitFor();
  await page.screenshot({ path: `${PICTURES}/docs.png` });
  open.quiet();
});
