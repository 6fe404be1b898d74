import type { ProblemKind } from "../shared/errors.ts";
import type { RequestHead } from "./http1/request_head.ts";

/** Where requests name their customer. */
export type RoutingKeySource =
  /** In a field, such as `x-routing-key`. */
  | { readonly kind: "header"; readonly name: string }
  /** In the host: one label before `suffix`, which begins with a dot, as in `.example.com`. */
  | { readonly kind: "host"; readonly suffix: string };

/** A request that is HTTP, and cannot be routed all the same. Answered with status 400; with 508 if it goes in circles. */
export class RequestError extends Error {
  override name = "RequestError";
  readonly kind: ProblemKind;

  constructor(message: string, kind: ProblemKind) {
    super(message);
    this.kind = kind;
  }
}

/**
 * Builds the function that reads a request's routing key. It throws a {@linkcode RequestError} if there is
 * none, more than one, or one that no config could hold.
 *
 * @throws {TypeError} if the source is a host suffix without a dot at its beginning.
 */
export function routingKeyReader(
  source: RoutingKeySource,
): (head: RequestHead) => string {
  switch (source.kind) {
    case "header":
      return (head) => headerKey(head, source.name);
    case "host": {
      const suffix = source.suffix.toLowerCase();
      if (!/^\.[a-z0-9._-]+$/.test(suffix)) {
        throw new TypeError(
          `Cannot read routing keys before the host suffix ${
            JSON.stringify(source.suffix)
          }: it is not a dot and a domain`,
        );
      }
      return (head) => hostKey(head.host, suffix);
    }
    default:
      return source satisfies never;
  }
}

function headerKey(head: RequestHead, name: string): string {
  const { key, keys } = head;
  if (keys > 1) {
    throw new RequestError(
      `Cannot route a request with ${keys} ${name} fields: it takes exactly one`,
      "bad-request",
    );
  }
  if (key === "") {
    throw new RequestError(
      `Cannot route a request without a routing key: the ${name} field names the customer`,
      "no-routing-key",
    );
  }
  if (!/^[\x21-\x7e]{1,256}$/.test(key) || key === "." || key === "..") {
    throw new RequestError(
      `Cannot route by a key that is not 1 to 256 visible ASCII characters, or is \`.\` or \`..\``,
      "bad-request",
    );
  }
  return key;
}

function hostKey(host: string, suffix: string): string {
  const colon = host.lastIndexOf(":");
  const name = (colon < 0 || host.endsWith("]") ? host : host.slice(0, colon))
    .toLowerCase();
  const label = name.slice(0, -suffix.length);
  if (
    !name.endsWith(suffix) || !/^[!$&'()*+,;=%a-z0-9_~-]{1,63}$/.test(label)
  ) {
    throw new RequestError(
      `Cannot route by a host that is not one label and ${suffix}`,
      "no-routing-key",
    );
  }
  return label;
}
