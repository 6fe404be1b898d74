import { z } from "@hono/zod-openapi";
import {
  type Config,
  customerProblem,
  MAX_CUSTOMERS,
  Problems,
} from "../../../shared/config.ts";
import { type JsonDocument, pointer } from "../../../shared/json.ts";
import { MAX_HELD_CUSTOMERS } from "../../../shared/protocol.ts";
import { checkBody, placementName, spanOfTime } from "../check.ts";
import { placementMissing, withCustomers } from "../config_edit.ts";
import { Move } from "../move.ts";
import { emptyStore, invalid } from "../problem.ts";
import type { BodyEdit } from "./body_edits.ts";

const DEFAULT_WITHIN_MS = 10_000;

export const MOVE_BODY = z.strictObject({
  from: placementName().optional().openapi({
    description: "All customers assigned to this placement.",
  }),
  // Its items are checked by a loop of their own: a million of them are too many for a schema.
  customers: z.custom<unknown[]>(
    Array.isArray,
    "The field customers must be a list of customers.",
  ).optional().openapi({
    type: "array",
    items: { type: "string" },
    maxItems: MAX_CUSTOMERS,
    description: "These customers; those not assigned become assigned.",
  }),
  to: placementName(),
  fenced: z.boolean().optional().openapi({
    description:
      "With true it never serves both sides: new requests of these customers wait until what runs is over and all routers serve the move. At most 100 customers.",
  }),
  within: spanOfTime().optional().openapi({
    type: "string",
    description:
      "With fenced: how long what runs may take to end, at most 4m52s; then everything is as before.",
    default: "10s",
  }),
  cut_streams: spanOfTime().optional().openapi({
    type: "string",
    description:
      "With fenced: how long event streams and tunnels of these customers may go on; without, they are waited for.",
  }),
  force: z.boolean().optional().openapi({
    description:
      "With fenced: goes on without routers that cannot hold, or are not connected.",
  }),
}).superRefine((body, context) => {
  const { from, customers, fenced } = body;
  for (const name of ["within", "cut_streams", "force"] as const) {
    if (fenced || body[name] === undefined) continue;
    context.addIssue({
      code: "custom",
      path: [name],
      message:
        `The field ${name} says how a move is fenced, and there is no "fenced": true.`,
    });
  }
  if ((from === undefined) === (customers === undefined)) {
    context.addIssue({
      code: "custom",
      message:
        "A move is of all customers of a placement (from) or of a list of customers (customers): one of the two must be given.",
    });
  }
}).openapi("MoveBody");

/** Reads which customers to move, and where to. */
export function readMovesBody({ value }: JsonDocument): BodyEdit {
  const body = checkBody(MOVE_BODY, value);
  const { from, customers = [], to } = body;
  const names = customerNames(customers);
  const move = from === undefined ? Move.of(names, to) : Move.all({ from, to });
  return {
    ...(body.fenced !== true ? {} : {
      fence: (current: Config | null) => ({
        customers: movedCustomers(current, { from, names, to }),
        withinMs: body.within ?? DEFAULT_WITHIN_MS,
        cutStreamsMs: body.cut_streams ?? null,
        force: body.force ?? false,
      }),
    }),
    async prepare(current) {
      if (current !== null) await move.prepare(current.customers);
    },
    make(current) {
      if (current === null) throw emptyStore("conflict");
      const missing = placementMissing(current, { placement: to, at: "to" });
      if (from !== undefined) {
        missing.push(
          ...placementMissing(current, { placement: from, at: "from" }),
        );
      }
      if (missing.length > 0) throw invalid(missing, { subject: "The move" });
      return withCustomers(current, move.apply(current.customers));
    },
  };
}

/**
 * Who would move.
 *
 * @throws {ProblemError} `invalid` if they are more than can be held.
 */
function movedCustomers(
  current: Config | null,
  { from, names, to }: {
    from: string | undefined;
    names: readonly string[];
    to: string;
  },
): string[] {
  if (current === null) return [];
  const moved: string[] = [];
  const candidates = from === undefined
    ? names.map((name) => [name, current.customers.get(name)] as const)
    : current.customers.entries();
  for (const [name, placement] of candidates) {
    if (placement === to || (from !== undefined && placement !== from)) {
      continue;
    }
    moved.push(name);
    if (moved.length > MAX_HELD_CUSTOMERS) {
      throw invalid([{
        pointer: "/fenced",
        detail:
          `A fenced move holds the requests of at most ${MAX_HELD_CUSTOMERS} customers, and this one moves more.`,
      }]);
    }
  }
  return [...new Set(moved)];
}

function customerNames(customers: readonly unknown[]): string[] {
  const problems = new Problems();
  const names: string[] = [];
  for (const [index, name] of customers.entries()) {
    const problem = customerProblem(name);
    if (problem !== null) problems.add(pointer("/customers", index), problem);
    else names.push(String(name));
  }
  if (problems.any) {
    throw invalid(problems.list, { more: problems.more, subject: "The move" });
  }
  return names;
}
