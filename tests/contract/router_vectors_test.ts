import { deepEqual, equal, ok } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { activate, readyConfig } from "../../router/active.ts";
import { Applier } from "../../router/applier.ts";
import { copyPacked, packedBytes } from "../../router/config/packed_config.ts";
import { Link } from "../../router/link/link.ts";
import { SavedConfigs } from "../../router/saved_config.ts";
import { SUBPROTOCOL } from "../../shared/protocol.ts";
import {
  type ConversationStep,
  readProtocolVectors,
} from "../../shared/protocol_vectors.ts";
import { Inbox } from "../harness/draft.ts";
import { dataFolder } from "../harness/program.ts";

const MAX_CONFIG_BYTES = 2 ** 20;

/** A control plane that says what it is told to, to the first router that comes. */
class Speaker implements AsyncDisposable {
  readonly inbox = new Inbox();
  readonly closed = Promise.withResolvers<number>();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #opened = Promise.withResolvers<WebSocket>();

  constructor() {
    const options = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
    this.#server = Deno.serve(options, (request) => {
      const { socket, response } = Deno.upgradeWebSocket(request, {
        protocol: SUBPROTOCOL,
      });
      socket.onopen = () => this.#opened.resolve(socket);
      socket.onmessage = ({ data }) => this.inbox.put(JSON.parse(data));
      socket.onclose = ({ code }) => this.closed.resolve(code);
      return response;
    });
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#server.addr.port}/v1/connect`;
  }

  async say(data: string | Uint8Array<ArrayBuffer>): Promise<void> {
    (await this.#opened.promise).send(data);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** The link of a router that serves nothing, with all that applies a config. */
function startLink(url: string, folder: string): Link {
  const applier = new Applier({
    guard: () => null,
    saved: new SavedConfigs(folder),
    maxConfigBytes: MAX_CONFIG_BYTES,
    serve: (config) => {
      const room = new ArrayBuffer(packedBytes(config.packed));
      const packed = copyPacked(config.packed, room);
      const ready = readyConfig({ ...config, packed });
      activate({ ...ready, appliedAt: 0, appliedAtMonotonic: 0 });
      return Promise.resolve();
    },
  });
  const link = new Link({
    urls: [url],
    id: "r1",
    instance: "i1",
    silenceMs: 12_000,
    maxConfigBytes: MAX_CONFIG_BYTES,
    serving: null,
    apply: (...push) => applier.apply(...push),
  });
  link.start();
  return link;
}

async function take(speaker: Speaker, step: ConversationStep): Promise<void> {
  if ("text" in step) return await speaker.say(step.text);
  if ("binary" in step) {
    return await speaker.say(
      new Uint8Array(Buffer.from(step.binary, "base64")),
    );
  }
  if ("zeros" in step) return await speaker.say(new Uint8Array(step.zeros));
  if ("close" in step) {
    equal(await speaker.closed.promise, step.close);
    return;
  }
  const answer = await speaker.inbox.next();
  if (step.error_begins === undefined) return deepEqual(answer, step.answer);
  const { error, ...fields } = answer;
  ok(error.startsWith(step.error_begins), error);
  deepEqual(fields, step.answer);
}

for (const { name, steps } of (await readProtocolVectors()).conversations) {
  Deno.test(`vector of a conversation: ${name}`, async () => {
    await using folder = await dataFolder();
    await using speaker = new Speaker();
    const link = startLink(speaker.url, folder.path);
    try {
      for (const step of steps) await take(speaker, step);
      if (!steps.some((step) => "close" in step)) {
        // Nothing has come but what stands there: the next is the answer to this.
        const last = Number.MAX_SAFE_INTEGER;
        await speaker.say(
          `{"type":"config_update","version":${last},"config":[]}`,
        );
        equal((await speaker.inbox.next()).version, last);
      }
    } finally {
      await link.stop();
      activate(null);
    }
  });
}
