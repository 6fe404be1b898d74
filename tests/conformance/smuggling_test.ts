import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { RawSocket } from "../../router/testing.ts";
import { conforms } from "./cases.ts";
import type { WireFront } from "./front.ts";
import { takeAnswer, valuesOf } from "./messages.ts";
import { ANSWERED, RecordingEndpoint } from "./smuggling_endpoint.ts";
import { type Input, smugglingInputs } from "./smuggling_inputs.ts";
import { judge, requestName } from "./smuggling_judge.ts";
import {
  type Reading,
  readStream,
  type StrictRequest,
} from "./smuggling_reader.ts";
import { Subject } from "./subject.ts";

/**
 * Request smuggling (RFC 9112 section 11.2): thousands of ambiguous requests, each with a second one
 * hidden in it, and a judgement of what was forwarded of them. What a strict reader takes as a request
 * must be forwarded as exactly that; all else must be refused, and end its connection.
 */

/** Always the same inputs, unless others are asked for. */
const SEED = Number(Deno.env.get("SMUGGLING_SEED") ?? 3);
const CLIENTS = 32;
/** How long one input may take, in milliseconds: far more than any deadline of the router. */
const PATIENCE = 20_000;

const INPUTS = smugglingInputs(SEED);

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

/** What became of some inputs. */
interface Outcome {
  readonly refused: number;
  readonly forwarded: number;
  /** What is wrong, by the input it is about. */
  readonly bad: ReadonlyMap<Input | null, readonly string[]>;
}

for (
  const { secure, inputs } of [
    { secure: false, inputs: INPUTS },
    { secure: true, inputs: INPUTS.filter((_, index) => index % 10 === 0) },
  ]
) {
  const name = secure ? "HTTP/1.1 over TLS" : "HTTP/1.1";
  conforms(
    `${name}: of ${inputs.length} ambiguous requests none is forwarded as another one or as two (RFC 9112 section 11.2)`,
    async () => {
      const { refused, forwarded, bad } = await outcomeOf(inputs, secure);
      console.log(
        `Smuggling, ${name}: ${inputs.length} inputs, ${refused} refused, ${forwarded} forwarded, ${bad.size} bad`,
      );
      deepEqual(
        [...bad].slice(0, 20).map(([input, whats]) => [input?.text, whats]),
        [],
      );
      // What is sound goes through: else a router that refuses everything would pass.
      ok(forwarded > inputs.length / 10, `${forwarded} forwarded`);
      ok(refused > inputs.length / 2, `${refused} refused`);
    },
  );
}

/** Sends the inputs through a router of their own, and judges what arrives behind it. */
async function outcomeOf(
  inputs: readonly Input[],
  secure: boolean,
): Promise<Outcome> {
  const sent = new Map<string, StrictRequest>();
  const origins = new Map<string, Input>();
  const readings = new Map<Input, Reading>();
  for (const input of inputs) {
    const reading = readStream(input.text);
    readings.set(input, reading);
    for (const request of reading.requests) {
      ok(!sent.has(requestName(request)), `twice: ${requestName(request)}`);
      sent.set(requestName(request), request);
      origins.set(request.target, input);
    }
  }
  const bad = new Map<Input | null, string[]>();
  const note = (input: Input | null, what: string) =>
    bad.set(input, [...bad.get(input) ?? [], what]);

  await using endpoint = await RecordingEndpoint.listen();
  let refused = 0;
  {
    await using subject = await Subject.start({
      placements: { cell: endpoint.url },
      secure,
      // What a smuggled request leaves hanging should be told of, and not end the test.
      env: { ROUTER_RESPONSE_TIMEOUT: "8s", ROUTER_IDLE_TIMEOUT: "8s" },
    });
    const queue = inputs.values();
    await Promise.all(Array.from({ length: CLIENTS }, async () => {
      for (const input of queue) {
        const said = await play(subject.front, input, readings.get(input)!);
        if (said.refused) refused++;
        if (said.bad !== null) note(input, said.bad);
      }
    }));
  }
  await endpoint.left();
  const { complaints, forwarded } = judge(endpoint.connections, sent);
  for (const { target, what } of complaints) {
    note(origins.get(target) ?? null, what);
  }
  for (const [name, request] of sent) {
    if (request.complete && !forwarded.has(name)) {
      note(origins.get(request.target)!, `${name} was not forwarded`);
    }
  }
  const reached = [...forwarded].map((name) => sent.get(name)).filter((one) =>
    one !== undefined
  ).map(({ target }) => origins.get(target));
  return { refused, forwarded: new Set(reached).size, bad };
}

/** Sends one input, and looks whether the client is answered as `reading` says. */
async function play(
  front: WireFront,
  input: Input,
  reading: Reading,
): Promise<{ refused: boolean; bad: string | null }> {
  await using socket = await front.connect();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    socket.close();
  }, PATIENCE);
  // What is refused early may not be read to its end.
  const sent = (async () => {
    for (const part of input.parts) await socket.send(part);
  })().catch(() => {});
  let refused = false;
  let bad: string | null;
  try {
    for (const request of reading.requests.filter((one) => one.complete)) {
      const { status, fields } = await takeAnswer(socket, request.method);
      equal(status, 200, `answered ${status}: ${request.target}`);
      deepEqual(valuesOf(fields, ANSWERED), [request.target]);
    }
    await sent;
    refused = await takeEnd(socket, reading);
    bad = null;
  } catch (error) {
    bad = late ? `nothing happens (${reading.end})` : String(error);
  } finally {
    clearTimeout(timer);
  }
  socket.close();
  await sent;
  return { refused, bad };
}

/** After the last whole request: takes a refusal where there must be one, and nothing more. */
async function takeEnd(
  socket: RawSocket,
  { end, why }: Reading,
): Promise<boolean> {
  // Only where nothing is malformed does the client end the connection; else the router must.
  const ours = end === "whole" || end === "incomplete";
  if (ours) await socket.finish().catch(() => {});
  if (end !== "malformed") {
    const rest = await socket.rest();
    const answers = rest.replaceAll(CONTINUE, "");
    equal(answers, "", `an answer to nothing (${end})`);
    return false;
  }
  let head = await socket.head();
  while (head === CONTINUE) head = await socket.head();
  match(
    head,
    /^HTTP\/1\.1 (?:400|405|414|431|505) [^]*\r\nConnection: close\r\n/,
    `not refused: ${why}`,
  );
  ok(!/HTTP\/1\.1 [1-5]/.test(await socket.rest()), `a second answer: ${why}`);
  return true;
}
