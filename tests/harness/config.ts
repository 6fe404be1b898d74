/** A config as the API takes it. */
export interface ConfigBody {
  default_placement: string;
  customer_to_placement: Record<string, string>;
  placement_to_endpoint: Record<string, string>;
}

/** A config over these endpoints: `acme` on the first placement, everybody else on the last. */
export function configOf(
  cells: Iterable<{ name: string; endpoint: string }>,
): ConfigBody {
  const list = [...cells];
  return {
    default_placement: list.at(-1)!.name,
    customer_to_placement: { acme: list[0]!.name },
    placement_to_endpoint: Object.fromEntries(
      list.map(({ name, endpoint }) => [name, endpoint]),
    ),
  };
}
