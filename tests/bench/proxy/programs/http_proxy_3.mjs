/** `http-proxy-3` behind Node's own server, with connections kept. Prints its port. */
import { randomUUID } from "node:crypto";
import { Agent, createServer } from "node:http";
import process from "node:process";
import { load, routeOf } from "./routing.mjs";

const { createProxyServer } = load("http-proxy-3");
const proxy = createProxyServer({
  agent: new Agent({ keepAlive: true, maxFreeSockets: 256 }),
  xfwd: true,
});

proxy.on("proxyReq", (request) => {
  request.setHeader("Via", "1.1 http-proxy-3");
  request.setHeader("X-Request-Id", randomUUID());
});
proxy.on("error", (error, _request, response) => {
  console.error(error);
  if (response.headersSent === false) {
    response.writeHead(502);
    response.end();
  } else response.destroy();
});

const server = createServer((request, response) => {
  const { placement, endpoint } = routeOf(request.headers["x-routing-key"]);
  response.setHeader("X-Routed-To", placement);
  response.setHeader("X-Route-Reason", "assigned");
  response.setHeader("X-Config-Version", "1");
  proxy.web(request, response, { target: endpoint });
});
server.on("upgrade", (request, socket, head) => {
  const { endpoint } = routeOf(request.headers["x-routing-key"]);
  proxy.ws(request, socket, head, { target: endpoint });
});
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${server.address().port}\n`);
});
