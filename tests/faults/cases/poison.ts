import { equal, match, ok } from "node:assert/strict";
import { startCell } from "../../harness/cell.ts";
import { type ConfigBody, configOf } from "../../harness/config.ts";
import {
  DraftControlPlane,
  type Message,
  packText,
} from "../../harness/draft.ts";
import { dataFolder } from "../../harness/program.ts";
import { Router } from "../../harness/router.ts";
import { until } from "../../harness/until.ts";
import { fault, type Tally } from "../fault.ts";

/**
 * A config that is sound and yet too much for a router. The heap of this router's threads is small, and text that is
 * not canonical is read into objects: so a million customers end the process, at the same place each time. What is
 * promised: after two deaths it serves the version before it, at once, says why, and takes the next one.
 */

const SMALL_HEAP = { DENO_V8_FLAGS: "--max-old-space-size=80" };
const REQUESTS = 20;

/** The config with so many customers more, as text whose order no control plane of this project would send. */
function withCustomers(config: ConfigBody, count: number): string {
  const many = { ...config.customer_to_placement };
  for (let i = count; i > 0; i--) {
    many[`customer-${i}`] = config.default_placement;
  }
  return JSON.stringify({ ...config, customer_to_placement: many });
}

/** What the router's state directory says is being applied; null for nothing. */
async function applying(
  folder: string,
): Promise<{ version: number; deaths: number; begun: boolean } | null> {
  try {
    const text = await Deno.readTextFile(`${folder}/r/applying`);
    return JSON.parse(text).trials.at(-1) ?? null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Asks until a request of a customer was answered so often; each must be by this version. */
async function serves(
  router: Router,
  version: number,
  tally: Tally,
): Promise<void> {
  for (let i = 0; i < REQUESTS; i++) {
    tally.requests++;
    const { status, placement, version: by } = await router.ask("acme");
    if (status !== 200 || placement !== "one" || by !== version) tally.failed++;
  }
}

/** The next ack; acknowledged configs are counted. */
async function ack(
  controlPlane: DraftControlPlane,
  tally: Tally,
): Promise<Message> {
  const message = await controlPlane.inbox.next();
  if (message.status === "applied") tally.acknowledged++;
  return message;
}

/** The forms of a push: in parts, and as a control plane sends it that knows the draft alone. */
const FORMS: Record<
  string,
  (controlPlane: DraftControlPlane, version: number, text: string) => void
> = {
  "in parts": (controlPlane, version, text) =>
    controlPlane.sendParts(version, packText(text)),
  "in one text": (controlPlane, version, text) =>
    controlPlane.send(
      `{"type":"config_update","version":${version},"config":${text}}`,
    ),
};

for (const [form, send] of Object.entries(FORMS)) {
  fault(
    `poison: a config, ${form}, that ends the router each time it comes`,
    async (tally) => {
      await using folder = await dataFolder();
      await using one = startCell("one");
      await using two = startCell("two");
      await using controlPlane = new DraftControlPlane();
      const config = configOf([one, two]);
      const small = JSON.stringify(config);
      const poison = withCustomers(config, 1_000_000);
      let router = await Router.start("r", {
        folder: folder.path,
        cpUrl: controlPlane.url,
        env: SMALL_HEAP,
      });
      try {
        await router.program.line("connected to the control plane");
        send(controlPlane, 1, small);
        equal((await ack(controlPlane, tally)).version, 1);
        for (let death = 1; death <= 2; death++) {
          send(controlPlane, 2, poison);
          const { success } = await router.program.ended;
          ok(!success);
          tally.injected++;
          equal((await applying(folder.path))?.version, 2);
          router = await router.again();
          await serves(router, 1, tally);
          await router.program.line("connected to the control plane");
        }
        send(controlPlane, 2, poison);
        const refused = await ack(controlPlane, tally);
        equal(refused.version, 2);
        equal(refused.status, "rejected");
        match(refused.error, /^crash suspect: /);
        match((await router.status()).last_rejected.error, /^crash suspect: /);
        await serves(router, 1, tally);

        // Any newer version is taken, and nothing of the suspect stays behind.
        send(controlPlane, 3, small);
        equal((await ack(controlPlane, tally)).status, "applied");
        equal(await applying(folder.path), null);
        await serves(router, 3, tally);
        equal(controlPlane.inbox.pending, 0);
      } finally {
        await router.program.kill("SIGKILL");
      }
    },
  );
}

fault("poison: one stray kill -9 while a config is applied", async (tally) => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using two = startCell("two");
  await using controlPlane = new DraftControlPlane();
  const config = configOf([one, two]);
  const large = packText(withCustomers(config, 300_000));
  const options = { folder: folder.path, cpUrl: controlPlane.url };
  await using first = await Router.start("r", options);
  await first.program.line("connected to the control plane");
  controlPlane.sendParts(1, packText(JSON.stringify(config)));
  equal((await ack(controlPlane, tally)).status, "applied");
  controlPlane.sendParts(2, large);
  await until(
    "version 2 to be applied",
    async () => (await applying(folder.path))?.begun === true,
  );
  await first.program.kill("SIGKILL");
  tally.injected++;
  equal(controlPlane.inbox.pending, 0);

  await using second = await first.again();
  await serves(second, 1, tally);
  await second.program.line("connected to the control plane");
  controlPlane.sendParts(2, large);
  equal((await ack(controlPlane, tally)).status, "applied");
  await serves(second, 2, tally);
  equal(await applying(folder.path), null);
});

fault(
  "poison: a saved config that the router dies of at each start",
  async (tally) => {
    await using folder = await dataFolder();
    await using one = startCell("one");
    await using two = startCell("two");
    await using controlPlane = new DraftControlPlane();
    const config = configOf([one, two]);
    const options = { folder: folder.path, cpUrl: controlPlane.url };
    await using first = await Router.start("r", options);
    await first.program.line("connected to the control plane");
    controlPlane.sendParts(1, packText(JSON.stringify(config)));
    equal((await ack(controlPlane, tally)).status, "applied");
    controlPlane.sendParts(
      2,
      packText(withCustomers(config, 1_000_000)),
    );
    equal((await ack(controlPlane, tally)).status, "applied");
    await first.program.kill("SIGKILL");
    for (let death = 1; death <= 2; death++) {
      const dying = first.begin();
      await until("the saved version 2 to be read", async () => {
        const mark = await applying(folder.path);
        return mark?.begun === true && mark.deaths === death - 1;
      });
      await dying.kill("SIGKILL");
      tally.injected++;
    }
    await using last = await first.again({ ROUTER_CP_URL: "" });
    await serves(last, 1, tally);
    const told = await last.program.line("the saved config cannot be used");
    match(String(told.problem), /^crash suspect: .* version 2/);
    match(String(told.set_aside_as), /last_known_good\.suspect-1$/);
  },
);
