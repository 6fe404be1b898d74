import { deepEqual, equal, match, throws } from "node:assert/strict";
import { endpointProblem, parseEndpoint } from "./endpoint.ts";

Deno.test("parseEndpoint() takes an endpoint apart", () => {
  deepEqual({ ...parseEndpoint("http://10.0.1.1:9001") }, {
    url: "http://10.0.1.1:9001",
    tls: false,
    hostname: "10.0.1.1",
    port: 9001,
    basePath: "",
  });
  deepEqual({ ...parseEndpoint("HTTPS://visa.cells.example/base/") }, {
    url: "HTTPS://visa.cells.example/base/",
    tls: true,
    hostname: "visa.cells.example",
    port: 443,
    basePath: "/base",
  });
  equal(parseEndpoint("http://[::1]:80").hostname, "::1");
  equal(parseEndpoint("http://h/").basePath, "");
  throws(
    () => parseEndpoint("http://u@h"),
    /Cannot use endpoint "http:\/\/u@h": it has user info/,
  );
});

Deno.test("endpointProblem() refuses what is not a plain absolute URL", () => {
  for (
    const [url, expected] of [
      ["", /not an absolute/],
      ["h:80", /not an absolute/],
      ["//h", /not an absolute/],
      ["http:h", /not an absolute/],
      ["ftp://h", /not an absolute/],
      ["http://", /valid host/],
      ["http://:80", /valid host/],
      ["http://h:", /valid host/],
      ["http://h:99999", /valid host/],
      ["http://h:0", /port 0/],
      ["http://h:080x", /valid host/],
      ["http://[::g]", /valid host/],
      ["http://300.1.1.1", /valid host/],
      ["http://h?", /a query/],
      ["http://h/a?b=c", /a query/],
      ["http://h#", /a fragment/],
      ["http://u@h", /user info/],
      ["http://u:p@h", /user info/],
      ["http://@h", /user info/],
      ["http://h/a b", /a space/],
      ["http://h/ä", /outside ASCII/],
      ["http://h\r\nx", /control character/],
      ["http://h/a/../b", /`\.\.` segment/],
      ["http://h/%2e%2E", /`\.\.` segment/],
      ["http://h\\x", /valid host/],
      [`http://h/${"x".repeat(3000)}`, /longer than 2048/],
    ] as const
  ) match(endpointProblem(url) ?? "nothing", expected, url);
});

Deno.test("endpointProblem() takes what an endpoint may be", () => {
  for (
    const url of [
      "http://h",
      "http://h:1",
      "http://h:65535/",
      "https://a-b.c_d.example:9443/base/x~y@z:1,2;3=4",
      "http://[2001:db8::1]:8080/b",
      "http://127.0.0.1/%20",
    ]
  ) equal(endpointProblem(url), null, url);
});
