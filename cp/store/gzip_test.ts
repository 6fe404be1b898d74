import assert from "node:assert/strict";
import { crc32, gunzipSync } from "node:zlib";
import fc from "fast-check";
import { canonicalText } from "../../shared/canonical.ts";
import type { Config } from "../../shared/config.ts";
import { CustomerMap } from "../../shared/customers.ts";
import { combineCrc32 } from "./crc32.ts";
import { gzipMember } from "./gzip.ts";
import { configOf, customersArbitrary } from "./store_contract.ts";

Deno.test("combineCrc32() gives the CRC of two parts in a row", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (first, second) => {
      const both = new Uint8Array([...first, ...second]);
      assert.equal(
        combineCrc32(crc32(first), {
          crc: crc32(second),
          length: second.length,
        }),
        crc32(both),
      );
    }),
  );
});

Deno.test("combineCrc32() takes long parts", () => {
  const first = new TextEncoder().encode("first");
  for (const length of [1, 255, 65_536, 1_000_003, 16_777_216]) {
    const second = new Uint8Array(length).fill(0x61);
    const both = crc32(second, crc32(first));
    assert.equal(
      combineCrc32(crc32(first), { crc: crc32(second), length }),
      both,
    );
  }
});

Deno.test("gzipMember() is the canonical text for every reader", async () => {
  await fc.assert(
    fc.asyncProperty(customersArbitrary(), async (customers) => {
      await checkMember({
        ...configOf({}),
        customers: CustomerMap.from(customers),
      });
    }),
  );
});

Deno.test("gzipMember() is one member for a large config", async () => {
  const customers = CustomerMap.from(
    Array.from({ length: 50_000 }, (_, n) => [`customer-${n}`, "b"] as const),
  );
  const config = { ...configOf({}), customers };
  await checkMember(config);
  const edited = { ...config, customers: customers.with([["new", "a"]]) };
  await checkMember(edited);
  await checkMember({ ...edited, defaultPlacement: "b" });
});

async function checkMember(config: Config): Promise<void> {
  const member = gzipMember(config);
  const text = canonicalText(config);
  assert.equal(gunzipSync(member).toString(), text);
  const stream = new Blob([member as Uint8Array<ArrayBuffer>]).stream()
    .pipeThrough(new DecompressionStream("gzip"));
  assert.equal(await new Response(stream).text(), text);
}
