import { equal, throws } from "node:assert/strict";
import { RequestHead, RequestRules } from "./http1/request_head.ts";
import { RequestError, routingKeyReader } from "./routing_key.ts";

function keyOf(host: string, suffix = ".example.com"): string {
  const head = new RequestHead(new RequestRules(null));
  head.read(`GET / HTTP/1.1\r\nHost: ${host}\r\n`);
  return routingKeyReader({ kind: "host", suffix })(head);
}

Deno.test("routingKeyReader() takes one label of a host, in lower case and whatever the port", () => {
  equal(keyOf("ACME.example.com"), "acme");
  equal(keyOf("a-1.Example.Com:8080", ".EXAMPLE.com"), "a-1");
  for (
    const host of [
      "example.com",
      ".example.com",
      "a.b.example.com",
      "a.example.org",
      "aexample.com",
      "a.example.com.",
      "[::1]:80",
      "a.example.com.evil.org",
    ]
  ) {
    throws(() => keyOf(host), RequestError, host);
  }
});

Deno.test("routingKeyReader() refuses a suffix that is no domain", () => {
  for (const suffix of ["", "example.com", ".", ".a b"]) {
    throws(() => routingKeyReader({ kind: "host", suffix }), TypeError, suffix);
  }
});
