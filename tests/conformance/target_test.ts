import { deepEqual, equal, match } from "node:assert/strict";
import { conforms, endAfterwards } from "./cases.ts";
import { Cell } from "./cell.ts";
import { requestText } from "./front.ts";
import { Subject } from "./subject.ts";

const cell = new Cell();
const subjects = await Subject.both({
  placements: { cell: cell.url(), base: cell.url("/base/path/") },
  customers: { deep: "base" },
});
endAfterwards(cell, ...subjects);

/** Targets that a server which reads them would change. */
const TARGETS = [
  "/",
  "/?",
  "/a?",
  "/??",
  "/a?b?c=/../d",
  "/a/../b",
  "/./a/.",
  "/..",
  "/../../etc/passwd",
  "/%2e%2e/x",
  "/%2E%2e%2F%5c",
  "/a%20b%00%zz%",
  "//a//b",
  "///",
  "//evil.example/x",
  "/http://evil.example/x",
  "/@evil.example:80/",
  "/a\\b\\..\\c",
  "/a;b=c;d/e,f",
  "/~|^`{}[]<>\"'$&()*+!=:",
  "/a?x=%2e//y&&=&z",
  "/\xc3\xa9\x80\xff?\xfe",
];

for (const front of subjects.flatMap((subject) => subject.fronts)) {
  conforms(
    `${front.name}: a target goes on byte for byte (RFC 9110 section 7.7, RFC 3986 section 6)`,
    async () => {
      await using scene = cell.answer();
      for (const target of TARGETS) {
        const { status } = await front.exchange({ target });
        equal(status, 200, target);
        equal(scene.last.line, `GET ${target} HTTP/1.1`);
      }
      equal(scene.requests.length, TARGETS.length);
    },
  );

  conforms(
    `${front.name}: a method goes on as it is, known or not (RFC 9110 section 9.1)`,
    async () => {
      await using scene = cell.answer();
      const methods = [
        "GET",
        "PUT",
        "DELETE",
        "PATCH",
        "PROPFIND",
        "get",
        "M!#$%&'*+-.^_`|~9",
      ];
      for (const method of methods) {
        equal((await front.exchange({ method })).status, 200, method);
        equal(scene.last.line, `${method} / HTTP/1.1`);
      }
    },
  );

  conforms(
    `${front.name}: an endpoint's base path stands in front of every target`,
    async () => {
      await using scene = cell.answer();
      const headers = [["X-Routing-Key", "deep"]] as const;
      for (
        const target of ["/", "/?a", "/a/../b", "//a//b", "/a/%2e%2e/b", "/..."]
      ) {
        equal((await front.exchange({ target, headers })).status, 200, target);
        equal(scene.last.line, `GET /base/path${target} HTTP/1.1`);
      }
    },
  );

  conforms(
    `${front.name}: a target that climbs above the base path is answered 400 (RFC 3986 section 5.2.4)`,
    async () => {
      await using scene = cell.answer();
      const headers = [["X-Routing-Key", "deep"]] as const;
      const climbing = [
        "/..",
        "/../x",
        "/a/../../x",
        "/a/b/../../../x?y",
        "/%2e%2E/x",
        "/.%2e/x",
        "/a/..%2f..%2fx",
        "/..\\x",
        "/a\\..\\..\\x",
        "/%5c../..",
        "/..;a=b/x",
        "//../../x",
      ];
      for (const target of climbing) {
        equal((await front.exchange({ target, headers })).status, 400, target);
      }
      equal(scene.sockets.length, 0);
    },
  );
}

for (const { front } of subjects) {
  conforms(
    `${front.name}: a request line of 16 KiB passes, a longer one is answered 414 (RFC 9112 section 3)`,
    async () => {
      await using scene = cell.answer();
      const around = "GET / HTTP/1.1".length;
      const longest = `/${"x".repeat(16 * 1024 - around)}`;
      equal((await front.exchange({ target: longest })).status, 200);
      equal(scene.last.line, `GET ${longest} HTTP/1.1`);
      for (const more of [1, 2, 3, 1000, 48 * 1024, 64 * 1024, 500_000]) {
        const text = requestText({ target: longest + "x".repeat(more) });
        equal((await front.ask(text)).status, 414, String(more));
      }
      equal(scene.requests.length, 1);
    },
  );

  conforms(
    `${front.name}: the absolute form goes on as a path, the asterisk form as it is (RFC 9112 sections 3.2.2 and 3.2.4)`,
    async () => {
      await using scene = cell.answer();
      const forms = [
        ["GET http://a.example/p/../q?r", "GET /p/../q?r"],
        ["GET HTTP://A.Example/", "GET /"],
        ["GET https://a.example//x", "GET //x"],
        ["GET http://a.example", "GET /"],
        ["GET http://a.example?q", "GET /?q"],
        ["OPTIONS *", "OPTIONS *"],
        ["OPTIONS http://a.example", "OPTIONS *"],
        ["OPTIONS http://a.example/", "OPTIONS /"],
        ["OPTIONS /*", "OPTIONS /*"],
      ] as const;
      for (const [sent, received] of forms) {
        const [method, target] = sent.split(" ");
        const { status } = await front.exchange({
          method: method!,
          target: target!,
        });
        equal(status, 200, sent);
        equal(scene.last.line, `${received} HTTP/1.1`);
        deepEqual(
          scene.last.fields.filter(([name]) => name === "Host"),
          [["Host", "a.example"]],
        );
      }
      const headers = [["X-Routing-Key", "deep"]] as const;
      await front.exchange({ method: "OPTIONS", target: "*", headers });
      equal(scene.last.line, "OPTIONS /base/path HTTP/1.1");
    },
  );

  conforms(
    `${front.name}: a request line that is not one is answered 400, 405 or 505, and not forwarded (RFC 9112 section 3)`,
    async () => {
      await using scene = cell.answer();
      const lines = [
        ["GET a HTTP/1.1", 400],
        ["GET ? HTTP/1.1", 400],
        ["GET * HTTP/1.1", 400],
        ["GET a.example:80 HTTP/1.1", 400],
        ["GET \\ HTTP/1.1", 400],
        ["GET /a#b HTTP/1.1", 400],
        ["GET /a b HTTP/1.1", 400],
        ["GET /a\tb HTTP/1.1", 400],
        ["GET /a\x00b HTTP/1.1", 400],
        ["GET /a\x0bb HTTP/1.1", 400],
        ["GET /a\x7fb HTTP/1.1", 400],
        ["GET  / HTTP/1.1", 400],
        ["GET /  HTTP/1.1", 400],
        [" GET / HTTP/1.1", 400],
        ["GET\t/ HTTP/1.1", 400],
        ["GET / HTTP/1.1 ", 400],
        ["GET / HTTP/1.1\r", 400],
        ["GET /", 400],
        ["GET / http/1.1", 400],
        ["GET / HTTP/1.10", 400],
        ["GET / HTTP/01.1", 400],
        ["GET / HTTP/+1.1", 400],
        ["GET / HTTP/1,1", 400],
        ["GET / HTTPS/1.1", 400],
        ["G(T / HTTP/1.1", 400],
        ["G\xc9T / HTTP/1.1", 400],
        ["GET ftp://a.example/ HTTP/1.1", 400],
        ["GET http:///x HTTP/1.1", 400],
        ["GET http:a.example HTTP/1.1", 400],
        ["GET http://a.example\\@b/ HTTP/1.1", 400],
        ["CONNECT a.example:443 HTTP/1.1", 405],
        ["CONNECT / HTTP/1.1", 405],
        ["GET / HTTP/1.0", 505],
        ["GET / HTTP/1.2", 505],
        ["GET / HTTP/2.0", 505],
      ] as const;
      for (const [line, status] of lines) {
        const answer = await front.send(
          `${line}\r\nHost: a.example\r\nX-Routing-Key: acme\r\n\r\n`,
        );
        match(
          answer,
          new RegExp(`^HTTP/1\\.1 ${status} [^]*\r\nConnection: close\r\n`),
          JSON.stringify(line),
        );
      }
      equal(scene.sockets.length, 0);
    },
  );
}
