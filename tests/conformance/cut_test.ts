import { equal, match, ok } from "node:assert/strict";
import { until } from "../harness/until.ts";
import { Peer, PeerEndpoint } from "./peer.ts";
import { upstreamConnections } from "./process.ts";
import { requestText } from "./front.ts";
import { Subject } from "./subject.ts";

/**
 * An answer that breaks off reaches the client as cut, and never as if it were whole: with fewer bytes
 * than its Content-Length, or without its last chunk (RFC 9112 section 8).
 */

const HEAD = "HTTP/1.1 200 OK\r\n";
const LONG = "x".repeat(100_000);

/** What an endpoint sends before it ends the connection, by framing and place. */
const CUT: Readonly<Record<string, string>> = {
  "with a length, before its body": `${HEAD}Content-Length: 10\r\n\r\n`,
  "with a length, in its body": `${HEAD}Content-Length: 10\r\n\r\n123456789`,
  "with a length, far into its body":
    `${HEAD}Content-Length: 1000000\r\n\r\n${LONG}`,
  "in chunks, before the first": `${HEAD}Transfer-Encoding: chunked\r\n\r\n`,
  "in chunks, in a size line":
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1`,
  "in chunks, in one":
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n100000\r\n${LONG}`,
  "in chunks, between two":
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`,
  "in chunks, in the line of the last":
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n`,
  "in chunks, in its trailers":
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n`,
};

const endings = { FIN: "finish", RST: "reset" } as const;

/** Sends what the test says, and ends the connection as it says when the client has read that. */
const play = { answer: "", ending: "FIN" as keyof typeof endings };
let arrived = Promise.withResolvers<void>();
const endpoint = await PeerEndpoint.listen(async (peer) => {
  await peer.until("\r\n\r\n");
  await peer.send(play.answer);
  await arrived.promise;
  peer[endings[play.ending]]();
  await peer.end();
});
const subjects = await Subject.both({ placements: { cell: endpoint.url } });
Deno.test.afterAll(async () => {
  for (const subject of subjects) await subject[Symbol.asyncDispose]();
  await endpoint[Symbol.asyncDispose]();
});

/** What a client gets of an answer that ends as `ending` says after the client has its beginning. */
async function ask(subject: Subject, answer: string, ending: string) {
  play.answer = answer;
  play.ending = ending as keyof typeof endings;
  arrived = Promise.withResolvers();
  using client = await Peer.connect(subject.front);
  await client.send(requestText({ headers: [["Connection", "close"]] }));
  const head = await client.until("\r\n\r\n");
  arrived.resolve();
  const { text } = await client.rest();
  await until("the endpoint's connection to be given up", async () => {
    const { active, idle } = await upstreamConnections(subject.router);
    return active + idle === 0;
  });
  return { head, body: text };
}

for (const subject of subjects) {
  const { name } = subject.front;
  for (const ending of Object.keys(endings)) {
    Deno.test(`${name}: an answer cut by ${ending} is never whole (RFC 9112 section 8)`, async (t) => {
      for (const [where, answer] of Object.entries(CUT)) {
        await t.step(where, async () => {
          const { head, body } = await ask(subject, answer, ending);
          match(head, /^HTTP\/1\.1 200 OK\r\n/);
          const sent = answer.slice(answer.indexOf("\r\n\r\n") + 4);
          ok(sent.startsWith(body), "what came is what was sent");
          const length = /^content-length: (\d+)/im.exec(head);
          if (length === null) {
            match(head, /^transfer-encoding: chunked\r\n/im);
            ok(!/(^|\r\n)0\r\n(.*\r\n)*\r\n$/.test(body), body.slice(-20));
          } else ok(body.length < Number(length[1]));
        });
      }
    });
  }

  Deno.test(`${name}: an answer that ends with its connection is whole after FIN alone (RFC 9112 section 6.3)`, async () => {
    const answer = `${HEAD}Connection: close\r\n\r\n${LONG}`;
    const whole = await ask(subject, answer, "FIN");
    match(whole.head, /^transfer-encoding: chunked\r\n/im);
    ok(whole.body.endsWith("\r\n0\r\n\r\n"));
    equal(whole.body.replaceAll(/[^x]/g, ""), LONG);
    const cut = await ask(subject, answer, "RST");
    ok(!cut.body.endsWith("\r\n0\r\n\r\n"));
    equal(LONG.startsWith(cut.body.replaceAll(/[^x]/g, "")), true);
  });

  for (const ending of Object.keys(endings)) {
    Deno.test(`${name}: an answer cut by ${ending} in its head is 502, also after an informational one`, async (t) => {
      for (
        const [where, sent] of [
          ["in the head", "HTTP/1.1 200 OK\r\nContent-Le"],
          [
            "after an informational head",
            "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n",
          ],
          ["before a byte", ""],
        ] as const
      ) {
        await t.step(where, async () => {
          play.answer = sent;
          play.ending = ending as keyof typeof endings;
          arrived = Promise.withResolvers();
          arrived.resolve();
          using client = await Peer.connect(subject.front);
          await client.send(requestText({ method: "POST", body: "x" }));
          const hints = /^HTTP\/1\.1 103 [^]*?\r\n\r\n/;
          let head = await client.until("\r\n\r\n");
          if (hints.test(head)) head = await client.until("\r\n\r\n");
          match(head, /^HTTP\/1\.1 502 /);
          match(head, /^content-type: application\/problem\+json\r\n/im);
        });
      }
    });
  }
}
