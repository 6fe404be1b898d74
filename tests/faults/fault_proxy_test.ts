import { equal, ok, rejects } from "node:assert/strict";
import { until } from "../harness/until.ts";
import { FaultProxy } from "./fault_proxy.ts";

/** A server that sends back what it gets, and the proxy in front of it. */
async function echo(): Promise<
  { proxy: FaultProxy; accepted: Deno.TcpConn[] } & AsyncDisposable
> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted: Deno.TcpConn[] = [];
  const serving = (async () => {
    const running: Promise<void>[] = [];
    for await (const connection of listener) {
      accepted.push(connection);
      running.push(
        connection.readable.pipeTo(connection.writable).catch(() => {}),
      );
    }
    await Promise.all(running);
  })();
  const proxy = await FaultProxy.start(listener.addr.port);
  return {
    proxy,
    accepted,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      listener.close();
      await serving;
    },
  };
}

function connect(port: number): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port });
}

async function send(connection: Deno.TcpConn, length: number): Promise<void> {
  const bytes = new Uint8Array(length).fill(120);
  for (let at = 0; at < length;) {
    at += await connection.write(bytes.subarray(at));
  }
}

/** Reads `length` bytes. */
async function receive(
  connection: Deno.TcpConn,
  length: number,
): Promise<void> {
  const buffer = new Uint8Array(65_536);
  for (let left = length; left > 0;) {
    const count = await connection.read(buffer.subarray(0, left));
    if (count === null) throw new Error(`It ended ${left} bytes early`);
    left -= count;
  }
}

Deno.test("FaultProxy passes bytes both ways, and a FIN", async () => {
  await using scene = await echo();
  using client = await connect(scene.proxy.port);
  await send(client, 300_000);
  await receive(client, 300_000);
  await client.closeWrite();
  equal(await client.read(new Uint8Array(1)), null);
});

Deno.test("FaultProxy drops what is sent, and goes on when it is healed", async () => {
  await using scene = await echo();
  using client = await connect(scene.proxy.port);
  await send(client, 1);
  await receive(client, 1);
  scene.proxy.treat({ kind: "drop" }, ["up"]);
  // More than any buffer on the way holds: it is taken, and nobody is told.
  await send(client, 8 * 2 ** 20);
  scene.proxy.heal();
  await send(client, 3);
  await receive(client, 3);
});

Deno.test("FaultProxy stalls: who sends finds its buffers full", async () => {
  await using scene = await echo();
  using client = await connect(scene.proxy.port);
  scene.proxy.treat({ kind: "stall" });
  const chunk = 2 ** 20;
  let sent = 0;
  const sending = (async () => {
    for (; sent < 32; sent++) await send(client, chunk);
  })();
  const receiving = receive(client, 32 * chunk);
  let last = -1;
  let unchanged = 0;
  await until("the sender to be held up", () => {
    unchanged = sent === last ? unchanged + 1 : 0;
    last = sent;
    return unchanged === 20;
  });
  ok(sent < 32);
  scene.proxy.heal();
  await Promise.all([sending, receiving]);
});

Deno.test("FaultProxy cuts a connection after so many bytes, which arrive", async () => {
  await using scene = await echo();
  scene.proxy.treat({ kind: "cut", afterBytes: 1000 }, ["down"]);
  using client = await connect(scene.proxy.port);
  await send(client, 5000);
  await receive(client, 1000);
  await rejects(receive(client, 1));
  await until("the pair to be gone", () => scene.proxy.connections === 0);
});

Deno.test("FaultProxy refuses connections, resets those there are, and takes new ones again", async () => {
  await using scene = await echo();
  const { proxy } = scene;
  using client = await connect(proxy.port);
  await send(client, 1);
  await receive(client, 1);
  await proxy.refuse();
  await rejects(receive(client, 1));
  await rejects(connect(proxy.port), Deno.errors.ConnectionRefused);
  await proxy.accept();
  using other = await connect(proxy.port);
  await send(other, 1);
  await receive(other, 1);
  proxy.reset();
  await rejects(receive(other, 1));
});
