import { z } from "@hono/zod-openapi";
import { destinationOf } from "../../shared/config.ts";
import { show } from "../../shared/json.ts";
import type { VersionStore } from "../store/store.ts";
import { customerName, placementName } from "./check.ts";
import { assignedSince, assignmentHistory } from "./assignment_history.ts";
import { MERGE_PATCH_TYPES, versionInfo } from "./config.ts";
import { assign, configToEdit, placementMissing } from "./config_edit.ts";
import { sortedCustomers } from "./customer_page.ts";
import type { Edits } from "./edit.ts";
import type { KeptVersions } from "./kept_versions.ts";
import { decodeCursor, encodeCursor, NEXT_CURSOR, PAGING } from "./paging.ts";
import { emptyStore, invalid, ProblemError } from "./problem.ts";
import { answer, json, NO_BODY, type Routes } from "./route.ts";
import { ASSIGNMENT, ASSIGNMENT_BODY, ASSIGNMENT_CHANGE } from "./schemas.ts";

const PATH = "/v1/customers/{customer}";
const CUSTOMER = z.object({ customer: customerName() });

/** `/v1/customers`: which customer is in which placement. */
export function addCustomerCalls(
  routes: Routes,
  { store, kept, edits }: {
    store: VersionStore;
    kept: KeptVersions;
    edits: Edits;
  },
): void {
  routes.add({
    method: "get",
    path: "/v1/customers",
    summary: "The assigned customers, sorted by name",
    query: z.strictObject({
      placement: placementName().optional(),
      prefix: customerName().optional().openapi({
        description: "Only customers that begin so.",
      }),
      since: z.enum(["true", "false"], { error: "must be true or false" })
        .optional().openapi({
          description:
            "With true: also the version since which each is where it is, which takes longer.",
        }),
      limit: PAGING.limit,
      cursor: PAGING.cursor,
    }),
    answers: {
      200: {
        description: "A page of them.",
        schema: z.strictObject({
          version: z.int(),
          customers: z.array(z.strictObject({
            ...ASSIGNMENT.shape,
            since: z.int().nullable().optional().openapi({
              description:
                "Null where that is longer ago than versions are kept.",
            }),
          })),
          next_cursor: NEXT_CURSOR,
        }).openapi("CustomerList"),
      },
    },
    problems: [503],
  }, async ({ query }) => {
    const { placement, prefix, limit, cursor } = query;
    const after = decodeCursor("customers", cursor);
    const current = await store.current();
    const customers: z.output<typeof ASSIGNMENT>[] = [];
    let next: string | null = null;
    if (current !== null) {
      const sorted = sortedCustomers(current.config.customers, {
        after,
        ...(prefix === undefined ? {} : { prefix }),
        ...(placement === undefined ? {} : { placement }),
      });
      for (const [customer, placement] of sorted) {
        if (customers.length === limit) {
          next = encodeCursor("customers", customers.at(-1)!.customer);
          break;
        }
        customers.push({ customer, placement });
      }
    }
    const since = query.since === "true"
      ? await kept.queue.run(() =>
        assignedSince(
          store,
          customers.map(({ customer }) => customer),
          customers.map(({ placement }) => placement),
        )
      )
      : null;
    return answer({
      version: current?.version ?? 0,
      customers: since === null
        ? customers
        : customers.map((each, index) => ({ ...each, since: since[index] })),
      next_cursor: next,
    });
  });

  routes.add({
    method: "get",
    path: PATH,
    summary: "Where one customer is; an unassigned one is in the default",
    params: CUSTOMER,
    query: z.strictObject({}),
    answers: {
      200: {
        description: "Its placement.",
        schema: z.strictObject({
          ...ASSIGNMENT.shape,
          assigned: z.boolean().openapi({
            description: "False: in the default placement, as not assigned.",
          }),
        }).openapi("CustomerAssignment"),
      },
    },
    problems: [404, 503],
  }, async ({ params: { customer } }) => {
    const current = await store.current();
    if (current === null) throw emptyStore("not-found");
    const { placement, reason } = destinationOf(current.config, customer);
    return answer({
      customer,
      placement,
      assigned: reason === "assigned",
    }, { headers: { etag: `"${current.version}"` } });
  });

  routes.add({
    method: "get",
    path: `${PATH}/history`,
    summary: "The versions that changed where a customer is, newest first",
    params: CUSTOMER,
    query: z.strictObject({ limit: PAGING.limit }),
    answers: {
      200: {
        description: "The newest of them, as far as versions are kept.",
        schema: z.strictObject({
          customer: customerName(),
          changes: z.array(ASSIGNMENT_CHANGE),
          looked_back_to: z.int().nullable().openapi({
            description:
              "The oldest version looked at; what was before is not known. Null while the store is empty.",
          }),
        }).openapi("CustomerHistory"),
      },
    },
    problems: [503],
  }, async ({ params: { customer }, query: { limit } }) => {
    const { changes, lookedBackTo } = await kept.queue.run(() =>
      assignmentHistory(store, customer, limit)
    );
    return answer({
      customer,
      changes: changes.map((change) => ({
        ...versionInfo(change),
        from: change.from,
        to: change.to,
      })),
      looked_back_to: lookedBackTo,
    });
  });

  for (
    const { method, types } of [
      { method: "put", types: ["application/json"] },
      { method: "patch", types: MERGE_PATCH_TYPES },
    ] as const
  ) {
    edits.add({
      method,
      path: PATH,
      summary: "Assigns a customer to a placement",
      params: CUSTOMER,
      body: json(ASSIGNMENT_BODY, { types }),
      problems: [409],
    }, ({ params: { customer }, body: { placement } }) => (current) => {
      const config = configToEdit(current);
      const missing = placementMissing(config, { placement, at: "placement" });
      if (missing.length > 0) throw invalid(missing, { subject: "The body" });
      return assign(config, { customer, placement });
    });
  }

  edits.add({
    method: "delete",
    path: PATH,
    summary: "Takes a customer's assignment away: it is in the default then",
    params: CUSTOMER,
    body: NO_BODY,
    problems: [404, 409],
  }, ({ params: { customer } }) => (current) => {
    const config = configToEdit(current);
    if (config.customers.get(customer) === undefined) {
      throw new ProblemError(
        "not-found",
        `Customer ${show(customer)} is not assigned; it is in the default ${
          show(config.defaultPlacement)
        } already.`,
      );
    }
    return assign(config, { customer, placement: null });
  });
}
