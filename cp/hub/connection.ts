import type { Announcement } from "../../shared/protocol.ts";
import type { Verdict } from "./conflict.ts";
import type { Outlet, Transfer } from "./pacer.ts";
import type { OpenSession, Session } from "./session.ts";

/** All the hub sees of a router's socket. */
export interface RouterSocket extends Outlet {
  /** Never throws, also where the peer has gone. */
  send(data: string | Uint8Array): void;
  /** Begins to close; the peer may never answer. Never throws. */
  close(code: number, reason: string): void;
}

/** What a router tells, and where from, when it connects. */
export interface Caller {
  readonly announcement: Announcement;
  /** The remote address. */
  readonly address: string;
  /** Whether it takes a config in parts: it offered the subprotocol. */
  readonly parts: boolean;
}

/** What the adapter of a socket tells the hub; none of it throws. */
export interface Link {
  /** A text message has come. */
  text(data: string): void;
  /** A binary message has come, which no router may send. */
  binary(): void;
  /** The socket has closed, whoever closed it. */
  closed(): void;
}

/** A place for one connection, taken before its handshake. Exactly one of the two is to be called. */
export interface Admission {
  /** The connection is open: the router is served from now on. */
  connect(socket: RouterSocket, caller: Caller): Link;
  /** The handshake failed. */
  cancel(): void;
}

/** One router's connection, from its opening to its end: who it is, and where its session stands. */
export interface Connection {
  readonly id: string;
  /** False where the id was made up here: such a router is never stored. */
  readonly named: boolean;
  readonly instance: string | null;
  readonly address: string;
  readonly features: readonly string[];
  readonly parts: boolean;
  /** RFC 3339. */
  readonly since: string;
  readonly socket: RouterSocket;
  readonly transfer: Transfer;
  session: Session;
  /** Null until it has been judged. */
  verdict: Exclude<Verdict, { kind: "lookup" }> | null;
  /** Whether the head was read strongly since the router last told something new. */
  confirmed: boolean;
  /** The orders that it was told on this connection: ids of holds, and names of cuts. */
  readonly ordered: Set<string>;
  /** What is worth telling once is told once a connection; a conflict once each time it begins. */
  readonly told: Set<"unknown" | "unsolicited" | "conflict">;
}

/** The session's state; once it has ended itself, the last it had. */
export function stateOf(connection: Connection): OpenSession {
  const { session } = connection;
  return session.kind === "open" ? session : session.last;
}
