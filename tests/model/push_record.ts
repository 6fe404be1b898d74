/** A push that was begun on a connection, as a spectator of the wire knows it. */
export interface PushRecord {
  readonly version: number;
  readonly epoch: string;
  readonly digest: string;
  /** Bytes of it that have not been sent. */
  left: number;
  /** When its last byte was sent. */
  sentAt: number;
  /** Whether the control plane has heard the answer. */
  answered: boolean;
}
