/** Hono's proxy helper as its documentation shows it, on `Deno.serve`. Prints its port. */
import { Hono } from "hono";
import { getConnInfo } from "hono/deno";
import { proxy } from "hono/proxy";
import { readRouting } from "./routing.ts";

const routing = readRouting();
const app = new Hono();

app.all("*", async (c) => {
  const { placement, endpoint } = routing.of(
    c.req.header("x-routing-key") ?? null,
  );
  const { pathname, search } = new URL(c.req.url);
  const { remote } = getConnInfo(c);
  const answer = await proxy(endpoint + pathname + search, {
    raw: c.req.raw,
    headers: {
      ...c.req.header(),
      "X-Forwarded-For": remote.address,
      "X-Forwarded-Proto": "http",
      "X-Forwarded-Host": c.req.header("host"),
      "Via": "1.1 hono",
      "X-Request-Id": crypto.randomUUID(),
    },
  });
  answer.headers.set("X-Routed-To", placement);
  answer.headers.set("X-Route-Reason", "assigned");
  answer.headers.set("X-Config-Version", "1");
  return answer;
});

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(port),
}, app.fetch);
