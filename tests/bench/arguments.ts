/** The items a comma list names, in their own order. @throws {TypeError} naming one that is none of them. */
export function chosen<T extends { id: string }>(
  all: readonly T[],
  list: string,
): T[] {
  const ids = list.split(",");
  const unknown = ids.find((id) => !all.some((item) => item.id === id));
  if (unknown !== undefined) {
    throw new TypeError(
      `Cannot choose ${JSON.stringify(unknown)}: it is none of ${
        all.map(({ id }) => id).join(", ")
      }`,
    );
  }
  return all.filter(({ id }) => ids.includes(id));
}

/** A whole number of an argument, from 1 to `most`. @throws {TypeError} naming the argument. */
export function count(arg: string, value: string, most = 9999): number {
  if (!/^[1-9][0-9]{0,8}$/.test(value) || Number(value) > most) {
    throw new TypeError(
      `Cannot read ${arg}: it needs a whole number from 1 to ${most}`,
    );
  }
  return Number(value);
}

/**
 * Reads arguments of the form `--name=value`, or `--name value`.
 *
 * @param readers what takes each argument's value, by its name.
 * @throws {TypeError} naming an argument that has no reader; readers throw their own.
 */
export function readArguments(
  args: readonly string[],
  readers: Readonly<Record<string, (value: string, arg: string) => void>>,
): void {
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    const [name = "", given] = arg.split("=", 2);
    if (!Object.hasOwn(readers, name)) {
      throw new TypeError(`Cannot read ${arg}: there is no such option`);
    }
    const apart = given === undefined && args[i + 1]?.startsWith("--") === false
      ? args[++i]
      : undefined;
    readers[name]!(given ?? apart ?? "", arg);
  }
}

/** The options of a command line; one that cannot be read ends the program, saying why. */
export function optionsOrEnd<Options>(
  parse: (args: readonly string[]) => Options,
): Options {
  try {
    return parse(Deno.args);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(error.message);
    Deno.exit(2);
  }
}
