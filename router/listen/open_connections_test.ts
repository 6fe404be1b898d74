import { deepEqual, equal } from "node:assert/strict";
import { Traffic } from "../traffic.ts";
import { OpenConnections } from "./open_connections.ts";

/** A connection that ends when it is told to. */
class Held {
  readonly peer = "192.0.2.1";
  readonly #ended = Promise.withResolvers<void>();
  ended = false;

  serve(): Promise<void> {
    return this.#ended.promise;
  }

  end(): boolean {
    this.ended = true;
    this.#ended.resolve();
    return true;
  }
}

async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test("OpenConnections.shed() ends the newest that may go, and takes as many again when half are gone", async () => {
  const open = new OpenConnections<Held>({
    traffic: new Traffic(),
    maxConnections: 100,
  });
  const all = Array.from({ length: 10 }, () => new Held());
  for (const each of all) void open.serve(each);
  equal(open.short, false);
  // The newest of them is in the middle of a request.
  open.shed(4, { now: 0, end: (each) => each !== all[9] && each.end() });
  await settled();
  deepEqual(
    all.map(({ ended }) => ended),
    [0, 0, 0, 0, 0, 1, 1, 1, 1, 0].map(Boolean),
  );
  equal(open.short, true);
  equal(open.limitFor("192.0.2.2"), "max_connections");
  for (const each of all.slice(2)) each.end();
  await settled();
  equal(open.size, 2);
  equal(open.short, false);
  equal(open.limitFor("192.0.2.2"), null);
});

Deno.test("OpenConnections takes more again some time after a shed, though nobody leaves", () => {
  const open = new OpenConnections<Held>({
    traffic: new Traffic(),
    maxConnections: 50,
  });
  for (let i = 0; i < 10; i++) void open.serve(new Held());
  open.shed(8, { now: 1000, end: () => false });
  open.sweep(30_000);
  equal(open.limitFor("192.0.2.2"), "max_connections");
  open.sweep(31_000);
  // By 32, which makes 34.
  equal(open.limitFor("192.0.2.2"), null);
  equal(open.short, true);
  open.sweep(60_000);
  equal(open.short, true);
  open.sweep(61_000);
  equal(open.short, false);
});
