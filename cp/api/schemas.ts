import { z } from "@hono/zod-openapi";
import {
  customerName,
  endpointUrl,
  placementName,
  spanOfTime,
} from "./check.ts";
import { NEXT_CURSOR } from "./paging.ts";

const version = () =>
  z.int().openapi({ description: "0 while nothing is committed." });
const digest = () =>
  z.string().openapi({ description: "`sha256:` and 64 hex digits." });
const time = () => z.string().openapi({ format: "date-time" });

/** A config as clients send and get it. Bodies are checked by the rules of the config itself, which this describes. */
export const CONFIG = z.strictObject({
  default_placement: placementName(),
  customer_to_placement: z.record(z.string(), z.string()),
  placement_to_endpoint: z.record(z.string(), z.string()),
}).openapi("Config");

export const VERSION_INFO = z.strictObject({
  version: z.int(),
  epoch: z.string(),
  digest: digest(),
  created_at: time(),
  author: z.string().nullable(),
  message: z.string().nullable(),
  customers: z.int().openapi({ description: "How many are assigned." }),
  placements: z.int(),
  assertions: digest().nullable().openapi({
    description:
      "The digest of the rules that held when it was made; null where there were none.",
  }),
}).openapi("VersionInfo");

/** Not derived from VERSION_INFO: `version` and `config` name two things in one answer. */
export const VERSION = z.strictObject({
  ...VERSION_INFO.shape,
  config: CONFIG,
}).openapi("Version");

/** The rollout under way, where only its version matters. */
export const ROLLOUT_UNDER_WAY = z.strictObject({
  id: z.int(),
  before: z.int(),
  until: time(),
  canaries: z.array(z.string()),
}).nullable().openapi({
  description:
    "Where that version is for canaries only: all others are to serve the one before. Null otherwise.",
});

/** The committed config, which may be on trial. */
export const CURRENT = z.strictObject({
  ...VERSION_INFO.shape,
  confirm_by: time().nullable().openapi({
    description:
      "Until when it has to be confirmed, or what was before returns; null where it needs not be.",
  }),
  rollout: ROLLOUT_UNDER_WAY,
  config: CONFIG,
}).openapi("CurrentConfig");

export const SUMMARY = z.strictObject({
  customers_added: z.int(),
  customers_removed: z.int(),
  customers_moved: z.int(),
  placements_added: z.int(),
  placements_removed: z.int(),
  placements_changed: z.int(),
  default_changed: z.boolean(),
}).openapi("Summary");

const fromTo = {
  from: z.string().nullable(),
  to: z.string().nullable(),
};
const placementChanges = () =>
  z.array(z.strictObject({ placement: z.string(), ...fromTo }));
const customerChanges = () =>
  z.array(z.strictObject({ customer: z.string(), ...fromTo }));

const DIFF_FIELDS = {
  default_placement: z.strictObject(fromTo),
  placements: z.strictObject({
    added: placementChanges(),
    removed: placementChanges(),
    changed: placementChanges(),
  }),
  customers: z.strictObject({
    added: customerChanges(),
    removed: customerChanges(),
    moved: customerChanges(),
  }),
  next_cursor: NEXT_CURSOR,
};

/** A page of differences: placements first, then customers, each sorted by name. */
export const DIFF_SAMPLE = z.strictObject(DIFF_FIELDS).openapi("DiffSample");

export const DIFF = z.strictObject({
  from: version(),
  to: version(),
  summary: SUMMARY,
  ...DIFF_FIELDS,
}).openapi("Diff");

const OLD_WORK = {
  requests: z.int().openapi({ description: "Without those that stream." }),
  streams: z.int().openapi({ description: "Event streams and tunnels." }),
  oldest_seconds: z.number().openapi({
    description: "Since when the oldest of them has run.",
  }),
};

/** How far the routers are done with what a version would send elsewhere. */
const FENCE = z.strictObject({
  state: z.enum(["drained", "draining", "refused", "unknown", "superseded"])
    .openapi({
      description:
        "drained: no request runs anywhere that this version would send elsewhere. draining: some do, or a router has yet to answer. refused: waiting changes nothing, and some routers do not serve it. unknown: likewise, and some routers cannot prove that they are done. superseded: a newer version sends somebody back to where this one took them from, so that nothing is drained.",
    }),
  superseded_by: version().optional().openapi({
    description: "That newer version.",
  }),
  drained: z.int().openapi({ description: "How many routers have proven it." }),
  draining: z.array(
    z.strictObject({ id: z.string(), ...z.object(OLD_WORK).partial().shape }),
  ).openapi({
    description:
      "What runs where that would go elsewhere; without numbers where a router has yet to tell.",
  }),
  unknown: z.array(z.strictObject({
    id: z.string(),
    reason: z.enum([
      "disconnected",
      "not_durable",
      "cannot_tell",
      "roster_unread",
    ]).openapi({
      description:
        "disconnected: it may still run, on whatever it had. not_durable: it could come back with an older version. cannot_tell: it does not have the feature drained. roster_unread, of *: the store could not be asked which routers there are.",
    }),
  })),
});

export const ROLLOUT = z.strictObject({
  applied: z.int().openapi({
    description: "How many routers serve this version or a newer one.",
  }),
  rejected: z.array(z.strictObject({ id: z.string(), error: z.string() })),
  pending: z.array(z.string()),
  gone: z.array(z.string()),
  conflict: z.array(z.string()),
  ...FENCE.partial().shape,
  waited_ms: z.number(),
}).openapi("Rollout");

const COUNTED = z.strictObject({
  requests: z.int(),
  errors: z.int().openapi({
    description:
      "Those of them that were answered with a 5xx, or that the endpoint failed.",
  }),
}).nullable();

export const CANARY_STATE = z.enum([
  "pending",
  "applied",
  "rejected",
  "conflict",
  "restarted",
  "gone",
  "lost",
]);

export const STAGED_ROLLOUT = z.strictObject({
  id: z.int().openapi({ description: "The version that is rolled out." }),
  before: z.int().openapi({ description: "The version of all others." }),
  state: z.enum(["under_way", "promoted", "halted", "aborted"]).openapi({
    description:
      "promoted: all routers get it. halted: a canary did badly, and what was before is committed again. aborted: somebody took it back.",
  }),
  started_at: time(),
  until: time().openapi({
    description: "When it is promoted, if nothing speaks against it.",
  }),
  author: z.string().nullable(),
  max_errors: z.number().openapi({
    description: "By how much a canary's share of errors may rise, 0 to 1.",
  }),
  ended_at: time().nullable(),
  ended_by: z.string().nullable().openapi({
    description: "Null where it ended by itself, or who it was did not say.",
  }),
  reason: z.string().nullable().openapi({
    description: "Why it was taken back, as far as anybody said.",
  }),
  taken_back_by: z.int().nullable().openapi({
    description: "The version that has the contents of before again.",
  }),
  canaries: z.array(z.strictObject({
    id: z.string(),
    state: CANARY_STATE.nullable().openapi({
      description:
        "How it stands, or stood when the rollout ended; null where that was not known.",
    }),
    error: z.string().nullable(),
    counted: COUNTED.openapi({
      description:
        "Its requests since it was chosen, of the last minute at most; as of its end where the rollout is over. Null where it does not count.",
    }),
    before: COUNTED.openapi({
      description: "Those of the minute before it was chosen.",
    }),
  })),
}).openapi("StagedRollout");

export const HOLD_BODY = z.strictObject({
  for: spanOfTime().openapi({
    type: "string",
    description: "How long at most, up to 5m.",
    example: "10s",
  }),
  cut_streams: spanOfTime().optional().openapi({
    type: "string",
    description:
      "How long after it begins the customer's event streams and tunnels are ended.",
  }),
}).openapi("HoldBody");

export const HOLD = z.strictObject({
  id: z.string(),
  customers: z.array(customerName()),
  created_at: time(),
  until: time(),
  author: z.string().nullable(),
  state: z.enum(["drained", "draining", "pending", "unknown"]).openapi({
    description:
      "drained: every router holds, and nothing of the customers runs any more. draining: something does. pending: a router has yet to answer, or the store cannot be asked which routers there are. unknown: nothing is known to run, but some routers cannot hold, or are not connected.",
  }),
  holding: z.array(z.strictObject({
    id: z.string(),
    ...OLD_WORK,
    waiting: z.int().openapi({ description: "Requests that wait." }),
  })),
  pending: z.array(z.string()),
  cannot: z.array(z.string()).openapi({
    description: "Routers that do not have the feature hold.",
  }),
  gone: z.array(z.string()).openapi({
    description: "Routers that are not connected.",
  }),
}).openapi("Hold");

export const VERSION_ROLLOUT = z.strictObject({
  version: z.int(),
  epoch: z.string(),
  ...ROLLOUT.shape,
  ...FENCE.shape,
  staged: ROLLOUT_UNDER_WAY,
}).openapi("VersionRollout");

export const EDIT_ANSWER = z.strictObject({
  version: version(),
  previous_version: version(),
  changed: z.boolean(),
  epoch: z.string(),
  digest: digest(),
  summary: SUMMARY,
  rollout: ROLLOUT.optional(),
  confirm_by: time().optional().openapi({
    description:
      "With confirm_within: until when it has to be confirmed, or what was before returns.",
  }),
  staged: z.strictObject({
    canaries: z.array(z.string()),
    until: time(),
  }).optional().openapi({
    description:
      "With canary: who gets it first, and when it is promoted if nothing speaks against it; GET /v1/rollouts/{version} tells how it goes.",
  }),
  fenced: z.strictObject({
    proven: z.boolean().openapi({
      description:
        "Whether no request of these customers can have run on both sides, nor will after a router's restart: false with force where some routers did not hold, where a router does not have the move on its disk, and where somebody has released or moved them before all routers served the move.",
    }),
    held_ms: z.int().openapi({
      description: "From the hold to the last router that serves the move.",
    }),
    drained_ms: z.int().openapi({
      description: "From the hold to the end of what ran.",
    }),
    unheld: z.array(z.string()).openapi({
      description:
        "Routers that could not hold, were not connected, or could come back with the config before.",
    }),
  }).optional(),
  dry_run: z.literal(true).optional().openapi({
    description:
      "A dry run: version and previous_version are the committed one, digest is that of what would be.",
  }),
  diff: DIFF_SAMPLE.optional(),
  guard: z.strictObject({
    confirm: z.string().openapi({ description: "What to commit it with." }),
    customers_touched: z.int().openapi({
      description: "How many it moves or drops to the default.",
    }),
    customers: z.int().openapi({ description: "How many there are." }),
    placements_unreached: z.array(z.string()).openapi({
      description:
        "Placements that nobody would be sent to any more, because their customers were dropped or another placement is the default.",
    }),
  }).optional().openapi({
    description:
      "A dry run of an edit that changes much: it is 409 until it is repeated with confirm.",
  }),
}).openapi("EditAnswer");

export const PLACEMENT_BODY = z.strictObject({ endpoint: endpointUrl() })
  .openapi("PlacementBody");

export const PLACEMENT = z.strictObject({
  placement: placementName(),
  endpoint: z.string(),
  customers: z.int().openapi({ description: "How many are assigned to it." }),
  default: z.boolean(),
}).openapi("Placement");

export const ASSIGNMENT_BODY = z.strictObject({ placement: placementName() })
  .openapi("AssignmentBody");

export const ASSIGNMENT = z.strictObject({
  customer: customerName(),
  placement: placementName(),
}).openapi("Assignment");

export const ASSIGNMENT_CHANGE = z.strictObject({
  ...VERSION_INFO.shape,
  ...fromTo,
}).openapi("AssignmentChange");

export const PROPAGATION = z.strictObject({
  version: z.int(),
  epoch: z.string(),
  applied: z.int().openapi({
    description:
      "How many routers applied it; one that a newer version replaced on its way reaches few.",
  }),
  rejected: z.int(),
  p50_ms: z.number().nullable().openapi({
    description: "From the commit to the ack of half of them, in milliseconds.",
  }),
  p99_ms: z.number().nullable(),
  last_ms: z.number().nullable(),
}).openapi("Propagation");

export const ROUTER = z.strictObject({
  id: z.string(),
  instance: z.string().nullable(),
  address: z.string(),
  connected: z.boolean(),
  connected_since: time(),
  gone_since: time().nullable(),
  duplicate_id: z.boolean(),
  version: z.int().nullable(),
  epoch: z.string().nullable(),
  digest: z.string().nullable(),
  durable: z.boolean().nullable(),
  applied_at: time().nullable().openapi({
    description:
      "When it applied what it serves; null where that was before it connected.",
  }),
  old_work: z.strictObject(OLD_WORK).nullable().openapi({
    description:
      "What still runs on it that the version it serves would send elsewhere; null where it has not told.",
  }),
  status: z.enum([
    "current",
    "behind",
    "rejected",
    "unanswered",
    "too_large",
    "conflict",
    "gone",
  ]),
  error: z.string().nullable(),
  lag: z.strictObject({ versions: z.number(), seconds: z.number() }).nullable(),
  last_pong: time().nullable(),
  features: z.array(z.string()),
  control_plane: z.string(),
}).openapi("Router");
