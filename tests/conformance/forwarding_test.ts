import { deepEqual, equal, match, ok } from "node:assert/strict";
import { conforms, endAfterwards } from "./cases.ts";
import { Cell, OK } from "./cell.ts";
import { type Asked, type Front, textOf, WireFront } from "./front.ts";
import {
  type Field,
  type Message,
  takeAnswer,
  takeRequest,
  valuesOf,
} from "./messages.ts";
import { Subject } from "./subject.ts";

/** What the router says of itself and of those before it, to the endpoint and to the client. */

const cell = new Cell();
const based = cell.url("/secret-base");
const placements = {
  cell: cell.url(),
  based,
  gone: `http://127.0.0.1:${unusedPort()}/secret-base`,
  tls: based.replace("http:", "https:"),
  unknown: "http://no-such-cell.invalid:1/secret-base",
  other: cell.url(),
};
const customers = {
  globex: "cell",
  based: "based",
  gone: "gone",
  tls: "tls",
  unknown: "unknown",
};
const [strict, trusting, sixth] = await Promise.all([
  Subject.both({
    placements,
    customers,
    env: {
      ROUTER_RESPONSE_TIMEOUT: "2s",
      ROUTER_TRUSTED_PROXIES: "10.0.0.0/8, 127.0.0.2, ::/0",
      ROUTER_ACCESS_LOG: "all",
    },
  }),
  Subject.both({
    placements,
    env: { ROUTER_TRUSTED_PROXIES: "192.0.2.7, 127.0.0.0/30" },
  }),
  canUseIpv6()
    ? Promise.all(
      ["2001:db8::/32, ::/64", "::2/127, 127.0.0.0/8"].map((trusted) =>
        Subject.start({
          placements,
          env: { ROUTER_LISTEN: "[::1]:0", ROUTER_TRUSTED_PROXIES: trusted },
        })
      ),
    )
    : null,
]);
endAfterwards(cell, ...strict, ...trusting, ...sixth ?? []);

/** Nobody listens there. */
function unusedPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

function canUseIpv6(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}

/** What a proxy in front says, or a client that wants to be taken for one. */
const SAID: readonly Field[] = [
  ["X-Forwarded-For", "203.0.113.6, [2001:db8::6]:99"],
  ["X-Forwarded-Proto", "gopher"],
  ["X-Forwarded-Host", "evil.example"],
  ["Via", "1.0 outer (x, y)"],
  ["Forwarded", "for=203.0.113.6;proto=gopher"],
  ["X-Real-IP", "203.0.113.6"],
  ["X_Forwarded_For", "203.0.113.7"],
  ["X-Forwarded_Proto", "gopher"],
  ["x_forwarded-host", "evil.example"],
  ["X_REAL_IP", "203.0.113.7"],
];

/** The names the router sets on every request. */
const SET = /^(x-forwarded-(for|proto|host)|via|x-request-id)$/i;
/** Names that tell who a request came from, in every spelling. */
const FORWARDING = /^(x[-_]forwarded[-_].*|forwarded|x[-_]real[-_]ip|via)$/i;

/** The fields that tell who a request came from, as they reached the endpoint. */
function told({ fields }: Message): Record<string, string[]> {
  const told: Record<string, string[]> = {};
  for (const [name, value] of fields) {
    if (!FORWARDING.test(name)) continue;
    // Each process has a name of its own.
    const common = value.replace(/signalbox-[0-9a-f]{8}/, "signalbox");
    (told[name.toLowerCase()] ??= []).push(common);
  }
  return told;
}

/** What the router tells of a request that came straight from its client. */
function direct(front: Front, peer = "127.0.0.1") {
  const h2 = front.name === "HTTP/2";
  return {
    "x-forwarded-for": [peer],
    "x-forwarded-proto": [front.name === "HTTP/1.1" ? "http" : "https"],
    "x-forwarded-host": ["a.example:8443"],
    via: [h2 ? "2 signalbox" : "1.1 signalbox"],
  };
}

/** What the router tells of a request that came from a trusted proxy, with what that has {@linkcode SAID}. */
function relayed(front: Front, peer = "127.0.0.1") {
  const said = SAID.map(([name, value]) => [name.toLowerCase(), [value]]);
  const [via] = direct(front).via;
  return {
    ...Object.fromEntries(said),
    "x-forwarded-for": [`203.0.113.6, [2001:db8::6]:99, ${peer}`],
    via: [`1.0 outer (x, y), ${via}`],
  };
}

const HOST: Field = ["Host", "a.example:8443"];

/** What reached the endpoint of a request that must be answered with success. */
async function received(
  front: Front,
  headers: readonly Field[],
): Promise<Message> {
  await using scene = cell.answer();
  const { status } = await front.exchange({ headers: [HOST, ...headers] });
  equal(status, 200);
  return scene.last;
}

const open = strict.flatMap(({ fronts }) => fronts);
for (const front of open) {
  conforms(
    `${front.name}: what a client says of itself is replaced, in every spelling (RFC 7239 section 8.1)`,
    async () => {
      deepEqual(told(await received(front, SAID)), direct(front));
      deepEqual(told(await received(front, [])), direct(front));
      const names = "X-Forwarded-For, X-Forwarded-Proto, Via, Forwarded";
      const connection: Field[] = front.name === "HTTP/2"
        ? []
        : [["Connection", names]];
      deepEqual(
        told(await received(front, [...SAID, ...connection])),
        direct(front),
      );
    },
  );

  conforms(
    `${front.name}: the fields set are there once, whatever came in (RFC 9110 section 5.3)`,
    async () => {
      const twice = [...SAID, ["X-Request-Id", "a"] as const, ...SAID];
      const { fields } = await received(front, twice);
      const names = fields.map(([name]) => name.toLowerCase())
        .filter((name) => SET.test(name));
      deepEqual(names.sort(), [
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-request-id",
      ]);
    },
  );
}

for (const front of trusting.flatMap(({ fronts }) => fronts)) {
  conforms(
    `${front.name}: what a trusted proxy says is kept, and added to (RFC 9110 section 7.6.3)`,
    async () => {
      deepEqual(told(await received(front, SAID)), relayed(front));
    },
  );

  conforms(
    `${front.name}: what a trusted proxy does not say is the router's to say (RFC 7239 section 5)`,
    async () => {
      deepEqual(told(await received(front, [])), direct(front));
      const empty = Object.keys(direct(front)).map((name) =>
        [name, ""] as const
      );
      deepEqual(told(await received(front, empty)), direct(front));
      const { "x-forwarded-for": addresses, ...rest } = told(
        await received(front, [["X-Forwarded-For", "203.0.113.6"]]),
      );
      deepEqual(addresses, ["203.0.113.6, 127.0.0.1"]);
      const { "x-forwarded-for": _, ...own } = direct(front);
      deepEqual(rest, own);
    },
  );

  conforms(
    `${front.name}: lists of a trusted proxy go on in their order, on one line (RFC 9110 section 5.3)`,
    async () => {
      const message = await received(front, [
        ["X-Forwarded-For", "203.0.113.1"],
        ["Via", "1.0 a"],
        ["x-forwarded-for", "203.0.113.2, 203.0.113.3"],
        ["Via", "2 b, 1.1 c"],
      ]);
      deepEqual(told(message), {
        ...direct(front),
        "x-forwarded-for": [
          "203.0.113.1, 203.0.113.2, 203.0.113.3, 127.0.0.1",
        ],
        via: [`1.0 a, 2 b, 1.1 c, ${direct(front).via}`],
      });
    },
  );

  conforms(
    `${front.name}: not even a trusted proxy can spell the routing key in another way`,
    async () => {
      const { fields } = await received(front, [
        ["X_Routing_Key", "globex"],
        ["X-Routing_Key", "globex"],
        ["X_Request_Id", "b"],
      ]);
      deepEqual(
        fields.filter(([name]) => /_/.test(name)),
        [],
      );
      deepEqual(valuesOf(fields, "x-routing-key"), ["acme"]);
    },
  );
}

if (sixth === null) {
  Deno.test.ignore(
    "IPv6: forwarding fields – not here: this machine has no ::1",
    () => {},
  );
} else {
  const [trusted, untrusted] = sixth.map(({ front }) => front);
  conforms(
    "IPv6: a proxy within a trusted block is believed, and its address added (RFC 4291 section 2.3)",
    async () => {
      deepEqual(
        told(await received(trusted!, SAID)),
        relayed(trusted!, "::1"),
      );
      deepEqual(told(await received(trusted!, [])), direct(trusted!, "::1"));
    },
  );

  conforms(
    "IPv6: a client outside of every trusted block is not believed, whatever IPv4 may (RFC 4291 section 2.3)",
    async () => {
      deepEqual(
        told(await received(untrusted!, SAID)),
        direct(untrusted!, "::1"),
      );
    },
  );
}

const UUID =
  /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

for (const subject of strict) {
  for (const front of subject.fronts) {
    conforms(
      `${front.name}: a request's id is kept, or made; the endpoint and the log have the same (RFC 9562 section 5.4)`,
      async () => {
        const ids = new Set<string>();
        const given: readonly Field[][] = [
          [],
          [["X-Request-Id", ""]],
          [["x-request-id", `kept ${front.name}; \u00e9 %00`]],
          [["X_Request_Id", "b"]],
          [],
        ];
        for (const fields of given) {
          const message = await received(front, fields);
          const [id, ...more] = valuesOf(message.fields, "x-request-id");
          deepEqual(more, []);
          deepEqual(valuesOf(message.fields, "x_request_id"), []);
          const [, value = ""] = fields[0] ?? [];
          if (value.startsWith("kept")) equal(id, value);
          else match(id!, UUID);
          ok(!ids.has(id!), "each request has its own");
          ids.add(id!);
          await subject.router.program.line("request", { request_id: id });
        }
      },
    );

    conforms(
      `${front.name}: every answer of a placement tells where it came from, and by which config`,
      async () => {
        const ways = [
          ["acme", "GET", OK, ["cell", "assigned", "0"]],
          ["nobody", "GET", OK, ["other", "default", "0"]],
          ["globex", "HEAD", "HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\n"],
          ["globex", "GET", "HTTP/1.1 204 No\r\nX-Routed-To: a\r\n\r\n"],
          [
            "globex",
            "GET",
            "HTTP/1.1 304 No\r\nX_Routed_To: a\r\nx-config-version: 9\r\n\r\n",
          ],
          [
            "globex",
            "POST",
            "HTTP/1.1 200 OK\r\nX-Route-Reason: a\r\nX-Route-Reason: b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          ],
          ["globex", "GET", "broken\r\n\r\n"],
        ] as const;
        for (const [customer, method, answer, told] of ways) {
          await using _ = cell.answer(answer);
          const { headers } = await front.exchange({
            method,
            headers: [["X-Routing-Key", customer]],
          });
          deepEqual(
            [
              ...valuesOf(headers, "x-routed-to"),
              ...valuesOf(headers, "x-route-reason"),
              ...valuesOf(headers, "x-config-version"),
            ],
            told ?? ["cell", "assigned", "0"],
            answer,
          );
        }
      },
    );
  }

  const { front } = subject;
  conforms(
    `${front.name}: each request of a connection is told of by itself (RFC 9112 section 9.3)`,
    async () => {
      await using scene = cell.answer();
      await using client = await front.connect();
      const lines = SAID.map(([name, value]) => `${name}: ${value}\r\n`);
      const ids: string[] = [];
      const stripped = "X-Request-Id: a\r\nConnection: x-request-id\r\n";
      for (
        const fields of [
          "X-Request-Id: a\r\nX-Request-Id: b\r\n",
          lines.join(""),
          stripped,
          "",
        ]
      ) {
        await client.send(
          `GET / HTTP/1.1\r\nHost: ${
            HOST[1]
          }\r\nX-Routing-Key: acme\r\n${fields}\r\n`,
        );
        equal((await takeAnswer(client)).status, 200);
        deepEqual(told(scene.last), direct(front));
        ids.push(...valuesOf(scene.last.fields, "x-request-id"));
      }
      equal(ids[0], "a");
      equal(new Set(ids).size, 4);
      for (const id of ids.slice(1)) match(id, UUID);
    },
  );
}

/** What nobody outside may learn: where the endpoints are. */
const SECRETS = [
  "secret-base",
  "no-such-cell",
  "127.0.0",
  String(cell.port),
  new URL(placements.gone).port,
];

/** Checks that an answer is a problem document, and tells no secret. */
function discreet(
  { status, headers, body }: {
    status: number;
    headers: readonly Field[];
    body: string;
  },
  expected: number,
): void {
  equal(status, expected, body);
  deepEqual(valuesOf(headers, "content-type"), ["application/problem+json"]);
  const problem = JSON.parse(body);
  equal(problem.status, expected);
  ok(problem.title !== "" && problem.detail !== "", body);
  const all = `${JSON.stringify(headers)}${body}`;
  for (const secret of SECRETS) ok(!all.includes(secret), all);
}

for (const front of open) {
  conforms(
    `${front.name}: what the router answers itself is a problem document that names no endpoint (RFC 9457 section 5)`,
    async () => {
      const key = (name: string): Field => ["X-Routing-Key", name];
      const cases: readonly (readonly [Asked, number])[] = [
        [{ headers: [key("")] }, 400],
        [{ headers: [key("a b")] }, 400],
        [{ headers: [["Host", "a b"]] }, 400],
        [{ headers: [key("based")], target: "/../admin" }, 400],
        [{ headers: [key("gone")] }, 502],
        [{ headers: [key("gone")], method: "POST", body: "x" }, 502],
        [{ headers: [key("tls")] }, 502],
        [{ headers: [key("unknown")] }, 502],
        [{ headers: [key("based")] }, 502],
      ];
      await using _ = cell.play(async (socket) => {
        await socket.send(
          `HTTP/1.1 x ${cell.url()} 127.0.0.1:${cell.port}\r\n\r\n`,
        );
        await socket.rest();
      });
      for (const [asked, status] of cases) {
        if (front.name === "HTTP/2" && asked.headers?.[0]?.[0] === "Host") {
          continue; // The runtime resets its stream; see http2_test.ts.
        }
        const answer = await front.exchange(asked);
        discreet({ ...answer, body: textOf(answer.body) }, status);
      }
    },
  );
}

conforms(
  "an endpoint that says nothing is answered 504, by a problem document that does not name it (RFC 9110 section 15.6.5)",
  async () => {
    await using _ = cell.play(async (socket) => {
      await takeRequest(socket);
      await socket.rest();
    });
    await Promise.all(open.map(async (front) => {
      const answer = await front.exchange({});
      discreet({ ...answer, body: textOf(answer.body) }, 504);
      deepEqual(valuesOf(answer.headers, "x-routed-to"), ["cell"]);
    }));
  },
);

for (const front of open.filter((front) => front instanceof WireFront)) {
  conforms(
    `${front.name}: a head that is too large or malformed is answered by a problem document that names no endpoint (RFC 9457 section 5)`,
    async () => {
      const head = "Host: a.example\r\nX-Routing-Key: based\r\n";
      const cases = [
        [`GET /${"a".repeat(20_000)} HTTP/1.1\r\n${head}\r\n`, 414],
        [`GET / HTTP/1.1\r\n${head}A: ${"b".repeat(70_000)}\r\n\r\n`, 431],
        [`GET / HTTP/1.1\r\n${head}${"A: b\r\n".repeat(200)}\r\n`, 431],
        [`GET / HTTP/1.1\r\n${head}A : b\r\n\r\n`, 400],
        [`GET / HTTP/1.1\r\n${head}${head}\r\n`, 400],
        [`GET / HTTP/1.0\r\n${head}\r\n`, 505],
        [`CONNECT a.example:80 HTTP/1.1\r\n${head}\r\n`, 405],
      ] as const;
      await using scene = cell.answer();
      for (const [text, status] of cases) {
        const { fields, body, ...answer } = await front.ask(text);
        discreet({ status: answer.status, headers: fields, body }, status);
        deepEqual(valuesOf(fields, "connection"), ["close"]);
      }
      equal(scene.sockets.length, 0);
    },
  );
}
