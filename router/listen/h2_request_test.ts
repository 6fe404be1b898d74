import { equal } from "node:assert/strict";
import { type BodyFraming, requestText } from "./h2_request.ts";

function text(
  url: string,
  fields: Record<string, string> = {},
  options: { method?: string; framing?: BodyFraming } = {},
): string {
  return requestText({
    method: options.method ?? "GET",
    url,
    headers: new Headers(fields),
  }, { framing: options.framing ?? "none", missing: "localhost:1" });
}

Deno.test("requestText() writes authority and target as they stand in the URL", () => {
  for (
    const [url, line, host] of [
      ["https://a.example/a/../b?x", "GET /a/../b?x", "a.example"],
      ["http://A:81//c", "GET //c", "A:81"],
      ["https://a?b", "GET ?b", "a"],
      ["https://a*", "GET ", "a*"],
      ["https://a/\u00e9", "GET /\xc3\xa9", "a"],
      ["ftp://a/b", "GET ftp://a/b", "a"],
    ] as const
  ) {
    equal(text(url), `${line} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  }
  equal(
    text("https://a:443", {}, { method: "CONNECT" }),
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
  );
});

Deno.test("requestText() takes a Host for the authority where there is none, and leaves two that differ", () => {
  equal(text("http://localhost:1/x"), "GET /x HTTP/1.1\r\n\r\n");
  equal(
    text("https://evil/admin/x", { host: "evil/admin" }),
    "GET /x HTTP/1.1\r\nHost: evil/admin\r\n\r\n",
  );
  equal(
    text("https://a/x", { host: "a", b: "c" }),
    "GET /x HTTP/1.1\r\nHost: a\r\nb: c\r\n\r\n",
  );
  equal(
    text("https://a/x", { host: "b" }),
    "GET /x HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
  );
});

Deno.test("requestText() frames a body once, and leaves a dropped one to be refused", () => {
  const length = { "content-length": "3" };
  const line = "POST / HTTP/1.1\r\nHost: a\r\n";
  equal(
    text("https://a/", length, { method: "POST", framing: "given" }),
    `${line}content-length: 3\r\n\r\n`,
  );
  equal(
    text("https://a/", {}, { method: "POST", framing: "chunked" }),
    `${line}Transfer-Encoding: chunked\r\n\r\n`,
  );
  equal(
    text("https://a/", length, { framing: "dropped" }),
    "GET / HTTP/1.1\r\nHost: a\r\ncontent-length: 3 of a GET, whose body is not read over HTTP/2\r\n\r\n",
  );
  equal(
    text("https://a/", { "content-length": "0" }, { framing: "dropped" }),
    "GET / HTTP/1.1\r\nHost: a\r\ncontent-length: 0\r\n\r\n",
  );
});
