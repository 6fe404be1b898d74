import assert from "node:assert/strict";
import { CONFIG, routerView, seeded } from "../app_fixture.ts";

Deno.test("/openapi.json describes every call, and every answer fits it", async () => {
  await using app = await seeded();
  const { body } = await app.call("GET", "/openapi.json");
  assert.equal(body.openapi, "3.1.0");
  const described = Object.entries(body.paths)
    .flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method} ${path}`)
    );
  const served = app.routes.app.routes
    .filter(({ method, path }) =>
      method !== "ALL" && path !== "/" && path !== "/v1/connect"
    )
    .map(({ method, path }) =>
      `${method.toLowerCase()} ${path.replaceAll(/:([a-z_]+)/g, "{$1}")}`
    );
  assert.deepEqual(described.toSorted(), served.toSorted());
  for (
    const ref of JSON.stringify(body).matchAll(
      /"\$ref":"#\/components\/schemas\/([^"]+)"/g,
    )
  ) {
    assert.ok(body.components.schemas[ref[1]!], ref[1]);
  }
  app.fleet.list = [routerView("r1")];
  const calls: Record<string, [path: string, body?: unknown]> = {
    "get /v1/config": ["/v1/config"],
    "put /v1/config": ["/v1/config?wait=applied", CONFIG],
    "patch /v1/config": ["/v1/config?dry_run=true", {
      customer_to_placement: { acme: null },
    }],
    "get /v1/placements": ["/v1/placements"],
    "get /v1/placements/{name}": ["/v1/placements/tier1"],
    "get /v1/customers": ["/v1/customers"],
    "get /v1/customers/{customer}": ["/v1/customers/acme"],
    "get /v1/versions": ["/v1/versions"],
    "get /v1/versions/{n}": ["/v1/versions/1"],
    "get /v1/versions/{n}/diff": ["/v1/versions/1/diff"],
    "get /v1/routers": ["/v1/routers"],
    "get /v1/routers/{id}": ["/v1/routers/r1"],
    "post /v1/routers/{id}/resend": ["/v1/routers/r1/resend"],
    "get /v1/explain": ["/v1/explain?customer=acme"],
    "get /healthz": ["/healthz"],
    "get /readyz": ["/readyz"],
  };
  for (const { method, path, answers } of app.routes.specs) {
    const call = calls[`${method} ${path}`];
    if (call === undefined) continue;
    const answer = await app.call(method.toUpperCase(), call[0], {
      body: call[1],
    });
    assert.equal(answer.status, 200, path);
    const result = answers[200]?.schema?.safeParse(answer.body);
    assert.ok(result?.success, `${method} ${path}: ${result?.error}`);
  }
});

Deno.test("/openapi.json tells of every status, and of schemas that an answer can fit", async () => {
  await using app = await seeded();
  const document = await (await app.fetch("/openapi.json")).json();
  // Two schemas that both allow no other fields allow, together, nothing.
  assert.doesNotMatch(JSON.stringify(document), /"allOf"/);
  for (const [path, { get }] of Object.entries<Described>(document.paths)) {
    if (get === undefined || path.includes("{")) continue;
    const answer = await app.call("GET", `${path}?no_such_parameter=1`);
    assert.ok(get.responses[answer.status], `${path}: ${answer.status}`);
  }
  for (const path of ["/healthz", "/readyz"]) {
    const { get } = document.paths[path];
    assert.deepEqual(get.security, []);
    assert.equal(get.responses[401], undefined);
    assert.equal(get.responses[400], undefined);
  }
  const { parameters } = document.paths["/v1/config"].get;
  assert.deepEqual(
    parameters.map((one: { name: string; in: string }) => [one.name, one.in]),
    [["if-none-match", "header"]],
  );
});

interface Described {
  readonly get?: { readonly responses: Readonly<Record<string, unknown>> };
}
