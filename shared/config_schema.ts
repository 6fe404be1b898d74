import { MAX_CUSTOMERS, MAX_PLACEMENTS } from "./config.ts";
import { MAX_ENDPOINT_LENGTH } from "./endpoint.ts";

/** A name that may not be `.` or `..`. */
function named(pattern: string, description: string): object {
  return { type: "string", pattern, not: { enum: [".", ".."] }, description };
}

const CUSTOMER = named(
  "^[\\x21-\\x7e]{1,256}$",
  "A customer: 1 to 256 visible ASCII characters.",
);
const PLACEMENT = named(
  "^[A-Za-z0-9._-]{1,128}$",
  "A placement: 1 to 128 of A-Z a-z 0-9 . _ -",
);

/**
 * The rules of a config file (SPEC section 3) as a JSON Schema, for editors. It cannot say that placements must be there
 * that customers are assigned to, or all that an endpoint may not be; whoever applies a file checks that.
 */
export function configSchema(): object {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Signalbox config",
    description:
      "Which customer is in which placement, and where each placement is.",
    type: "object",
    required: [
      "default_placement",
      "customer_to_placement",
      "placement_to_endpoint",
    ],
    additionalProperties: false,
    properties: {
      $schema: {
        type: "string",
        description: "Where this schema is; taken out before the file is used.",
      },
      default_placement: {
        ...PLACEMENT,
        description:
          "Where everybody goes who is not assigned; a key of placement_to_endpoint.",
      },
      customer_to_placement: {
        type: "object",
        description: "Customer → placement.",
        propertyNames: CUSTOMER,
        additionalProperties: PLACEMENT,
        maxProperties: MAX_CUSTOMERS,
        examples: [{ acme: "tier1" }],
      },
      placement_to_endpoint: {
        type: "object",
        description: "Placement → endpoint.",
        propertyNames: PLACEMENT,
        additionalProperties: {
          type: "string",
          pattern: "^[hH][tT][tT][pP][sS]?://[^/?#@\\s]+(?:/[^?#\\s]*)?$",
          maxLength: MAX_ENDPOINT_LENGTH,
          description:
            "An absolute http: or https: URL with a host, an optional port and base path.",
          examples: ["http://10.0.1.1:9001"],
        },
        minProperties: 1,
        maxProperties: MAX_PLACEMENTS,
        examples: [{ tier1: "http://10.0.1.1:9001" }],
      },
    },
  };
}

/** The text of `config.schema.json` beside this file. */
export function configSchemaText(): string {
  return `${JSON.stringify(configSchema(), null, 2)}\n`;
}

if (import.meta.main) {
  await Deno.writeTextFile(
    new URL("config.schema.json", import.meta.url),
    configSchemaText(),
  );
}
