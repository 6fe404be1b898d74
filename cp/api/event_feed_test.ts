import assert from "node:assert/strict";
import { routerView, TestApp } from "../app_fixture.ts";

/** Reads events one by one. */
class Events {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(body: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = body.pipeThrough(new TextDecoderStream()).getReader();
  }

  async next(): Promise<Record<string, string> | null> {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end !== -1) {
        const block = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        return Object.fromEntries(
          block.split("\n").map((line) => {
            const colon = line.indexOf(":");
            return [line.slice(0, colon), line.slice(colon + 1).trim()];
          }),
        );
      }
      const { done, value } = await this.#reader.read();
      if (done) return null;
      this.#text += value;
    }
  }

  async close(): Promise<void> {
    await this.#reader.cancel();
  }
}

async function open(
  app: TestApp,
  headers: Record<string, string> = {},
): Promise<Events> {
  const { status, body } = await app.fetch("/v1/events", { headers });
  assert.equal(status, 200);
  const events = new Events(body!);
  assert.deepEqual(await events.next(), { retry: "2000" });
  return events;
}

const edit = (app: TestApp, placement: string) =>
  app.call("PUT", "/v1/customers/acme", { body: { placement } });

Deno.test("EventFeed tells the current version, then each new one", async () => {
  await using app = new TestApp();
  await app.seed();
  const events = await open(app);
  const first = await events.next();
  assert.equal(first?.["event"], "version");
  assert.equal(first?.["id"], "1");
  await edit(app, "tier2");
  const second = await events.next();
  assert.equal(second?.["id"], "2");
  assert.equal(JSON.parse(second?.["data"] ?? "").version, 2);
  await events.close();
});

Deno.test("EventFeed tells what happens to routers", async () => {
  await using app = new TestApp();
  const events = await open(app);
  app.fleet.tell({ kind: "applied", router: routerView("r1") });
  const event = await events.next();
  assert.equal(event?.["event"], "router");
  const data = JSON.parse(event?.["data"] ?? "");
  assert.equal(data.kind, "applied");
  assert.equal(data.router.id, "r1");
  await events.close();
});

Deno.test("EventFeed tells a client that comes back what it missed", async () => {
  await using app = new TestApp();
  await app.seed();
  await edit(app, "tier2");
  await edit(app, "tier3");
  const events = await open(app, { "last-event-id": "1" });
  assert.equal((await events.next())?.["id"], "2");
  assert.equal((await events.next())?.["id"], "3");
  await events.close();
});

Deno.test("EventFeed tells the current version to a client that heard of higher ones elsewhere", async () => {
  await using app = new TestApp();
  await app.seed();
  await edit(app, "tier2");
  const events = await open(app, { "last-event-id": "1684" });
  assert.equal((await events.next())?.["id"], "2");
  await edit(app, "tier3");
  assert.equal((await events.next())?.["id"], "3");
  await events.close();
});

Deno.test("EventFeed drops a client that reads too slowly", async () => {
  await using app = new TestApp();
  const { body } = await app.fetch("/v1/events");
  assert.equal(app.feed.clients, 1);
  const error = "x".repeat(64 * 1024);
  for (let i = 0; i < 20; i++) {
    app.fleet.tell({ kind: "rejected", router: routerView("r1", { error }) });
  }
  assert.equal(app.feed.clients, 0);
  assert.equal(app.fleet.listeners, 0);
  await body?.cancel();
});

Deno.test("EventFeed listens only while it has clients, and has a bound of them", async () => {
  await using app = new TestApp();
  assert.equal(app.fleet.listeners, 0);
  const streams = await Promise.all(
    Array.from({ length: 256 }, () => app.feed.open(null)),
  );
  assert.equal(app.fleet.listeners, 1);
  assert.equal((await app.call("GET", "/v1/events")).status, 503);
  for (const stream of streams) await stream.cancel();
  assert.equal(app.feed.clients, 0);
  assert.equal(app.fleet.listeners, 0);
});

Deno.test("EventFeed.close() ends the streams and takes no new ones", async () => {
  await using app = new TestApp();
  const events = await open(app);
  await app.feed.close();
  assert.equal(await events.next(), null);
  assert.equal((await app.call("GET", "/v1/events")).status, 503);
});

Deno.test("EventFeed tells of a rollout that is under way, that begins and that ends", async () => {
  await using app = new TestApp();
  await app.seed();
  app.fleet.able = [{
    id: "r1",
    instance: "i",
    counted: null,
    before: null,
    current: true,
    counts: true,
  }];
  const events = await open(app);
  await events.next();
  const staged = await app.call("PUT", "/v1/customers/acme?canary=1", {
    body: { placement: "tier2" },
  });
  assert.equal(staged.status, 200);
  async function rollout(from: Events): Promise<Record<string, unknown>> {
    for (;;) {
      const event = await from.next();
      assert.ok(event !== null);
      if (event["event"] === "rollout") return JSON.parse(event["data"]!);
    }
  }
  const began = await rollout(events);
  assert.deepEqual([began["id"], began["state"], began["canaries"]], [
    2,
    "under_way",
    ["r1"],
  ]);
  const late = await open(app);
  assert.equal((await rollout(late))["state"], "under_way");
  const { status } = await app.call("POST", "/v1/rollouts/2/abort");
  assert.equal(status, 200);
  for (const each of [events, late]) {
    const ended = await rollout(each);
    assert.deepEqual([ended["id"], ended["state"], ended["taken_back_by"]], [
      2,
      "aborted",
      3,
    ]);
    await each.close();
  }
});
