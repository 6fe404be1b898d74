/** A path with names in it, whatever characters they have. */
export function path(
  strings: TemplateStringsArray,
  ...names: (string | number)[]
): string {
  return strings.reduce((before, text, index) =>
    before + encodeURIComponent(names[index - 1]!) + text
  );
}
