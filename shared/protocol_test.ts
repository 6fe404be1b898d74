import { deepEqual, equal, match, ok } from "node:assert/strict";
import fc from "fast-check";
import { parseConfigDocument } from "./config.ts";
import {
  type Ack,
  type Announcement,
  encode,
  encodeAnnouncement,
  encodeConfigUpdate,
  parseAnnouncement,
  parseToControlPlane,
  parseToRouter,
} from "./protocol.ts";

const DIGEST = `sha256:${"0".repeat(64)}`;
const CONFIG =
  '{"customer_to_placement":{},"default_placement":"a","placement_to_endpoint":{"a":"http://h"}}';

function reason(parsed: { kind: string; reason?: string }): string {
  return parsed.kind === "malformed"
    ? parsed.reason!
    : `not malformed: ${parsed.kind}`;
}

Deno.test("parseToRouter() reads the draft's messages", () => {
  const parsed = parseToRouter(
    `{"type":"config_update","version":42,"config":${CONFIG}}`,
  );
  ok(parsed.kind === "message" && parsed.message.type === "config_update");
  const { version, epoch, digest, supersedes, config } = parsed.message;
  deepEqual({ version, epoch, digest, supersedes }, {
    version: 42,
    epoch: null,
    digest: null,
    supersedes: [],
  });
  ok(parseConfigDocument(config).ok);
  deepEqual(parseToRouter('{"type":"ping"}'), {
    kind: "message",
    message: { type: "ping", version: null, epoch: null },
  });
});

Deno.test("parseToRouter() reads back what encodeConfigUpdate() and encode() write", () => {
  const update = {
    version: 7,
    epoch: "e1",
    digest: DIGEST,
    supersedes: ["e0"],
  };
  const parsed = parseToRouter(encodeConfigUpdate(update, CONFIG));
  ok(parsed.kind === "message" && parsed.message.type === "config_update");
  const { version, epoch, digest, supersedes } = parsed.message;
  deepEqual({ version, epoch, digest, supersedes }, update);
  equal(
    encodeConfigUpdate({
      version: 1,
      epoch: null,
      digest: null,
      supersedes: [],
    }, CONFIG),
    `{"type":"config_update","version":1,"config":${CONFIG}}`,
  );
  const begin = {
    type: "config_begin",
    ...update,
    encoding: "gzip",
    bytes: 9,
  } as const;
  deepEqual(parseToRouter(encode(begin)), { kind: "message", message: begin });
});

Deno.test("a push says since when its history is guarded, or nothing of it", () => {
  for (const guarded of [{}, { guarded_since: 0 }, { guarded_since: 7 }]) {
    const update = {
      version: 9,
      epoch: "e",
      digest: null,
      supersedes: [],
      ...guarded,
    };
    const parsed = parseToRouter(encodeConfigUpdate(update, CONFIG));
    ok(parsed.kind === "message" && parsed.message.type === "config_update");
    const { type: _type, config: _config, ...rest } = parsed.message;
    deepEqual(rest, update);
  }
  for (const wrong of [-1, "7", 1.5]) {
    const parsed = parseToRouter(
      `{"type":"config_update","version":1,"config":${CONFIG},"guarded_since":${
        JSON.stringify(wrong)
      }}`,
    );
    equal(parsed.kind, "malformed");
  }
});

Deno.test("parseToRouter() reads the trace of a push, and ignores what is none", () => {
  const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
  const update = {
    version: 1,
    epoch: null,
    digest: null,
    supersedes: [],
    traceparent,
  };
  const traced = parseToRouter(encodeConfigUpdate(update, CONFIG));
  ok(traced.kind === "message" && traced.message.type === "config_update");
  equal(traced.message.traceparent, traceparent);
  for (const none of ["00-0-0-01", "", 7, null, traceparent.toUpperCase()]) {
    const parsed = parseToRouter(
      `{"type":"config_update","version":1,"config":${CONFIG},"traceparent":${
        JSON.stringify(none)
      }}`,
    );
    ok(parsed.kind === "message" && !("traceparent" in parsed.message));
  }
});

Deno.test("parseToRouter() leaves a key that stands twice in a config to the config", () => {
  const twice = CONFIG.replace("{}", '{"acme":"a","acme":"a"}');
  const parsed = parseToRouter(
    `{"type":"config_update","version":1,"config":${twice}}`,
  );
  ok(parsed.kind === "message" && parsed.message.type === "config_update");
  const result = parseConfigDocument(parsed.message.config);
  ok(!result.ok);
  deepEqual(result.problems.map(({ pointer }) => pointer), [
    "/customer_to_placement/acme",
  ]);
  match(
    reason(
      parseToRouter(
        `{"type":"config_update","version":1,"version":2,"config":${CONFIG}}`,
      ),
    ),
    /a key stands twice: \/version/,
  );
});

Deno.test("parseToControlPlane() reads the draft's messages and ours", () => {
  const ack: Ack = {
    type: "ack",
    version: 42,
    status: "applied",
    error: null,
    epoch: null,
    durable: null,
  };
  deepEqual(
    parseToControlPlane('{"type":"ack","version":42,"status":"applied"}'),
    {
      kind: "message",
      message: ack,
    },
  );
  const rejected: Ack = {
    ...ack,
    status: "rejected",
    error: "no",
    epoch: "e",
    durable: false,
  };
  deepEqual(parseToControlPlane(encode(rejected)), {
    kind: "message",
    message: rejected,
  });
  deepEqual(parseToControlPlane('{"type":"pong"}'), {
    kind: "message",
    message: { type: "pong", version: null, epoch: null },
  });
  deepEqual(parseToControlPlane('{"type":"drained","version":1,"more":[]}'), {
    kind: "message",
    message: {
      type: "drained",
      version: 1,
      epoch: null,
      digest: null,
      durable: null,
    },
  });
  const draining = {
    type: "draining",
    version: 3,
    epoch: "e",
    digest: DIGEST,
    durable: false,
    requests: 2,
    streams: 1,
    oldest_ms: 70,
  } as const;
  deepEqual(parseToControlPlane(encode(draining)), {
    kind: "message",
    message: draining,
  });
  deepEqual(parseToControlPlane('{"type":"draining","version":1}'), {
    kind: "message",
    message: {
      type: "draining",
      version: 1,
      epoch: null,
      digest: null,
      durable: null,
      requests: 0,
      streams: 0,
      oldest_ms: 0,
    },
  });
});

Deno.test("parse reads back orders, and what a router tells of them", () => {
  for (
    const order of [
      {
        type: "hold",
        id: "h-1",
        version: 42,
        customers: ["acme", "__proto__"],
        until_released: true,
        for_ms: 10_000,
        cut_streams_ms: 500,
      },
      { type: "release", id: "h-1" },
      { type: "cut_streams", version: 3, after_ms: 0 },
    ] as const
  ) {
    deepEqual(parseToRouter(encode(order)), {
      kind: "message",
      message: order,
    });
  }
  deepEqual(
    parseToRouter(
      '{"type":"hold","id":"h","version":0,"customers":["a"],"for_ms":1}',
    ),
    {
      kind: "message",
      message: {
        type: "hold",
        id: "h",
        version: 0,
        customers: ["a"],
        until_released: false,
        for_ms: 1,
        cut_streams_ms: null,
      },
    },
  );
  const holding = {
    type: "holding",
    id: "h-1",
    requests: 1,
    streams: 2,
    oldest_ms: 3,
    waiting: 4,
  } as const;
  deepEqual(parseToControlPlane(encode(holding)), {
    kind: "message",
    message: holding,
  });
});

Deno.test("parse ignores unknown types and says what is malformed", () => {
  deepEqual(parseToRouter('{"type":"greeting"}'), {
    kind: "unknown",
    type: "greeting",
  });
  deepEqual(parseToControlPlane('{"type":"ping"}'), {
    kind: "unknown",
    type: "ping",
  });
  for (
    const [text, expected] of [
      ["", /Cannot read the text as JSON/],
      ["[]", /a message is an object, not an array/],
      ["{}", /"type" must be text, not undefined/],
      ['{"type":1}', /"type" must be text, not 1/],
      ['{"type":"ack"}', /ack without "version"/],
      ['{"type":"ack","version":1}', /ack without "status"/],
      [
        '{"type":"ack","version":0,"status":"applied"}',
        /whole number from 1, not 0/,
      ],
      [
        '{"type":"ack","version":1.5,"status":"applied"}',
        /whole number from 1, not 1.5/,
      ],
      [
        '{"type":"ack","version":"1","status":"applied"}',
        /whole number from 1, not "1"/,
      ],
      [
        '{"type":"ack","version":1e400,"status":"applied"}',
        /whole number from 1/,
      ],
      [
        '{"type":"ack","version":1,"status":"maybe"}',
        /one of applied, rejected, not "maybe"/,
      ],
      [
        '{"type":"ack","version":1,"status":"applied","durable":"no"}',
        /true or false, not "no"/,
      ],
      ['{"type":"pong","epoch":"a b"}', /"epoch" of pong must be of the form/],
    ] as const
  ) match(reason(parseToControlPlane(text)), expected, text);
  for (
    const [text, expected] of [
      [
        '{"type":"config_update","version":1}',
        /config_update without "config"/,
      ],
      [
        `{"type":"config_update","version":1,"config":{},"supersedes":"x"}`,
        /a list of epochs/,
      ],
      [
        `{"type":"config_update","version":1,"config":{},"digest":"md5:x"}`,
        /"digest"/,
      ],
      [
        '{"type":"config_begin","version":1,"epoch":"e"}',
        /config_begin without "digest"/,
      ],
      [
        `{"type":"config_begin","version":1,"epoch":"e","digest":"${DIGEST}","encoding":"br","bytes":1}`,
        /one of gzip, not "br"/,
      ],
    ] as const
  ) match(reason(parseToRouter(text)), expected, text);
});

Deno.test("parse never throws, whatever comes", () => {
  const types = [
    "ack",
    "pong",
    "ping",
    "config_update",
    "config_begin",
    "drained",
    "draining",
  ];
  const message = fc.record({
    type: fc.constantFrom(...types),
    version: fc.jsonValue(),
    status: fc.jsonValue(),
    epoch: fc.jsonValue(),
    config: fc.jsonValue(),
    supersedes: fc.jsonValue(),
    bytes: fc.jsonValue(),
  }, { requiredKeys: ["type"] }).map((fields) => JSON.stringify(fields));
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json(), message), (text) => {
    parseToRouter(text);
    parseToControlPlane(text);
  }));
});

Deno.test("parseAnnouncement() reads back what encodeAnnouncement() writes", () => {
  const announcement: Announcement = {
    id: "edge-1.example:8080",
    instance: "i1",
    epoch: "e",
    version: 42,
    digest: DIGEST,
    features: ["drained"],
  };
  deepEqual(parseAnnouncement(encodeAnnouncement(announcement)), {
    ok: true,
    announcement,
  });
  deepEqual(parseAnnouncement(new URLSearchParams()), {
    ok: true,
    announcement: {
      id: null,
      instance: null,
      epoch: null,
      version: null,
      digest: null,
      features: [],
    },
  });
});

Deno.test("parseAnnouncement() names every bad parameter", () => {
  const query = new URLSearchParams(
    "id=a b&id=c&epoch=&version=0&digest=x&other=1&instance=ok",
  );
  const parsed = parseAnnouncement(query);
  ok(!parsed.ok);
  deepEqual(parsed.problems.map((problem) => problem.split(" ")[0]), [
    "id",
    "epoch",
    "version",
    "digest",
  ]);
});
