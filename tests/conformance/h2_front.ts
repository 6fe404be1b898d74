import { TEST_CERT } from "../../router/upstream/testing.ts";
import {
  type Answered,
  type Asked,
  bytesOf,
  type Front,
  textOf,
} from "./front.ts";
import {
  type Field,
  H2Client,
  type H2Stream,
  type Manner,
} from "./h2_client.ts";
import { valuesOf } from "./messages.ts";

/** The way into a router over HTTP/2. */
export class H2Front implements Front {
  readonly name = "HTTP/2";
  readonly port: number;

  constructor(port: number) {
    this.port = port;
  }

  connect(manner: Manner = "reading"): Promise<H2Client> {
    return H2Client.connect(this.port, { ca: TEST_CERT, manner });
  }

  async exchange(asked: Asked): Promise<Answered> {
    await using client = await this.connect();
    const stream = await ask(client, asked);
    await stream.body();
    const final = stream.heads.findIndex((head) => statusOf(head) >= 200);
    return {
      status: statusOf(stream.heads[final]!),
      headers: plain(stream.heads[final]!),
      body: stream.bytes(),
      trailers: stream.heads.slice(final + 1).flat(),
      informational: stream.heads.slice(0, final).map((head) => ({
        status: statusOf(head),
        headers: plain(head),
      })),
    };
  }
}

/** Sends a request with its body. */
export async function ask(
  client: H2Client,
  asked: Asked,
): Promise<H2Stream> {
  const { body, trailers = [] } = asked;
  const stream = await client.request(headOf(asked), {
    end: body === undefined && trailers.length === 0,
  });
  if (body !== undefined) {
    const bytes = typeof body === "string" ? bytesOf(body) : body;
    await stream.write(bytes, { end: trailers.length === 0 });
  }
  if (trailers.length > 0) await stream.trailers(trailers);
  return stream;
}

/** The fields of a request's head, as HTTP/2 has them. */
export function headOf(asked: Asked): Field[] {
  const { method = "GET", target = "/", headers = [], body, trailers = [] } =
    asked;
  const fields: Field[] = [
    [":method", method],
    [":scheme", "https"],
    [":authority", valuesOf(headers, "host")[0] ?? "a.example"],
    [":path", target],
  ];
  for (const [name, value] of headers) {
    const lower = name.toLowerCase();
    if (lower !== "host") fields.push([lower, value]);
  }
  if (valuesOf(headers, "x-routing-key").length === 0) {
    fields.push(["x-routing-key", "acme"]);
  }
  if (body !== undefined && trailers.length === 0) {
    fields.push(["content-length", String(textOf(body).length)]);
  }
  return fields;
}

function statusOf(head: readonly Field[]): number {
  return Number(valuesOf(head, ":status")[0]);
}

function plain(head: readonly Field[]): Field[] {
  return head.filter(([name]) => !name.startsWith(":"));
}
