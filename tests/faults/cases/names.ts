import { Buffer } from "node:buffer";
import { equal, ok } from "node:assert/strict";
import { startCell } from "../../harness/cell.ts";
import { configOf } from "../../harness/config.ts";
import { ControlPlane } from "../../harness/control_plane.ts";
import { KeepAlive } from "../../harness/keep_alive.ts";
import { dataFolder } from "../../harness/program.ts";
import { Router } from "../../harness/router.ts";
import { fault } from "../fault.ts";

/**
 * Names that somebody chose to do harm, as customers in paths and bodies of the API and as routing keys in headers.
 * What is promised: exactly that customer, or 400; never another customer's placement, and never a 5xx.
 */

/** Customers that exist, each on the cell that no unknown customer is on. */
const SOUND = [
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "a/b",
  "%2e%2e",
  "<script>alert(1)</script>",
  "x".repeat(256),
];

/** Names that are none: the API refuses them with 400. */
const UNSOUND: Record<string, string> = {
  "longer than 256 bytes": "x".repeat(257),
  "CR LF": "a\r\nX-Routing-Key: acme",
  "NUL": "a\0",
  "a space": "a b",
  "no ASCII": "名",
  "a dot": ".",
  "two dots": "..",
};

/** Header values that no customer may be found by. */
const FOREIGN_KEYS: Record<string, Buffer> = {
  "NUL": Buffer.from("acme\0"),
  "a bare CR": Buffer.from("acme\rx"),
  "257 bytes": Buffer.from("x".repeat(257)),
  "bytes that are no UTF-8": Buffer.from([0x61, 0xff, 0xfe]),
  "half of a surrogate pair": Buffer.from([0xed, 0xa0, 0x80]),
  "another case": Buffer.from("__PROTO__"),
  "two names in one": Buffer.from("acme, __proto__"),
};

fault("hostile names in keys, paths and headers", async (tally) => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using two = startCell("two");
  await using controlPlane = await ControlPlane.start(folder.path);
  // Everybody who is unknown is on "two".
  await controlPlane.call("PUT", "/v1/config", { body: configOf([one, two]) });
  await using router = await Router.start("r", {
    folder: folder.path,
    cpUrl: controlPlane.connectUrl,
  });
  let version = 1;
  await router.serves(version);
  for (const name of SOUND) {
    tally.injected++;
    using api = await KeepAlive.connect(controlPlane.url);
    const path = `/v1/customers/${encodeURIComponent(name)}`;
    equal((await askByKey(router, Buffer.from(name))).placement, "two", name);
    const put = await api.send("PUT", path, { json: { placement: "one" } });
    ok(put.status === 200 || put.status === 201, `${name}: ${put.body}`);
    version = JSON.parse(put.body).version;
    tally.acknowledged++;
    await router.serves(version);
    const { status, placement } = await askByKey(router, Buffer.from(name));
    tally.requests++;
    if (status !== 200) tally.failed++;
    if (placement !== "one") {
      tally.lost++;
      tally.notes.push(`${name}: ${status}, ${placement}`);
    }
    for (const [what, key] of Object.entries(FOREIGN_KEYS)) {
      if (key.equals(Buffer.from(name))) continue;
      const foreign = await askByKey(router, key);
      tally.requests++;
      ok(
        foreign.status === 400 || foreign.placement === "two",
        `${what}: ${foreign.status}, ${foreign.placement}`,
      );
    }
  }
  for (const [what, name] of Object.entries(UNSOUND)) {
    tally.injected++;
    const path = `/v1/customers/${encodeURIComponent(name)}`;
    // A dot alone goes by another path, which is none of a customer's.
    const inPath = await controlPlane.call("PUT", path, {
      body: { placement: "one" },
    });
    ok(inPath.status >= 400 && inPath.status < 500, what);
    const inBody = await controlPlane.call("PATCH", "/v1/config", {
      body: { customer_to_placement: { [name]: "one" } },
      headers: { "Content-Type": "application/merge-patch+json" },
    });
    ok(inBody.status === 400 || inBody.status === 422, what);
  }
  tally.injected++;
  const lone = await controlPlane.call("PATCH", "/v1/config", {
    body: '{"customer_to_placement":{"a\\ud800":"one"}}',
    headers: { "Content-Type": "application/merge-patch+json" },
  });
  ok(lone.status === 400 || lone.status === 422, JSON.stringify(lone.body));
  const { body } = await controlPlane.call("GET", "/v1/config");
  equal(body.version, version, "a name that was refused left something");
});

/** One request with these bytes as its routing key, on a connection of its own. */
async function askByKey(
  { url }: Router,
  key: Buffer,
): Promise<{ status: number; placement: string | undefined }> {
  const { hostname, port } = new URL(url);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const request = Buffer.concat([
    Buffer.from("GET / HTTP/1.1\r\nHost: a\r\nX-Routing-Key: "),
    key,
    Buffer.from("\r\nConnection: close\r\n\r\n"),
  ]);
  await connection.write(request);
  let text = "";
  for await (const bytes of connection.readable) {
    text += Buffer.from(bytes).toString("latin1");
  }
  return {
    status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]),
    placement: /\r\nx-routed-to: (\S+)\r\n/i.exec(text)?.[1],
  };
}
