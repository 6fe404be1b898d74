/** `@fastify/http-proxy` as its documentation shows it, with connections kept. Prints its port. */
import { randomUUID } from "node:crypto";
import process from "node:process";
import { load, routeOf } from "./routing.mjs";

const fastify = load("fastify");
const httpProxy = load("@fastify/http-proxy");

const server = fastify({ bodyLimit: 1 << 30 });
server.register(httpProxy, {
  upstream: "",
  websocket: true,
  undici: { connections: 256, pipelining: 1 },
  replyOptions: {
    getUpstream: (request) =>
      routeOf(request.headers["x-routing-key"]).endpoint,
    rewriteRequestHeaders: (request, headers) => ({
      ...headers,
      "x-forwarded-for": request.socket.remoteAddress,
      "x-forwarded-proto": "http",
      "x-forwarded-host": request.headers.host,
      via: "1.1 fastify",
      "x-request-id": randomUUID(),
    }),
    rewriteHeaders: (headers, request) => ({
      ...headers,
      "x-routed-to": routeOf(request.headers["x-routing-key"]).placement,
      "x-route-reason": "assigned",
      "x-config-version": "1",
    }),
  },
});
await server.listen({ host: "127.0.0.1", port: 0 });
process.stdout.write(`${server.server.address().port}\n`);
