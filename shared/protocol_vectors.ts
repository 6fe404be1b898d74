/** The vectors beside PROTOCOL.md, as the tests of both ends read them; the document tells what each means. */

/** What a text message is to be read as. */
export type MessageVector =
  & { readonly text: string }
  & (
    | { readonly means: Readonly<Record<string, unknown>> }
    | { readonly unknown: string }
    | { readonly malformed: true }
  );

/** One step of a conversation between a control plane and a router that has just connected. */
export type ConversationStep =
  | { readonly text: string }
  /** In base64. */
  | { readonly binary: string }
  /** A binary message of so many zeros. */
  | { readonly zeros: number }
  | {
    readonly answer: Readonly<Record<string, unknown>>;
    readonly error_begins?: string;
  }
  | { readonly close: number };

export interface ProtocolVectors {
  readonly fnv1a: readonly {
    readonly name: string;
    readonly hash: number;
    readonly bucket: number;
  }[];
  readonly configs: readonly {
    readonly name: string;
    readonly text: string;
    readonly canonical: string;
    readonly digest: string;
    readonly buckets: readonly (readonly [customer: string, bucket: number])[];
  }[];
  readonly invalid_configs: readonly {
    readonly name: string;
    readonly text: string;
    /** Not there where the text is no JSON. */
    readonly pointers?: readonly string[];
    readonly more?: number;
    readonly error?: string;
  }[];
  readonly announcements: readonly (
    & { readonly query: string }
    & (
      | { readonly means: Readonly<Record<string, unknown>> }
      | { readonly wrong: readonly string[] }
    )
  )[];
  readonly handshakes: readonly {
    readonly name: string;
    readonly query: string;
    readonly headers: Readonly<Record<string, string | null>>;
    readonly status: number;
    readonly subprotocol?: string | null;
  }[];
  readonly to_router: readonly MessageVector[];
  readonly to_control_plane: readonly MessageVector[];
  readonly conversations: readonly {
    readonly name: string;
    readonly steps: readonly ConversationStep[];
  }[];
}

/** Reads the vectors. */
export async function readProtocolVectors(): Promise<ProtocolVectors> {
  return JSON.parse(
    await Deno.readTextFile(new URL("protocol_vectors.json", import.meta.url)),
  );
}
