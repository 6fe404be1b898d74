import type { Random } from "../../harness/random.ts";
import { mutate } from "../mutate.ts";
import {
  configDoc,
  type ConfigParts,
  configParts,
  documentOf,
} from "./config.ts";
import { customerName, endpointUrl, placementName } from "./config.ts";
import { anyDoc, deepText, type Doc, docText, objectDoc } from "./json.ts";
import {
  configMerge,
  configValue,
  deepeningPatch,
  jsonPatch,
} from "./patches.ts";

/** A call of the API, to a control plane that has a config committed or none. */
export interface Call {
  /** The text of the config that is committed; null for an empty store. */
  readonly config: string | null;
  readonly method: string;
  /** As it stands on the wire; `{current}` stands for the committed version. */
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string | null;
  /** The path, the query and the headers are sound, so that only the body decides. */
  readonly plain: boolean;
}

const JSON_TYPE = "application/json";
const TYPES = [
  JSON_TYPE,
  "application/merge-patch+json",
  "application/json-patch+json",
  "Application/JSON; charset=UTF-8",
];
const WRONG_TYPES = ["text/plain", "application/json; q=1", "", "a/b", "json"];

/** What stands in a path after a collection's name. */
function pathName(random: Random, name: string): string {
  if (random.once(12)) {
    return random.pick([
      "%",
      "%zz",
      "%ff",
      "..",
      "%2e%2e",
      "a/b",
      "%2F",
      "",
      "%00",
    ]);
  }
  return encodeURIComponent(name);
}

/** A call whose parts fit together, or nearly. */
export function apiCall(random: Random): Call {
  const parts = configParts(random);
  const config = random.once(40) ? null : docText(documentOf(random, parts));
  const made = random.once(4) ? reading(random, parts) : editing(random, parts);
  const plain = !random.once(3);
  if (plain) {
    const headers = made.body === null ? [] : [typeHeader(made.type)];
    return { ...made, config, headers, plain };
  }
  const body = made.body !== null && random.once(3)
    ? mutate(random, made.body, { tokens: ['"a":"b",', "null", '"placement"'] })
    : made.body;
  return {
    ...made,
    config,
    path: withQuery(random, made),
    headers: headersOf(random, made),
    body,
    plain,
  };
}

interface Made {
  readonly method: string;
  readonly path: string;
  readonly body: string | null;
  readonly type: string;
}

function typeHeader(type: string): readonly [string, string] {
  return ["content-type", type];
}

function editing(random: Random, parts: ConfigParts): Made {
  const json = (method: string, path: string, body: Doc | null): Made => ({
    method,
    path,
    body: body === null ? null : docText(body, random),
    type: JSON_TYPE,
  });
  const customer = () =>
    parts.customers.length > 0 && random.once(2)
      ? random.pick(parts.customers)[0]
      : customerName(random);
  const placement = () =>
    random.once(6) ? placementName(random) : random.pick(parts.endpoints)[0];
  const value = () => random.once(10) ? anyDoc(random, 2) : placement();
  const document = documentOf(random, parts);
  switch (random.below(12)) {
    case 0:
      return json("PUT", "/v1/config", configDoc(random));
    case 1:
    case 2: {
      const patch = configMerge(random, parts);
      return {
        ...json("PATCH", "/v1/config", patch),
        type: TYPES[random.below(2)]!,
      };
    }
    case 3:
    case 4: {
      const patch = random.once(30)
        ? deepeningPatch(random)
        : jsonPatch(random, document, () => configValue(random, parts));
      return { ...json("PATCH", "/v1/config", patch), type: TYPES[2]! };
    }
    case 5: {
      const path = `/v1/customers/${pathName(random, customer())}`;
      const method = random.pick(["PUT", "PATCH", "PUT"]);
      return json(method, path, objectDoc([["placement", value()]]));
    }
    case 6:
      return json(
        "DELETE",
        `/v1/customers/${pathName(random, customer())}`,
        random.once(6) ? anyDoc(random, 1) : null,
      );
    case 7: {
      const path = `/v1/placements/${pathName(random, placement())}`;
      const url = random.once(8) ? anyDoc(random, 1) : endpointUrl(random);
      return json(
        random.pick(["PUT", "PATCH"]),
        path,
        objectDoc([["endpoint", url]]),
      );
    }
    case 8:
      return json(
        "DELETE",
        `/v1/placements/${pathName(random, placement())}`,
        null,
      );
    case 9:
      return json(
        "POST",
        "/v1/moves",
        random.once(2)
          ? objectDoc([["from", value()], ["to", value()]])
          : objectDoc([
            [
              "customers",
              random.list(5, () => random.once(20) ? null : customer()),
            ],
            ["to", value()],
          ]),
      );
    case 10: {
      const version = random.pick([
        "{current}",
        "1",
        "0",
        "-1",
        "1e1",
        "99999999",
      ]);
      return json("POST", `/v1/versions/${version}/restore`, null);
    }
    default:
      if (random.once(8)) return json("POST", "/v1/takeover", null);
      return {
        ...json("PATCH", "/v1/config", null),
        body: random.once(2)
          ? deepText(random)
          : docText(anyDoc(random), random),
        type: random.pick(TYPES),
      };
  }
}

function reading(random: Random, parts: ConfigParts): Made {
  const customer = parts.customers[0]?.[0] ?? "acme";
  const path = random.pick([
    "/v1/config",
    "/v1/customers",
    "/v1/customers",
    "/v1/placements",
    "/v1/versions",
    "/v1/versions/{current}",
    "/v1/versions/{current}/diff",
    "/v1/routers",
    "/v1/routers/r1",
    "/v1/routers/r1/resend",
    `/v1/explain?customer=${encodeURIComponent(customer)}`,
    `/v1/customers/${pathName(random, customer)}`,
    `/v1/placements/${pathName(random, parts.endpoints[0]![0])}`,
    "/v1/events",
    "/v1/connect",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/",
    "/v1//config",
    "/v1/config/",
    "/nothing/../v1/config",
    "*",
  ]);
  return {
    method: random.pick([
      "GET",
      "GET",
      "GET",
      "HEAD",
      "DELETE",
      "OPTIONS",
      "POST",
    ]),
    path,
    body: null,
    type: JSON_TYPE,
  };
}

const QUERY: Readonly<Record<string, readonly string[]>> = {
  dry_run: ["true", "false", "TRUE", ""],
  wait: ["applied", "now"],
  timeout: ["10s", "1ms", "0s", "6m", "-1s", "1e3s", "10"],
  limit: ["1", "2", "1000", "0", "1001", "-1", "01", "1.5", "x"],
  cursor: [
    "Y3VzdG9tZXJzOmE",
    "dmVyc2lvbnM6Mg",
    "ZGlmZjoyYQ",
    "!!",
    "",
    "cGxhY2VtZW50czphYQ",
  ],
  prefix: ["a", "_", "%22", "%C3%A9", ""],
  placement: ["a", "x", "%ff", ""],
  from: ["1", "{current}", "0", "x"],
  customer: ["acme", "%22", "", "%"],
  __proto__x: ["1"],
};

function withQuery(random: Random, { path }: Made): string {
  const names = random.shuffled(Object.keys(QUERY)).slice(0, random.below(4));
  const query = names.map((name) => {
    const pair = `${name}=${random.pick(QUERY[name]!)}`;
    return random.once(10)
      ? mutate(random, pair, {
        bytes: true,
        tokens: ["&", "=", "%", "%zz", "+", "__proto__=1"],
      })
      : pair;
  });
  if (query.length === 0) return path;
  // What a request line cannot hold never comes so far.
  const text = query.join("&").replaceAll(/[^\x21-\x7e]/g, "+").replaceAll(
    "#",
    "",
  );
  return `${path}${path.includes("?") ? "&" : "?"}${text}`;
}

function headersOf(
  random: Random,
  made: Made,
): readonly (readonly [string, string])[] {
  const headers: (readonly [string, string])[] = [];
  if (made.body !== null) {
    const type = random.once(8)
      ? random.pick([...TYPES, ...WRONG_TYPES])
      : made.type;
    headers.push(typeHeader(type));
  }
  const text = () =>
    random.once(3)
      ? random.bytes(30).replaceAll(/[\0\r\n]/g, "")
      : "ops \xc3\xa9";
  const others: readonly (readonly [string, () => string])[] = [
    [
      "if-match",
      () =>
        random.pick([
          '"{current}"',
          "*",
          '"1", "{current}"',
          'W/"1"',
          "1",
          '""',
          '"999"',
          '"\xff"',
        ]),
    ],
    [
      "if-none-match",
      () => random.pick(['"{current}"', "*", 'W/"{current}"', "x,,"]),
    ],
    ["x-signalbox-author", text],
    ["x-signalbox-message", () => random.once(8) ? "m".repeat(2000) : text()],
    [
      "origin",
      () => random.pick(["http://127.0.0.1:8081", "http://evil", "null"]),
    ],
    [
      "sec-fetch-site",
      () => random.pick(["same-origin", "cross-site", "none"]),
    ],
    [
      "host",
      () => random.pick(["localhost", "evil", "127.0.0.1", "[::1]:80", "a b"]),
    ],
    ["authorization", () => random.pick(["Bearer x", "Basic x", ""])],
    ["content-encoding", () => random.pick(["gzip", "identity"])],
    ["content-length", () => random.pick(["0", "99999999999", "x", "-1"])],
  ];
  for (
    const [name, make] of random.shuffled(others).slice(0, random.below(3))
  ) {
    headers.push([name, make()]);
  }
  return headers;
}
