import { deepEqual, equal } from "node:assert/strict";
import { type IncomingMessage, request } from "node:http";
import { gunzipSync } from "node:zlib";
import { CLOSE, CONNECT_PATH } from "../../shared/protocol.ts";
import {
  type ProtocolVectors,
  readProtocolVectors,
} from "../../shared/protocol_vectors.ts";
import { ControlPlane } from "../harness/control_plane.ts";
import { dataFolder } from "../harness/program.ts";
import { until } from "../harness/until.ts";

const vectors = await readProtocolVectors();

/** What a control plane answers to a handshake. */
function shake(
  controlPlane: ControlPlane,
  { query, headers }: ProtocolVectors["handshakes"][number],
): Promise<{ status: number; subprotocol: string | null; type: string }> {
  const all: Record<string, string | null> = {
    host: `127.0.0.1:${controlPlane.port}`,
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    authorization: "Bearer router-token",
    ...headers,
  };
  const sent = Object.entries(all).filter((
    header,
  ): header is [string, string] => header[1] !== null);
  const { promise, resolve, reject } = Promise.withResolvers<
    { status: number; subprotocol: string | null; type: string }
  >();
  function tell({ statusCode, headers }: IncomingMessage): void {
    const subprotocol = headers["sec-websocket-protocol"] ?? null;
    const type = headers["content-type"] ?? "";
    resolve({ status: statusCode ?? 0, subprotocol, type });
  }
  request({
    host: "127.0.0.1",
    port: controlPlane.port,
    path: `${CONNECT_PATH}?${query}`,
    agent: false,
    headers: Object.fromEntries(sent),
  }).on("upgrade", (answer, socket) => {
    tell(answer);
    socket.destroy();
  }).on("response", (answer) => {
    tell(answer);
    answer.resume();
  }).on("error", reject).end();
  return promise;
}

Deno.test("a control plane answers the vectors' handshakes", async () => {
  await using folder = await dataFolder();
  await using controlPlane = await ControlPlane.start(folder.path, {
    CP_ROUTER_TOKEN: "router-token",
  });
  for (const vector of vectors.handshakes) {
    const { status, subprotocol, type } = await shake(controlPlane, vector);
    equal(status, vector.status, vector.name);
    if (status !== 101) equal(type, "application/problem+json", vector.name);
    if (vector.subprotocol !== undefined) {
      equal(subprotocol, vector.subprotocol, vector.name);
    }
  }
});

/** What a router is pushed as it connects, in parts or in one message. */
async function pushed(
  url: string,
  protocols: string[],
  // deno-lint-ignore no-explicit-any
): Promise<{ message: any; text: string; parts: Uint8Array }> {
  const socket = new WebSocket(url, protocols);
  socket.binaryType = "arraybuffer";
  const closed = new Promise((resolve) => socket.onclose = resolve);
  const whole = Promise.withResolvers<
    { message: { bytes?: number }; text: string; parts: Uint8Array }
  >();
  let text = "";
  let parts = new Uint8Array();
  socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
    if (typeof data === "string") text ||= data;
    else parts = new Uint8Array([...parts, ...new Uint8Array(data)]);
    const message = JSON.parse(text);
    if (parts.length === (message.bytes ?? 0)) {
      whole.resolve({ message, text, parts });
    }
  };
  try {
    return await whole.promise;
  } finally {
    socket.close();
    await closed;
  }
}

Deno.test("a control plane pushes the vectors' configs, in both forms", async () => {
  await using folder = await dataFolder();
  await using controlPlane = await ControlPlane.start(folder.path, {
    CP_GUARD_SHARE: "100%",
  });
  for (const { name, text, canonical, digest } of vectors.configs) {
    const put = await controlPlane.call("PUT", "/v1/config", { body: text });
    equal(put.status, 200, name);
    const { version } = put.body;
    const { message: { epoch, bytes, ...begin }, parts } = await pushed(
      controlPlane.connectUrl,
      ["signalbox.v1"],
    );
    deepEqual(begin, {
      type: "config_begin",
      version,
      digest,
      supersedes: [],
      guarded_since: 0,
      encoding: "gzip",
    });
    equal(bytes, parts.length);
    equal(new TextDecoder().decode(gunzipSync(parts)), canonical, name);
    const whole = await pushed(controlPlane.connectUrl, []);
    equal(
      whole.text,
      `{"type":"config_update","version":${version},"config":${canonical},"epoch":"${epoch}","digest":"${digest}","guarded_since":0}`,
      name,
    );
  }
});

Deno.test("a control plane says of the vectors' invalid configs what they say", async () => {
  await using folder = await dataFolder();
  await using controlPlane = await ControlPlane.start(folder.path);
  for (const { name, text, pointers, error } of vectors.invalid_configs) {
    const { status, body } = await controlPlane.call("PUT", "/v1/config", {
      body: text,
    });
    if (pointers === undefined) equal(status, 400, name);
    else {
      // A key that stands twice is told of first, and alone.
      equal(status, error!.includes("more than once") ? 400 : 422, name);
      deepEqual(
        body.errors.map(({ pointer }: { pointer: string }) => pointer),
        pointers,
        name,
      );
    }
  }
});

/** How a control plane closes on a router that says these, one after the other. */
async function closed(url: string, texts: string[]): Promise<CloseEvent> {
  const socket = new WebSocket(url);
  let event: CloseEvent | null = null;
  socket.onopen = () => texts.forEach((text) => socket.send(text));
  socket.onclose = (close) => event = close;
  return await until(`the close after ${texts}`, () => event);
}

Deno.test("a control plane closes with 4400 on the vectors' malformed messages, and on no other", async () => {
  await using folder = await dataFolder();
  await using controlPlane = await ControlPlane.start(folder.path);
  for (const vector of vectors.to_control_plane) {
    const malformed = "malformed" in vector;
    // What is sound, or unknown, is not what it closes on: that is the rubbish after it. After what is malformed
    // nothing is sent: a peer that meets the close with more may lose the code with its connection.
    const { code, reason } = await closed(
      controlPlane.connectUrl,
      malformed ? [vector.text] : [vector.text, "rubbish"],
    );
    equal(code, CLOSE.malformed, `${code} ${reason}: ${vector.text}`);
    equal(!reason.includes("rubbish"), malformed, vector.text);
  }
});
