/** What is asked of every proxy, and how hard. */
export interface Case {
  readonly id: string;
  readonly title: string;
  /** The endpoint answers by this path. */
  readonly path: string;
  readonly method: "GET" | "POST";
  readonly connections: number;
  /** Bytes of the body of a request. */
  readonly sends: number;
  /** Bytes of the body of an answer. */
  readonly receives: number;
  /** WebSocket messages in place of requests. */
  readonly webSocket: boolean;
}

const MANY = 64;
/** Of 1 MiB answers 16 fill a core. */
const FEW = 16;

export const CASES: readonly Case[] = [
  get("1k", `1 KiB answers, ${MANY} connections`, 1024, MANY),
  get("64k", `64 KiB answers, ${MANY} connections`, 65_536, MANY),
  get(
    "1m",
    `1 MiB answers with Content-Length, ${FEW} connections`,
    2 ** 20,
    FEW,
  ),
  get(
    "1m-chunked",
    `1 MiB answers in chunks of 64 KiB, ${FEW} connections`,
    2 ** 20,
    FEW,
  ),
  {
    id: "post",
    title: `10 KiB POST bodies, ${MANY} connections`,
    path: "/post",
    method: "POST",
    connections: MANY,
    sends: 10_240,
    receives: 3,
    webSocket: false,
  },
  {
    id: "websocket",
    title:
      `WebSocket echo, 128-byte messages, one at a time on each of ${MANY} connections`,
    path: "/websocket",
    method: "GET",
    connections: MANY,
    sends: 128,
    receives: 128,
    webSocket: true,
  },
];

function get(
  id: string,
  title: string,
  receives: number,
  connections: number,
): Case {
  return {
    id,
    title,
    path: `/${id}`,
    method: "GET",
    connections,
    sends: 0,
    receives,
    webSocket: false,
  };
}
