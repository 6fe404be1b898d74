import { equal, ok } from "node:assert/strict";
import { TEST_CERT, TEST_KEY } from "../../router/upstream/testing.ts";
import { dataFolder } from "../harness/program.ts";
import { until } from "../harness/until.ts";
import { Counter } from "./counter.ts";
import { requestText, type WireFront } from "./front.ts";
import { HAS_PROC, mebibytes, memoryOf, quiet, report } from "./process.ts";
import { Subject } from "./subject.ts";

/**
 * Nothing is buffered whole: who takes nothing stops who sends, and what waits in the router stays small
 * (SPEC sections 2 and 6).
 */

const GIBIBYTE = 2 ** 30;
const MOST_GROWTH = 32 * 2 ** 20;

const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
const secureListener = Deno.listenTls({
  hostname: "127.0.0.1",
  port: 0,
  cert: TEST_CERT,
  key: TEST_KEY,
});
const folder = await dataFolder();
await Deno.writeTextFile(`${folder.path}/ca.pem`, TEST_CERT);
const subjects = await Subject.both({
  placements: {
    secure: `https://localhost:${secureListener.addr.port}`,
    cell: `http://127.0.0.1:${listener.addr.port}`,
  },
  customers: { secure: "secure" },
  env: { ROUTER_CA: `${folder.path}/ca.pem` },
});
Deno.test.afterAll(async () => {
  for (const subject of subjects) await subject[Symbol.asyncDispose]();
  listener.close();
  secureListener.close();
  await folder[Symbol.asyncDispose]();
});

/** Waits until `counter` moves no more. */
async function still(counter: Counter): Promise<void> {
  let before = -1;
  let same = 0;
  await until("the body to stand still", async () => {
    await new Promise((resolve) => setTimeout(resolve, 100));
    same = counter.bytes > 0 && counter.bytes === before ? same + 1 : 0;
    before = counter.bytes;
    return same === 4;
  });
}

/** Sends a body of `length` bytes through a router to a reader that stops in between; `stopped` is called then. */
type Transfer = (
  front: WireFront,
  length: number,
  stopped: (sent: Counter) => Promise<void>,
) => Promise<void>;

const download: Transfer = (...transfer) =>
  downloadFrom(listener, "acme", ...transfer);
const secureDownload: Transfer = (...transfer) =>
  downloadFrom(secureListener, "secure", ...transfer);

async function downloadFrom(
  cell: Deno.TcpListener | Deno.TlsListener,
  customer: string,
  ...[front, length, stopped]: Parameters<Transfer>
): Promise<void> {
  const client = await Counter.connect(front);
  await client.text(requestText({
    headers: [["X-Routing-Key", customer], ["Connection", "close"]],
  }));
  const endpoint = new Counter(await cell.accept());
  await endpoint.head();
  await endpoint.text(
    `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${length}\r\n\r\n`,
  );
  const sending = endpoint.send(length);
  // Where it fails first, the test tells of what made it fail.
  sending.catch(() => {});
  try {
    await client.head();
    await stopped(endpoint);
    await client.take(length);
  } finally {
    client.close();
    await ended(endpoint, sending);
  }
}

const upload: Transfer = async (front, length, stopped) => {
  const client = await Counter.connect(front);
  await client.text(
    `POST / HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: acme\r\nConnection: close\r\nContent-Length: ${length}\r\n\r\n`,
  );
  const sending = client.send(length);
  // Where it fails first, the test tells of what made it fail.
  sending.catch(() => {});
  const endpoint = new Counter(await listener.accept());
  try {
    await endpoint.head();
    await stopped(client);
    await endpoint.take(length);
    await endpoint.text(
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    );
    await client.head();
  } finally {
    endpoint.close();
    await ended(client, sending);
  }
};

/** Closes the end that sends; after a failure it may have been cut, and what tells is the failure. */
async function ended(sender: Counter, sending: Promise<void>): Promise<void> {
  await sending.catch(() => {});
  sender.close();
}

const transfers = {
  "a download to a reader that has stopped": download,
  "a download from an https endpoint to a reader that has stopped":
    secureDownload,
  "an upload to an endpoint that has stopped": upload,
};

for (const { front, router } of subjects) {
  for (const [what, transfer] of Object.entries(transfers)) {
    // Once is enough for what is between the router and the endpoint.
    if (front.secure && transfer === secureDownload) continue;
    const readsEncrypted = transfer === secureDownload ||
      (front.secure && transfer === upload);
    Deno.test({
      name:
        `${front.name}: ${what} costs no memory, and goes on with the reader`,
      ignore: !HAS_PROC,
      async fn() {
        const { pid } = router.program;
        await transfer(front, 64 * 2 ** 20, () => Promise.resolve());
        await quiet(router);
        const before = await memoryOf(pid);
        await transfer(front, GIBIBYTE, async (sent) => {
          await still(sent);
          const { resident } = await memoryOf(pid);
          const growth = resident - before.resident;
          report(
            "memory grown when stopped",
            `${mebibytes(growth)}, ${mebibytes(sent.bytes)} sent`,
          );
          ok(growth < MOST_GROWTH);
        });
        const after = await memoryOf(pid);
        const peak = after.peak - before.peak;
        report("and at most", mebibytes(peak));
        // While it flows, what the platform's encrypted sockets have read waits to be collected, 20 to 50 MiB
        // of it, whoever reads; it is what waits for a reader that this is about.
        if (!readsEncrypted) ok(peak < MOST_GROWTH);
        await quiet(router);
      },
    });
  }
}

Deno.test("an answer of an https endpoint that ends with its connection comes to its end, also when its reader had stopped", async () => {
  const [{ front }] = subjects;
  const length = 16 * 2 ** 20;
  const client = await Counter.connect(front);
  await client.text(requestText({
    headers: [["X-Routing-Key", "secure"], ["Connection", "close"]],
  }));
  const endpoint = new Counter(await secureListener.accept());
  await endpoint.head();
  await endpoint.text("HTTP/1.1 200 OK\r\n\r\n");
  const sent = endpoint.send(length).then(() => endpoint.finish());
  await client.head();
  await still(endpoint);
  equal(await client.tail(), "0\r\n\r\n");
  ok(client.bytes > length);
  await sent;
  client.close();
  endpoint.close();
});
