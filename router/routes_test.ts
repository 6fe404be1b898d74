import assert from "node:assert/strict";
import fc from "fast-check";
import { parseConfigText } from "../shared/config.ts";
import { packConfig } from "./config/packed_config.ts";
import { compileRoutes } from "./routes.ts";

function routes(customers: Record<string, string>) {
  const result = parseConfigText(JSON.stringify({
    customer_to_placement: customers,
    default_placement: "a",
    placement_to_endpoint: { a: "http://h:1/base/", b: "https://h" },
  }));
  assert.ok(result.ok);
  return compileRoutes(packConfig(result.config), 7);
}

Deno.test("compileRoutes() finds every customer, and the default for all others", () => {
  const name = fc.stringMatching(/^[\x21-\x7e]{2,30}$/).filter((text) =>
    text !== ".."
  );
  fc.assert(fc.property(
    fc.array(fc.tuple(name, fc.constantFrom("a", "b"))),
    name,
    (pairs, other) => {
      const customers = Object.assign(
        Object.create(null),
        Object.fromEntries(pairs),
      );
      const { find } = routes(customers);
      for (const [customer, placement] of Object.entries(customers)) {
        const route = find(customer);
        assert.deepEqual([route.placement.name, route.reason], [
          placement,
          "assigned",
        ]);
      }
      if (!(other in customers)) assert.equal(find(other).reason, "default");
    },
  ));
});

Deno.test("compileRoutes() takes no inherited name for a customer", () => {
  const { find } = routes({});
  for (
    const customer of ["__proto__", "constructor", "toString", "hasOwnProperty"]
  ) {
    const { placement, reason } = find(customer);
    assert.deepEqual([placement.name, reason], ["a", "default"]);
  }
});

Deno.test("compileRoutes() shares one route between the customers of a placement", () => {
  const { find } = routes({ x: "b", y: "b" });
  assert.equal(find("x"), find("y"));
  assert.ok(Object.isFrozen(find("x")) && Object.isFrozen(find("none")));
  assert.equal(find("none").placement.endpoint.basePath, "/base");
});
