import { z } from "@hono/zod-openapi";
import {
  customerProblem,
  MAX_CUSTOMERS,
  Problems,
} from "../../../shared/config.ts";
import { type JsonDocument, pointer } from "../../../shared/json.ts";
import { checkBody, placementName } from "../check.ts";
import { placementMissing, withCustomers } from "../config_edit.ts";
import { Move } from "../move.ts";
import { emptyStore, invalid } from "../problem.ts";
import type { BodyEdit } from "./body_edits.ts";

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
}).superRefine(({ from, customers }, context) => {
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
  const { from, customers = [], to } = checkBody(MOVE_BODY, value);
  const move = from === undefined
    ? Move.of(customerNames(customers), to)
    : Move.all({ from, to });
  return {
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
