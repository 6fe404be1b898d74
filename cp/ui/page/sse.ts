/** An event of the stream. */
export interface ServerEvent {
  /** Null where it has none. */
  readonly id: string | null;
  readonly name: string;
  readonly data: string;
}

/**
 * Reads server-sent events.
 *
 * @param heard told of everything that comes, also of what is no event.
 */
export async function* readServerEvents(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  heard: () => void = () => {},
): AsyncGenerator<ServerEvent> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  try {
    let pending = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      pending += value;
      const blocks = pending.split("\n\n");
      pending = blocks.pop()!;
      for (const block of blocks) {
        const event = parse(block);
        if (event !== null) yield event;
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** One block of the stream; null where it is only a comment. */
function parse(block: string): ServerEvent | null {
  let id: string | null = null;
  let name = "message";
  let data: string | null = null;
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*): ?(.*)$/.exec(line) ?? [];
    if (field === "id") id = value!;
    if (field === "event") name = value!;
    if (field === "data") data = data === null ? value! : `${data}\n${value}`;
  }
  return data === null ? null : { id, name, data };
}
