/**
 * The proxy one writes on Deno in an afternoon: `Deno.serve` in front, `fetch` behind, and for
 * WebSockets the runtime's own on both sides. Prints its port.
 */
import { readRouting } from "./routing.ts";

const routing = readRouting();

const HOP_BY_HOP = ["connection", "keep-alive", "te", "upgrade"];

/** The fields of a request as they go on. */
function forwarded(request: Request, address: string): Headers {
  const headers = new Headers(request.headers);
  for (const name of HOP_BY_HOP) headers.delete(name);
  headers.set("X-Forwarded-For", address);
  headers.set("X-Forwarded-Proto", "http");
  headers.set("X-Forwarded-Host", headers.get("host") ?? "");
  headers.set("Via", "1.1 deno");
  headers.set("X-Request-Id", crypto.randomUUID());
  return headers;
}

function relay(request: Request, url: string): Response {
  const { socket: client, response } = Deno.upgradeWebSocket(request);
  const cell = new WebSocket(url.replace(/^http/, "ws"));
  client.binaryType = cell.binaryType = "arraybuffer";
  const early: (string | ArrayBuffer)[] = [];
  cell.onopen = () => early.splice(0).forEach((data) => cell.send(data));
  client.onmessage = ({ data }) => {
    if (cell.readyState === WebSocket.OPEN) cell.send(data);
    else early.push(data);
  };
  cell.onmessage = ({ data }) => client.send(data);
  client.onclose = () => cell.close();
  cell.onclose = () => client.close();
  return response;
}

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(port),
}, async (request, { remoteAddr }) => {
  const customer = request.headers.get("x-routing-key");
  const { placement, endpoint } = routing.of(customer);
  const { pathname, search } = new URL(request.url);
  const url = endpoint + pathname + search;
  if (request.headers.get("upgrade") === "websocket") {
    return relay(request, url);
  }
  const answer = await fetch(url, {
    method: request.method,
    headers: forwarded(request, remoteAddr.hostname),
    body: request.body,
    redirect: "manual",
  });
  const headers = new Headers(answer.headers);
  headers.delete("connection");
  headers.set("X-Routed-To", placement);
  headers.set("X-Route-Reason", "assigned");
  headers.set("X-Config-Version", "1");
  return new Response(answer.body, { status: answer.status, headers });
});
