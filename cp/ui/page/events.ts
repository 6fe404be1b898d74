import { send } from "./api.ts";
import { readServerEvents, type ServerEvent } from "./sse.ts";

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
    yield* readServerEvents(body!, heard);
  } finally {
    clearTimeout(timer);
    ended.abort();
  }
}
