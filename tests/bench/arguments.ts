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
