import { deepEqual, equal, match } from "node:assert/strict";
import type { Page } from "playwright-core";
import { Installation } from "../harness/installation.ts";
import { ControlPlane } from "../harness/control_plane.ts";
import { DraftRouter } from "../harness/draft.ts";
import { dataFolder } from "../harness/program.ts";
import type { Router } from "../harness/router.ts";
import { until } from "../harness/until.ts";
import { WaitingCell } from "../harness/waiting_cell.ts";
import { startBrowser } from "./browser.ts";
import { openPage } from "./open_page.ts";

/** What somebody does with the page who runs a fleet, with real routers, in a real browser. */

const browser = await startBrowser();
addEventListener("unload", () => void browser.close());

function operator(
  name: string,
  run: (all: Installation, page: Page) => Promise<void>,
): void {
  Deno.test(name, async () => {
    await using all = await Installation.start({ routers: ["r1", "r2"] });
    await using open = await openPage(browser, all.controlPlane.url);
    await run(all, open.page);
    open.quiet();
  });
}

async function see(page: Page, text: string | RegExp): Promise<void> {
  await page.getByText(text).first().waitFor();
}

async function versionOf({ controlPlane }: Installation): Promise<number> {
  return (await controlPlane.call("GET", "/v1/config")).body.version;
}

operator(
  "a customer is moved, and the page shows every router take it",
  async (all, page) => {
    await see(page, "All 2 routers serve version 1.");
    await page.getByRole("link", { name: "Customers" }).click();
    await page.getByLabel("Search customers").fill("ac");
    await page.getByRole("row", { name: /acme one version 1$/ }).waitFor();
    await page.getByLabel("Select acme").check();
    await page.getByRole("button", { name: "Move 1…" }).click();
    await page.getByLabel("To placement").fill("two");
    await page.getByRole("button", { name: "Show the difference" }).click();
    await see(page, "1 customer moved");
    equal(await versionOf(all), 1);
    await page.getByLabel("Author").fill("Zoë");
    await page.getByLabel("Message").fill("to the quieter cell");
    await page.getByRole("button", { name: "Move", exact: true }).click();
    await see(page, "2 of 2 routers");
    await see(page, /serve version 2, the last after \d/);
    for (const router of all.routers) {
      equal((await router.ask("acme")).placement, "two");
    }
    const { body } = await all.controlPlane.call("GET", "/v1/versions/2");
    deepEqual([body.author, body.message], ["Zoë", "to the quieter cell"]);

    // Its history, from the list that it was moved in.
    await page.getByRole("button", { name: "Close" }).click();
    await page.getByRole("button", { name: "acme" }).click();
    await see(page, /^version 2, /);
    await see(page, "Zoë: to the quieter cell");
  },
);

operator(
  "many customers are moved by name, with nothing but a keyboard",
  async (all, page) => {
    async function tabTo(name: string): Promise<void> {
      for (let presses = 0; presses < 40; presses++) {
        await page.keyboard.press("Tab");
        const focused = await page.evaluate<string>(
          "document.activeElement.innerText || document.activeElement.labels?.[0]?.innerText || ''",
        );
        if (focused.startsWith(name)) return;
      }
      throw new Error(`The Tab key never comes to ${name}`);
    }
    await tabTo("Customers");
    await page.keyboard.press("Enter");
    await see(page, "acme");
    await tabTo("Move by name");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.type("acme\nglobex initech");
    await tabTo("To placement");
    await page.keyboard.type("two");
    await page.keyboard.press("Enter");
    await see(page, "1 customer moved, 2 customers assigned");
    await tabTo("Move");
    await page.keyboard.press("Enter");
    await see(page, "2 of 2 routers");
    // The focus is on the button that closes.
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    const { body } = await all.controlPlane.call("GET", "/v1/customers");
    equal(body.customers.length, 3);
  },
);

operator(
  "what the API refuses is said where it was entered, in its words",
  async (all, page) => {
    await page.getByRole("link", { name: "Placements" }).click();
    await page.getByRole("row", { name: "two" }).getByRole("button", {
      name: "Endpoint…",
    }).click();
    await page.getByRole("textbox", { name: "Endpoint" }).fill("ftp://cell");
    await page.getByRole("button", { name: "Show the difference" }).click();
    const field = page.getByRole("textbox", { name: "Endpoint" });
    await page.locator("label").filter({ has: field }).getByRole("alert")
      .filter({ hasText: 'Endpoint "ftp://cell"' }).waitFor();
    equal(await field.getAttribute("aria-invalid"), "true");
    await page.keyboard.press("Escape");

    await page.getByRole("row", { name: "one" }).getByRole("button", {
      name: "Remove…",
    }).click();
    const refused = page.getByRole("dialog").getByRole("alert");
    await refused.waitFor();
    match(await refused.innerText(), /acme/);
    equal(await versionOf(all), 1);
  },
);

operator(
  "a version is restored in two clicks, the second of which shows the difference",
  async (all, page) => {
    await all.move("two");
    await page.getByRole("link", { name: "History" }).click();
    await page.getByRole("row").filter({ hasNotText: "current" })
      .getByRole("button", { name: "Restore…" }).click();
    await see(page, "1 customer moved");
    await page.getByRole("button", { name: "Restore", exact: true }).click();
    await see(page, "2 of 2 routers");
    await see(page, /serve version 3/);
    equal((await all.router.ask("acme")).placement, "one");
    await page.getByRole("button", { name: "Close" }).click();
    await page.getByLabel("Compare version 1").check();
    await page.getByLabel("Compare version 2").check();
    await page.getByRole("button", { name: "Compare" }).click();
    await see(page, "From version 1 to version 2");
  },
);

operator(
  "who edits what somebody else has edited meanwhile is told, and loses nothing",
  async (all, page) => {
    await page.getByRole("link", { name: "Placements" }).click();
    await page.getByRole("button", { name: "Add a placement…" }).click();
    await page.getByLabel("Name").fill("three");
    await page.getByLabel("Endpoint").fill("http://127.0.0.1:9");
    await page.getByRole("button", { name: "Show the difference" }).click();
    await see(page, "1 placement added");
    await all.move("two");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await see(page, /the committed version is 2/);
    await page.getByRole("button", { name: "Show the difference" }).click();
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await see(page, /serve version 3/);
  },
);

operator(
  "a router that is killed is missed at once, and welcomed back",
  async (all, page) => {
    await see(page, "All 2 routers serve version 1.");
    await all.routers[1]!.program.kill("SIGKILL");
    await see(page, "1 of 2 routers does not serve version 1.");
    await see(page, /1 gone/);
    await all.move("two");
    await see(page, /does not serve version 2/);
    await all.routerAgain(1);
    await see(page, "All 2 routers serve version 2.");
  },
);

operator(
  "a router that rejects is named with its reason, and pushed to again",
  async (all, page) => {
    await using rejecter = await DraftRouter.connect(
      `${all.controlPlane.connectUrl}?id=edge:7`,
    );
    const answer = async (status: string, error?: string) => {
      const { version } = await rejecter.inbox.next();
      rejecter.send({ type: "ack", version, status, error });
    };
    await answer("rejected", "the moon is full");
    await see(page, "1 of 3 routers does not serve version 1.");
    await see(page, "the moon is full");
    // Its square in the strip leads to it.
    await page.locator(".strip .rejected").click();
    await page.getByRole("button", { name: "Push again" }).click();
    await answer("applied");
    await see(page, "All 3 routers serve version 1.");
  },
);

operator(
  "the control plane is restarted under the open page, which says so and heals",
  async (all, page) => {
    await see(page, "All 2 routers serve version 1.");
    await all.controlPlane.program.kill("SIGKILL");
    await see(page, "The control plane cannot be reached.");
    await until(
      "the title to say so",
      async () => /^Lost/.test(await page.title()),
    );
    await all.controlPlaneAgain();
    await page.getByText("The control plane cannot be reached.").waitFor({
      state: "detached",
    });
    await all.move("two");
    await see(page, "All 2 routers serve version 2.");
  },
);

Deno.test("a control plane with a token asks for it, says when it is wrong, and shows all with it", async () => {
  await using folder = await dataFolder();
  await using controlPlane = await ControlPlane.start(folder.path, {
    CP_ADMIN_TOKEN: "s3cret-s3cret-s3cret",
  });
  await using open = await openPage(browser, controlPlane.url);
  const { page } = open;
  const token = page.getByLabel("Admin token");
  await token.fill("wrong");
  await page.getByRole("button", { name: "Use it" }).click();
  await see(page, "The token is not one of this control plane.");
  await token.fill("s3cret-s3cret-s3cret");
  await page.getByRole("button", { name: "Use it" }).click();
  await see(page, "Nothing is committed yet.");
  open.quiet();
});

operator(
  "a customer is held and released, and moved without ever being on both sides",
  async (all, page) => {
    await page.getByRole("link", { name: "Customers" }).click();
    await page.getByRole("button", { name: "acme" }).click();
    // Ten seconds may be over before a slow browser has shown them and let go.
    await page.route(
      "**/v1/customers/acme/hold",
      (route) => route.continue({ postData: '{"for":"60s"}' }),
    );
    await page.getByRole("button", { name: "Hold for 10 s" }).click();
    await see(page, "New requests wait on every router.");
    await page.getByRole("button", { name: "Close" }).click();
    const asked = all.router.ask("acme");
    const held = page.getByRole("region", { name: "Held customers" });
    await held.getByText("1 request waiting on 2 routers").waitFor();
    await held.getByRole("button", { name: "Release" }).click();
    equal((await asked).placement, "one");
    await held.waitFor({ state: "detached" });

    await page.getByLabel("Select acme").check();
    await page.getByRole("button", { name: "Move 1…" }).click();
    await page.getByLabel("To placement").fill("two");
    await page.getByLabel("Never on both sides").check();
    await page.getByLabel("At most for").fill("soon");
    await page.getByRole("button", { name: "Show the difference" }).click();
    await page.getByRole("alert").filter({ hasText: "span of time" }).waitFor();
    await page.getByLabel("At most for").fill("20s");
    await page.getByRole("button", { name: "Show the difference" }).click();
    await see(page, "1 customer moved");
    await page.getByRole("button", { name: "Move", exact: true }).click();
    await see(page, "nothing ran on both sides.");
    await see(page, "2 of 2 routers");
    equal((await all.router.ask("acme")).placement, "two");
  },
);

operator(
  "what still runs on the old placement is shown until it is over",
  async (all, page) => {
    await using cell = new WaitingCell();
    const put = await all.controlPlane.call("PUT", "/v1/placements/one", {
      body: { endpoint: cell.endpoint },
    });
    equal(put.status, 200);
    await all.router.serves(2);
    const asked = all.router.ask("acme");
    await until("it to run", () => cell.waiting === 1);
    await page.getByRole("link", { name: "Customers" }).click();
    await page.getByLabel("Select acme").check();
    await page.getByRole("button", { name: "Move 1…" }).click();
    await page.getByLabel("To placement").fill("two");
    await page.getByRole("button", { name: "Show the difference" }).click();
    await page.getByRole("button", { name: "Move", exact: true }).click();
    await see(page, "Still running on what was before:");
    await see(page, /^1 request and 0 streams, the oldest for /);
    cell.release();
    await asked;
    await page.getByText("Still running on what was before:").waitFor({
      state: "detached",
    });
  },
);

operator(
  "an edit that changes much is shown as such, and one that takes itself back can be kept",
  async (all, page) => {
    const customers = Array.from({ length: 30 }, (_, i) => `customer-${i}`);
    await all.controlPlane.call("POST", "/v1/moves", {
      body: { customers, to: "one" },
    });
    await page.getByRole("link", { name: "Placements" }).click();
    await page.getByRole("row", { name: "one" }).getByRole("button", {
      name: "Move all…",
    }).click();
    await page.getByLabel("To placement").fill("two");
    await page.getByRole("button", { name: "Show the difference" }).click();
    await page.getByRole("alert").filter({
      hasText: "This changes much: 31 of 31 customers.",
    }).waitFor();
    await page.getByLabel("Take back unless confirmed within").fill("60s");
    await page.getByRole("button", { name: "Move", exact: true }).click();
    await see(page, "2 of 2 routers");
    await page.getByRole("button", { name: "Close" }).click();
    const trial = page.getByRole("region", { name: "On trial" });
    await trial.getByText("Version 3 is on trial.").waitFor();
    equal((await all.move("one")).status, 409);
    await trial.getByRole("button", { name: "Take it back" }).click();
    await trial.waitFor({ state: "detached" });
    await all.router.serves(4);
    equal((await all.router.ask("acme")).placement, "one");
  },
);

operator(
  "a version goes to canaries first, and how they do is shown until it is promoted or taken back",
  async (all, page) => {
    const [first, second] = all.routers as [Router, Router];
    const stage = async (placement: string) => {
      await page.getByRole("link", { name: "Customers" }).click();
      await page.getByLabel("Select acme").check();
      await page.getByRole("button", { name: "Move 1…" }).click();
      await page.getByLabel("To placement").fill(placement);
      await page.getByRole("button", { name: "Show the difference" }).click();
      await page.getByLabel("Canaries first").fill(`id:${first.id}`);
      await page.getByLabel("For", { exact: true }).fill("60s");
      await page.getByRole("button", { name: "Move", exact: true }).click();
      await see(page, "1 of 1 canary");
      await page.getByRole("button", { name: "Close" }).click();
    };
    await stage("two");
    const rollout = page.getByRole("region", { name: "Rollout" });
    await rollout.getByText("Version 2 is for canaries only").waitFor();
    await rollout.getByText(/^applied, [0-9]+ of [0-9]+ requests? failed/)
      .waitFor();
    equal((await first.ask("acme")).placement, "two");
    equal((await second.ask("acme")).placement, "one");
    // Who is no canary is not behind.
    await page.getByRole("link", { name: "Fleet", exact: true }).click();
    await see(
      page,
      "All 2 routers serve version 2 on canaries, version 1 elsewhere.",
    );
    equal(await page.locator(".badge").count(), 0);
    await rollout.getByRole("button", { name: "Take it back" }).click();
    await rollout.getByText("Version 2 was aborted").waitFor();
    await rollout.getByRole("button", { name: "Dismiss" }).click();
    await rollout.waitFor({ state: "detached" });
    for (const router of [first, second]) await router.serves(3);

    await stage("two");
    await rollout.getByRole("button", { name: "Promote now" }).click();
    await rollout.getByText("Version 4 was promoted").waitFor();
    await second.serves(4);
  },
);

operator(
  "rules are set, and an edit that breaks one is refused with its name",
  async (all, page) => {
    await page.getByRole("link", { name: "Placements" }).click();
    const rules = page.getByRole("region", { name: "Rules" });
    await rules.getByText("There are none.").waitFor();
    await rules.getByRole("button", { name: "Change the rules…" }).click();
    const dialog = page.getByRole("dialog", { name: "Change the rules" });
    const save = async (text: string) => {
      await dialog.getByLabel("Rules").fill(text);
      await dialog.getByRole("button", { name: "Save" }).click();
    };
    await save("[");
    await dialog.getByRole("alert").filter({ hasText: "JSON" }).waitFor();
    await save('[{"name":"pinned","customers":"acme","placements":"two"}]');
    await dialog.getByText('Assertion "pinned": customer "acme"').waitFor();
    await save('[{"name":"pinned","customers":"acme","placements":"one"}]');
    await dialog.waitFor({ state: "detached" });
    await rules.getByText("customers acme are only in placements one")
      .waitFor();

    await page.getByRole("link", { name: "Customers" }).click();
    await page.getByLabel("Select acme").check();
    await page.getByRole("button", { name: "Move 1…" }).click();
    await page.getByLabel("To placement").fill("two");
    await page.getByRole("button", { name: "Show the difference" }).click();
    await see(page, /Assertion "pinned": customer "acme" may only be in/);
    await page.getByRole("button", { name: "Cancel" }).click();
    equal((await all.router.ask("acme")).placement, "one");
  },
);
