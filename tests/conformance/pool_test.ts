import { deepEqual, equal, ok } from "node:assert/strict";
import { ControlPlane } from "../harness/control_plane.ts";
import { dataFolder } from "../harness/program.ts";
import { Router } from "../harness/router.ts";
import { until } from "../harness/until.ts";
import { requestText, WireFront } from "./front.ts";
import { Peer, PeerEndpoint } from "./peer.ts";
import { upstreamConnections } from "./process.ts";

/** Connections to endpoints are kept for the next request, within limits (RFC 9112 section 9.3). */

/** The most idle connections kept to one placement (router/upstream/upstream.ts). */
const MAX_IDLE = 64;

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** An endpoint that answers each request when it is told to. */
class Gate implements AsyncDisposable {
  /** Requests that wait for their answer. */
  readonly waiting: (() => void)[] = [];
  /** Connections that are open. */
  open = 0;
  readonly #endpoint: PeerEndpoint;

  private constructor(endpoint: PeerEndpoint) {
    this.#endpoint = endpoint;
  }

  static async listen(): Promise<Gate> {
    const gate: Gate = new Gate(
      await PeerEndpoint.listen(async (peer) => {
        gate.open++;
        try {
          for (;;) {
            await peer.until("\r\n\r\n");
            await new Promise<void>((go) => gate.waiting.push(go));
            await peer.send(OK);
          }
        } finally {
          gate.open--;
        }
      }),
    );
    return gate;
  }

  get url(): string {
    return this.#endpoint.url;
  }

  /** The connections it took, the latest last. */
  get peers(): readonly Peer[] {
    return this.#endpoint.peers;
  }

  /** Waits until this many requests wait. */
  async holds(count: number): Promise<void> {
    await until(`${count} requests to wait`, () => {
      if (this.waiting.length !== count) {
        throw new Error(`${this.waiting.length} do`);
      }
      return true;
    });
  }

  /** Lets the requests that wait be answered. */
  letGo(): void {
    for (const go of this.waiting.splice(0)) go();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.letGo();
    await this.#endpoint[Symbol.asyncDispose]();
  }
}

const folder = await dataFolder();
const [gate, other, next] = [
  await Gate.listen(),
  await Gate.listen(),
  await Gate.listen(),
];
// Placements come and go here, with all of their customers.
const cp = await ControlPlane.start(folder.path, { CP_GUARD_SHARE: "100%" });
await configure({ gate: gate.url, other: other.url });
const router = await Router.start("pool", {
  folder: folder.path,
  cpUrl: cp.connectUrl,
});
await router.serves(1);
const front = new WireFront(new URL(router.url));
Deno.test.afterAll(async () => {
  await router[Symbol.asyncDispose]();
  await cp[Symbol.asyncDispose]();
  for (const one of [gate, other, next]) await one[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

async function configure(endpoints: Record<string, string>): Promise<number> {
  const { status, body } = await cp.call("PUT", "/v1/config", {
    body: {
      default_placement: "gate",
      customer_to_placement: { other: "other" },
      placement_to_endpoint: endpoints,
    },
  });
  ok(status < 300, JSON.stringify(body));
  return body.version;
}

/** Asks for a placement, on a connection of its own. */
async function ask(placement: string, method = "GET"): Promise<number> {
  const headers = [["X-Routing-Key", placement]] as const;
  return (await front.exchange({ method, headers })).status;
}

/** Waits until the metrics tell of so many connections, and the endpoint has so many. */
async function settles(
  placement: string,
  expected: { active: number; idle: number },
): Promise<void> {
  await until(`${JSON.stringify(expected)} at ${placement}`, async () => {
    deepEqual(await upstreamConnections(router, placement), expected);
    return true;
  });
}

Deno.test("signalbox_router_upstream_connections tells the truth, and no more idle connections are kept than allowed", async () => {
  await settles("gate", { active: 0, idle: 0 });
  const asked = Array.from({ length: 100 }, () => ask("gate"));
  await gate.holds(100);
  await settles("gate", { active: 100, idle: 0 });
  equal(gate.open, 100);
  gate.letGo();
  deepEqual(new Set(await Promise.all(asked)), new Set([200]));
  await settles("gate", { active: 0, idle: MAX_IDLE });
  await until("the others to be ended", () => gate.open === MAX_IDLE);
  const again = Array.from({ length: 10 }, () => ask("gate"));
  await gate.holds(10);
  await settles("gate", { active: 10, idle: MAX_IDLE - 10 });
  equal(gate.open, MAX_IDLE, "kept ones are used");
  gate.letGo();
  await Promise.all(again);
  await settles("gate", { active: 0, idle: MAX_IDLE });
});

for (const way of ["finish", "reset"] as const) {
  Deno.test(`an idle connection that its endpoint ends (${way}) is found before it is used`, async () => {
    const first = ask("other");
    await other.holds(1);
    other.letGo();
    equal(await first, 200);
    await settles("other", { active: 0, idle: 1 });
    other.peers.at(-1)![way]();
    await settles("other", { active: 0, idle: 0 });
    const second = ask("other", "POST");
    await other.holds(1);
    other.letGo();
    equal(await second, 200);
    await settles("other", { active: 0, idle: 1 });
    other.peers.at(-1)!.close();
    await settles("other", { active: 0, idle: 0 });
  });
}

Deno.test("an idle connection on which its endpoint says something is ended: nothing it says is an answer", async () => {
  const first = ask("other");
  await other.holds(1);
  other.letGo();
  equal(await first, 200);
  await settles("other", { active: 0, idle: 1 });
  await other.peers.at(-1)!.send(OK.replace("200", "201"));
  await settles("other", { active: 0, idle: 0 });
  await until("it to be ended", () => other.open === 0);
});

Deno.test("the connections of an endpoint that left the config are ended: idle ones at once, others with their request", async () => {
  const asked = [ask("other"), ask("other"), ask("other")];
  await other.holds(3);
  const kept = other.waiting.splice(0, 2);
  other.letGo();
  await Promise.race(asked);
  await settles("other", { active: 2, idle: 1 });
  await router.serves(await configure({ gate: gate.url, other: next.url }));
  await settles("other", { active: 2, idle: 0 });
  await until("the idle one to be ended", () => other.open === 2);
  const moved = ask("other");
  await next.holds(1);
  next.letGo();
  equal(await moved, 200);
  await settles("other", { active: 2, idle: 1 });
  kept[0]!();
  await settles("other", { active: 1, idle: 1 });
  kept[1]!();
  deepEqual(await Promise.all(asked), [200, 200, 200]);
  await settles("other", { active: 0, idle: 1 });
  await until("all to be ended", () => other.open === 0);
  equal(next.open, 1);
});

Deno.test("a placement that left the config is told of until its last request has ended", async () => {
  using client = await Peer.connect(front);
  await client.send(requestText({ headers: [["X-Routing-Key", "other"]] }));
  await next.holds(1);
  const { status } = await cp.call("PUT", "/v1/config", {
    body: {
      default_placement: "gate",
      customer_to_placement: {},
      placement_to_endpoint: { gate: gate.url },
    },
  });
  ok(status < 300);
  await router.serves(3);
  await settles("other", { active: 1, idle: 0 });
  next.letGo();
  await client.until("\r\n\r\nok");
  await settles("other", { active: 0, idle: 0 });
  await until("its connections to be ended", () => next.open === 0);
});

// The first test has left them; this one is the last, so that they age meanwhile.
Deno.test("idle connections are aged", async () => {
  await until("all idle connections to be ended", async () => {
    const { active, idle } = await upstreamConnections(router, "gate");
    return active === 0 && idle === 0 && gate.open === 0;
  }, 40_000);
});
