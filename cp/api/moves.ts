import { MOVE_BODY } from "./bodies/moves_body.ts";
import type { LargeBodies } from "./bodies/large_bodies.ts";
import type { Edits } from "./edit.ts";

/** `/v1/moves`: many customers in one version. */
export function addMoveCalls(
  { edits, bodies, maxConfigBytes }: {
    edits: Edits;
    bodies: LargeBodies;
    maxConfigBytes: number;
  },
): void {
  edits.addOfBody({
    method: "post",
    path: "/v1/moves",
    summary: "Moves many customers in one version",
    body: bodies.spec("moves", {
      content: { "application/json": MOVE_BODY },
      maxBytes: maxConfigBytes,
    }),
    problems: [409],
  });
}
