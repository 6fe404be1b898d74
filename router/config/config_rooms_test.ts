import { deepEqual, equal, notEqual } from "node:assert/strict";
import { parseConfigText } from "../../shared/config.ts";
import { compileRoutes } from "../routes.ts";
import { ConfigRooms } from "./config_rooms.ts";
import { packConfig, type PackedConfig } from "./packed_config.ts";

function packed(customers: number): PackedConfig {
  const result = parseConfigText(JSON.stringify({
    default_placement: "a",
    customer_to_placement: Object.fromEntries(
      Array.from({ length: customers }, (_, n) => [`customer-${n}`, "b"]),
    ),
    placement_to_endpoint: { a: "http://h:1", b: "http://h:2" },
  }));
  if (!result.ok) throw new Error("The config is wrong");
  return packConfig(result.config);
}

Deno.test("ConfigRooms.put() puts a whole config into shared memory", () => {
  const original = packed(1001);
  const put = new ConfigRooms().put(original);
  deepEqual({ ...put }, original);
  equal(put.text.buffer instanceof SharedArrayBuffer, true);
  equal(put.text.buffer, put.customers.slots.buffer);
  const { find } = compileRoutes(put, 1);
  equal(find("customer-1000").placement.name, "b");
  equal(find("customer-1001").placement.name, "a");
});

Deno.test("ConfigRooms uses two rooms in turn, and never that of what is served", () => {
  const rooms = new ConfigRooms();
  const original = packed(1000);
  const used: ArrayBufferLike[] = [];
  for (let version = 0; version < 6; version++) {
    const { buffer } = rooms.put(original).text;
    // What could not be served makes way for the next.
    equal(rooms.put(original).text.buffer, buffer);
    used.push(buffer);
    rooms.served(true);
  }
  equal(new Set(used).size, 2);
  for (const [index, room] of used.entries()) {
    if (index > 0) notEqual(room, used[index - 1]);
  }
});

Deno.test("ConfigRooms leaves a room to those who still read in it", () => {
  const rooms = new ConfigRooms();
  const first = rooms.put(packed(10));
  rooms.served(true);
  rooms.put(packed(11));
  rooms.served(false);
  notEqual(rooms.put(packed(12)).text.buffer, first.text.buffer);
  deepEqual({ ...first }, { ...first, text: packed(10).text });
});

Deno.test("ConfigRooms has room for every size, and does not keep far too much", () => {
  const rooms = new ConfigRooms();
  const sizes = [1, 100_000, 1, 1, 50_000, 1].map((customers) => {
    const put = rooms.put(packed(customers));
    equal(put.size, customers);
    rooms.served(true);
    return put.text.buffer.byteLength;
  });
  deepEqual(sizes.map((size) => size > 1_000_000), [
    false,
    true,
    false,
    false,
    true,
    false,
  ]);
});
