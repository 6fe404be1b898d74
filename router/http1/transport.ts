/**
 * A connection as the codec needs it. `Deno.TcpConn` is one as it stands; TLS is adapted to it.
 */
export interface Transport {
  /** Reads at least one byte into `buffer`; null when the peer has sent its last. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes some of `bytes` and answers how many; it keeps no reference to them afterwards. */
  write(bytes: Uint8Array): Promise<number>;
  /** Says that nothing more will be written (FIN). */
  closeWrite(): Promise<void>;
  /** Ends the connection at once; what is under way rejects. */
  close(): void;
}
