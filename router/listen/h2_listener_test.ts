import { equal, match } from "node:assert/strict";
import { RawEndpoint, RawSocket, request, TestRouter } from "../testing.ts";
import { TEST_CERT, TEST_KEY } from "../upstream/testing.ts";
import { H2Listener } from "./h2_listener.ts";

Deno.test("H2Listener serves nobody who finds the port of the runtime's server", async () => {
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.rest();
  });
  await using router = new TestRouter(`http://127.0.0.1:${endpoint.port}`);
  const listener = await H2Listener.listen({
    hostname: "127.0.0.1",
    port: 0,
    app: router.app,
    traffic: router.traffic,
    maxConnections: 10,
    headerTimeout: 10_000,
    keepAliveTimeout: 10_000,
    idleTimeout: 10_000,
    http1Port: 1,
    cert: TEST_CERT,
    key: TEST_KEY,
  });
  await using asking = await RawSocket.connect(listener.innerPort);
  await asking.send(request());
  match(await asking.head(), /^HTTP\/1\.1 421 /);
  await listener.stop(10);
  equal(endpoint.sockets.length, 0);
});
