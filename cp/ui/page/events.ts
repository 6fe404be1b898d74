import { send } from "./api.ts";

/** An event of the stream. */
export interface ServerEvent {
  readonly name: string;
  readonly data: string;
}

/**
 * The control plane says something every 15 s; a stream that is silent for longer than this has lost its peer
 * without hearing of it.
 */
const SILENCE_MS = 35_000;

/**
 * Reads `/v1/events` until it ends. `EventSource` could not send a token.
 *
 * @throws {ApiError} if the stream is refused.
 * @throws {TypeError} if there is no control plane, or it falls silent.
 */
export async function* readEvents(
  { opened }: { opened: () => void },
): AsyncGenerator<ServerEvent> {
  const ended = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  function heard(): void {
    clearTimeout(timer);
    timer = setTimeout(() => ended.abort(), SILENCE_MS);
  }
  heard();
  try {
    const { body } = await send("/v1/events", { signal: ended.signal });
    opened();
    const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
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
    clearTimeout(timer);
    ended.abort();
  }
}

/** One block of the stream; null where it is only a comment. */
function parse(block: string): ServerEvent | null {
  let name = "message";
  let data: string | null = null;
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*): ?(.*)$/.exec(line) ?? [];
    if (field === "event") name = value!;
    if (field === "data") data = data === null ? value! : `${data}\n${value}`;
  }
  return data === null ? null : { name, data };
}
