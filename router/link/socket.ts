import type { MessageLimits } from "./frames.ts";

/** A connection to a control plane, as the link uses it; what it is made of is {@linkcode Connect}'s business. */
export interface LinkSocket {
  /** Sends a text message; after a close, or before the connection is open, it does nothing. */
  send(text: string): void;
  /** Begins the closing handshake; a peer may leave it unanswered for ever. */
  close(code: number, reason: string): void;
  /** Lets go of everything at once; no handler is called any more. */
  destroy(): void;
  /** Stops reading after the message being handled. What has come is kept, what has not stays with the peer. */
  pause(): void;
  resume(): void;
}

/** What a connection tells. */
export interface SocketHandlers {
  /** The handshake is done; the subprotocol the server chose, or null. */
  open(protocol: string | null): void;
  /** Bytes came, whether or not they make a message whole. */
  heard(): void;
  /** A text message; `bytes` is its size as it came. */
  text(text: string, bytes: number): void;
  binary(data: Uint8Array): void;
  /** The peer broke the WebSocket protocol, or a size limit. */
  broken(reason: string, tooLarge: boolean): void;
  /** The peer closes; `closed` follows, unless the peer never lets go. */
  closing(code: number, reason: string): void;
  /** The connection is gone, or was refused. Called at most once. */
  closed(code: number, reason: string): void;
}

/** Opens a connection; never throws, a failure is told by `closed`. */
export type Connect = (
  url: string,
  options: {
    /** The subprotocol to offer. */
    protocol: string;
    /** Sent as a bearer token; null for none. */
    token: string | null;
    limits: MessageLimits;
  },
  handlers: SocketHandlers,
) => LinkSocket;
