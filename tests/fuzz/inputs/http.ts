import type { Random } from "../../harness/random.ts";

const METHODS = [
  "GET",
  "GET",
  "POST",
  "PUT",
  "DELETE",
  "HEAD",
  "OPTIONS",
  "M-SEARCH",
];
const TARGETS = [
  "/",
  "/",
  "/a/b?c=d",
  "/a/../b",
  "/%2e%2e/x",
  "//",
  "/a%2F..%2f..",
  "/..;x/",
  "/\\..",
  "/?..",
  "/\xe9",
  "/%zz",
  "/a/./b/...",
  "/.%2E/c",
];
const HOSTS = ["a.example", "a.example:8080", "acme.cells.example", "[::1]:80"];
const VALUES = [
  "",
  "x",
  "a, b",
  "\t x \t",
  "\xe9",
  '"q"',
  "x".repeat(300),
  ";,=",
];
const NAMES = [
  "Accept",
  "X-A",
  "Cookie",
  "Authorization",
  "Forwarded",
  "X-Forwarded-For",
  "X-Forwarded-Host",
  "X_Forwarded_For",
  "X-Real-IP",
  "Via",
  "Trailer",
  "Range",
  "X-Request-Id",
  "Content_Length",
  "Transfer_Encoding",
  "X_Routing_Key",
];
const HOP_BY_HOP = [
  "Connection: close",
  "Connection: keep-alive",
  "Connection: X-A, Cookie",
  "Connection: content-length, host, x-routing-key",
  "Connection: Upgrade\r\nUpgrade: websocket",
  "Connection: Upgrade\r\nUpgrade: h2c",
  "Keep-Alive: timeout=5",
  "Proxy-Connection: close",
  "TE: trailers",
  "Expect: 100-continue",
];

/** What HTTP has rules about: for mutations. */
export const HTTP_TOKENS = [
  "\r\n",
  "\n",
  "\r",
  "\r\n\r\n",
  "\n\n",
  "\r\n ",
  "\r\n\t",
  " :",
  ": ",
  "Content-Length: 0\r\n",
  "Content-Length: 5\r\n",
  "Content-Length: 3, 3\r\n",
  "Content-Length: +3\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: gzip, chunked\r\n",
  "Transfer-Encoding: \x0bchunked\r\n",
  "Transfer-Encoding : chunked\r\n",
  "Host: evil\r\n",
  "X-Routing-Key: visa\r\n",
  "Connection: close\r\n",
  "HTTP/1.0",
  "HTTP/2.0",
  "GET / HTTP/1.1\r\n",
  "0\r\n\r\n",
  "0\r\nX: y\r\n\r\n",
  "5\r\nhello\r\n",
  ';ext="\r\n',
  "CONNECT",
  "http://a.example/",
  "*",
  "#",
  "x".repeat(1100),
];

/** A field line. */
function fieldLine(random: Random, names: readonly string[]): string {
  const name = random.pick(names);
  const gap = random.pick([" ", " ", "", "\t"]);
  return `${random.once(4) ? name.toLowerCase() : name}:${gap}${
    random.pick(VALUES)
  }\r\n`;
}

/** A chunked body, with whatever trailers and extensions. */
export function chunkedBody(random: Random): string {
  let body = "";
  for (const content of random.list(4, () => `${random.bytes(20)}x`)) {
    const size = content.length.toString(16);
    const line = random.pick([size, size, size.toUpperCase(), `00${size}`]);
    const extension = random.pick(["", "", "", ";a", ';a="b"', ";\t\xe9"]);
    body += `${line}${extension}\r\n${content}\r\n`;
  }
  const trailers = random.once(3)
    ? random.list(
      4,
      () => fieldLine(random, [...NAMES, "Host", "Content-Length"]),
    )
    : [];
  return `${body}${random.pick(["0", "0", "000", "0;x"])}\r\n${
    trailers.join("")
  }\r\n`;
}

/** A whole request with its body, each character a byte; nearly always one that is forwarded. */
export function requestBytes(random: Random): string {
  const host = random.pick(HOSTS);
  const method = random.pick(METHODS);
  const target = random.once(10)
    ? `http://${host}${random.pick(TARGETS)}`
    : method === "OPTIONS" && random.once(2)
    ? "*"
    : random.pick(TARGETS);
  const lines = random.list(6, () => fieldLine(random, NAMES));
  lines.push(`Host: ${host}\r\n`, `X-Routing-Key: ${random.pick(KEYS)}\r\n`);
  if (random.once(3)) lines.push(`${random.pick(HOP_BY_HOP)}\r\n`);
  if (random.once(60)) {
    for (let i = 0; i < 199; i++) lines.push(`X-${i}: y\r\n`);
  }
  let body = "";
  switch (random.below(method === "GET" ? 8 : 3)) {
    case 0:
      lines.push("Transfer-Encoding: chunked\r\n");
      body = chunkedBody(random);
      break;
    case 1:
      body = random.bytes(30);
      lines.push(`Content-Length: ${body.length}\r\n`);
      break;
  }
  const head = `${method} ${target} HTTP/1.1\r\n${
    random.shuffled(lines).join("")
  }\r\n`;
  return head + body;
}

const KEYS = ["acme", "visa", "acme", "__proto__", "k".repeat(256), "..", ""];

const STATUS_LINES = [
  "HTTP/1.1 200 OK",
  "HTTP/1.1 200 OK",
  "HTTP/1.1 200 ",
  "HTTP/1.1 204 No Content",
  "HTTP/1.1 304 Not Modified",
  "HTTP/1.1 404",
  "HTTP/1.0 200 OK",
  "HTTP/1.1 599 \xe9",
];
const ANSWER_NAMES = [
  "Content-Type",
  "Set-Cookie",
  "X-Routed-To",
  "X-Config-Version",
  "Server",
  "ETag",
  "Trailer",
];

/** An answer with its body, and perhaps others before it; nearly always one that is passed on. */
export function answerBytes(random: Random): string {
  let before = "";
  while (random.once(8)) {
    before += random.pick([
      "HTTP/1.1 100 Continue\r\n\r\n",
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
      "HTTP/1.1 102 Processing\r\nContent-Length: 3\r\n\r\n",
    ]);
  }
  const lines = random.list(5, () => fieldLine(random, ANSWER_NAMES));
  if (random.once(4)) {
    lines.push(random.pick([
      "Connection: close\r\n",
      "Connection: keep-alive\r\n",
      "Connection: Server, close\r\n",
      "Keep-Alive: timeout=1\r\n",
      "Content-Type: text/event-stream\r\n",
      "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    ]));
  }
  const content = random.bytes(40);
  let body = content;
  switch (random.below(3)) {
    case 0:
      lines.push(`Content-Length: ${content.length}\r\n`);
      break;
    case 1:
      lines.push("Transfer-Encoding: chunked\r\n");
      body = chunkedBody(random);
      break;
  }
  const head = `${random.pick(STATUS_LINES)}\r\n${
    random.shuffled(lines).join("")
  }\r\n`;
  return before + head + body;
}
