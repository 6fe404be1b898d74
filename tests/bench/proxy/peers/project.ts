const root = new URL("../../../../", import.meta.url);

/** The version of this project. */
export async function projectVersion(): Promise<string> {
  const text = await Deno.readTextFile(new URL("deno.json", root));
  return JSON.parse(text).version;
}

/** The version of an npm package that this project has locked. */
export async function lockedVersion(name: string): Promise<string> {
  const text = await Deno.readTextFile(new URL("deno.lock", root));
  const prefix = `${name}@`;
  const entry = Object.keys(JSON.parse(text).npm)
    .find((key) => key.startsWith(prefix));
  return entry?.slice(prefix.length) ?? "of unknown version";
}
