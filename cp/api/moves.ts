import { z } from "@hono/zod-openapi";
import {
  customerProblem,
  MAX_CUSTOMERS,
  Problems,
} from "../../shared/config.ts";
import { pointer } from "../../shared/json.ts";
import type { VersionStore } from "../store/store.ts";
import { placementName } from "./check.ts";
import {
  configToEdit,
  placementMissing,
  withCustomers,
} from "./config_edit.ts";
import type { Edits } from "./edit.ts";
import { Move } from "./move.ts";
import { invalid } from "./problem.ts";
import { json } from "./route.ts";

const MOVE_BODY = z.strictObject({
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

/** `/v1/moves`: many customers in one version. */
export function addMoveCalls(
  { store, edits, maxConfigBytes }: {
    store: VersionStore;
    edits: Edits;
    maxConfigBytes: number;
  },
): void {
  edits.add({
    method: "post",
    path: "/v1/moves",
    summary: "Moves many customers in one version",
    body: json(MOVE_BODY, { maxBytes: maxConfigBytes }),
    problems: [409],
  }, async ({ body: { from, customers = [], to } }) => {
    const move = from === undefined
      ? await Move.of(customerNames(customers), to)
      : Move.all({ from, to });
    const current = await store.current();
    if (current !== null) await move.prepare(current.config.customers);
    return {
      edit: (current) => {
        const config = configToEdit(current);
        const missing = placementMissing(config, { placement: to, at: "to" });
        if (from !== undefined) {
          missing.push(
            ...placementMissing(config, { placement: from, at: "from" }),
          );
        }
        if (missing.length > 0) throw invalid(missing, { subject: "The move" });
        return withCustomers(config, move.apply(config.customers));
      },
    };
  });
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
