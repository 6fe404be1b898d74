import { deepEqual, equal, match } from "node:assert/strict";
import { conforms, endAfterwards } from "./cases.ts";
import { Cell } from "./cell.ts";
import { valuesOf } from "./messages.ts";
import { Subject } from "./subject.ts";

const cell = new Cell();
const placements = { cell: cell.url(), other: cell.url() };
const [subjects, byHost] = await Promise.all([
  Subject.both({ placements }),
  Subject.both({ placements, env: { ROUTER_KEY: "host:{key}.example.com" } }),
]);
endAfterwards(cell, ...subjects, ...byHost);

for (const front of subjects.flatMap((subject) => subject.fronts)) {
  conforms(
    `${front.name}: Host reaches the endpoint as it was sent (RFC 9110 section 7.2)`,
    async () => {
      await using scene = cell.answer();
      const hosts = [
        "a.example",
        "A.Example:8080",
        "a.example:",
        "127.0.0.1",
        "[::1]:8080",
        "xn--bcher-kva.example",
        "a_b.example",
      ];
      for (const host of hosts) {
        const { status } = await front.exchange({ headers: [["Host", host]] });
        equal(status, 200, host);
        deepEqual(valuesOf(scene.last.fields, "host"), [host]);
      }
    },
  );
}

/** Field lines in place of one good Host, each to be refused. */
const BAD = [
  "",
  "Host:\r\n",
  "Host: \t \r\n",
  "Host: evil/admin\r\n",
  "Host: a.example/\r\n",
  "Host: a b\r\n",
  "Host: a\tb\r\n",
  "Host: a?b\r\n",
  "Host: a#b\r\n",
  "Host: a\\b\r\n",
  "Host: user@a.example\r\n",
  "Host: user:secret@a.example\r\n",
  "Host: @a.example\r\n",
  "Host: http://a.example\r\n",
  "Host: a.example:b\r\n",
  "Host: a.example:-1\r\n",
  "Host: a.example:65536\r\n",
  "Host: a.example:000080\r\n",
  "Host: a.example:80:80\r\n",
  "Host: :80\r\n",
  "Host: [::1\r\n",
  "Host: ::1\r\n",
  "Host: [::1]a\r\n",
  "Host: [a.example]\r\n",
  'Host: a"b\r\n',
  "Host: <a>\r\n",
  "Host: \xe9.example\r\n",
  "Host: a\x00b\r\n",
  "Host: a.example\x0b\r\n",
  "Host: a.example\n\r\n",
  "Host: a.example\r\n b\r\n",
  "Host : a.example\r\n",
  " Host: a.example\r\n",
  "Host: a.example\r\nHost: a.example\r\n",
  "Host: a.example\r\nHost: b.example\r\n",
  "Host: a.example\r\nHOST:\r\n",
  "Host: a.example\r\nX: y\r\nhost: a.example\r\n",
];

for (const { front } of subjects) {
  conforms(
    `${front.name}: a Host that is missing, repeated or none is answered 400, and not forwarded (RFC 9112 section 3.2)`,
    async () => {
      await using scene = cell.answer();
      for (const lines of BAD) {
        const answer = await front.send(
          `GET /admin HTTP/1.1\r\n${lines}X-Routing-Key: acme\r\n\r\n`,
        );
        match(
          answer,
          /^HTTP\/1\.1 400 [^]*\r\nConnection: close\r\n/,
          JSON.stringify(lines),
        );
      }
      equal(scene.sockets.length, 0);
    },
  );

  conforms(
    `${front.name}: an authority in the target that is not Host is answered 400, and not forwarded (RFC 9112 section 3.2.2)`,
    async () => {
      await using scene = cell.answer();
      const pairs = [
        ["http://b.example/", "a.example"],
        ["http://a.example:81/", "a.example"],
        ["http://a.example/", "a.example:81"],
        ["http://a.example.evil/", "a.example"],
        ["http://user@a.example/", "a.example"],
        ["http://user@a.example/", "user@a.example"],
        ["http://a.example\\b/", "a.example"],
        ["OPTIONS http://b.example", "a.example"],
      ] as const;
      for (const [form, host] of pairs) {
        const line = form.includes(" ") ? form : `GET ${form}`;
        const answer = await front.send(
          `${line} HTTP/1.1\r\nHost: ${host}\r\nX-Routing-Key: acme\r\n\r\n`,
        );
        match(answer, /^HTTP\/1\.1 400 /, `${form} at ${host}`);
      }
      equal(scene.sockets.length, 0);
    },
  );
}

for (const front of byHost.flatMap((subject) => subject.fronts)) {
  conforms(
    `${front.name}: a routing key in the host is exactly one label, lower-cased, whatever the port`,
    async () => {
      await using scene = cell.answer();
      const routed = async (host: string) => {
        const { status, headers } = await front.exchange({
          headers: [["Host", host], ["X-Routing-Key", "ignored"]],
        });
        return [
          status,
          ...valuesOf(headers, "x-routed-to"),
          ...valuesOf(headers, "x-route-reason"),
        ];
      };
      deepEqual(await routed("acme.example.com"), [200, "cell", "assigned"]);
      deepEqual(await routed("ACME.Example.COM:1"), [200, "cell", "assigned"]);
      deepEqual(await routed("b.example.com"), [200, "other", "default"]);
      equal(scene.requests.length, 3);
      const unfit = [
        "example.com",
        ".example.com",
        "a.acme.example.com",
        "acme.example.com.evil",
        "acme-example.com",
        "acme.example.co",
        "[::1]",
        "127.0.0.1",
      ];
      for (const host of unfit) deepEqual(await routed(host), [400], host);
      equal(scene.requests.length, 3);
    },
  );
}
