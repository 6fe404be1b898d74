import { deepEqual, equal, ok } from "node:assert/strict";
import { ControlPlane } from "../harness/control_plane.ts";
import { dataFolder } from "../harness/program.ts";

/** The pages about running the programs name only what there is, and every line of the log that needs somebody. */

const root = new URL("../../", import.meta.url);

type Side = "cp" | "router";
const SIDES: readonly Side[] = ["cp", "router"];

async function read(path: string): Promise<string> {
  return await Deno.readTextFile(new URL(path, root));
}

const pages: Record<Side, string> = {
  cp: await read("cp/README.md"),
  router: await read("router/README.md"),
};

/** The sources below a folder, without tests and what is for tests alone. */
async function sources(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (
    const { name, isDirectory } of Deno.readDir(new URL(folder, root))
  ) {
    if (isDirectory) found.push(...await sources(`${folder}${name}/`));
    else if (/\.ts$/.test(name) && !/_test\.ts$/.test(name)) {
      found.push(await read(`${folder}${name}`));
    }
  }
  return found;
}

const code = {
  cp: (await sources("cp/")).join("\n"),
  router: (await sources("router/")).join("\n"),
  shared: (await sources("shared/")).join("\n"),
};

function matches(text: string, pattern: RegExp): string[] {
  return [...new Set([...text.matchAll(pattern)].map(([, name]) => name!))]
    .sort();
}

/** How a line of the log that needs somebody begins in the code; what follows is its message. */
const CALL =
  /(?:[lL]og|logger\("log"\))(?:\s*\.(?:warn|error)|\[[^\]]*"warn"[^\]]*\])\(\s*/
    .source;

/** Messages that are logged by way of a variable, and from how many places; the code has to hold them like this. */
const BY_VARIABLE: Record<
  Side,
  { readonly messages: readonly string[]; readonly calls: number }
> = {
  cp: {
    messages: [
      "the store cannot be read; trying again",
      "the store's head cannot be read; trying again",
      "the digest of a version cannot be read; trying again",
      "the watch of the store failed; beginning anew",
    ],
    calls: 4,
  },
  router: { messages: [], calls: 0 },
};

for (const side of SIDES) {
  Deno.test(`the page about running ${side} tells of every warning and error of its log, and of no other`, () => {
    const all = `${code[side]}\n${code.shared}`;
    const { messages, calls } = BY_VARIABLE[side];
    const byVariable = all.match(
      new RegExp(`${CALL}(?!literal\\()[^"\\s]`, "g"),
    );
    equal(byVariable?.length ?? 0, calls, byVariable?.join("\n"));
    for (const message of messages) {
      ok(code[side].includes(`"${message}"`), message);
    }
    const literal = matches(all, new RegExp(`${CALL}"([^"]*)"`, "g"));
    deepEqual(
      matches(pages[side], /^\| (?:error|warning|both) +\| `([^`]+)`/gm),
      [...literal, ...messages].sort(),
    );
  });

  Deno.test(`the page about running ${side} names only settings, metrics and paths that there are`, async () => {
    const settings = matches(
      await read("cp/settings.ts") + await read("router/settings.ts"),
      /^ {2}((?:CP|ROUTER)_[A-Z0-9_]+):/gm,
    );
    for (const name of matches(pages[side], /`((?:CP|ROUTER)_[A-Z0-9_]+)/g)) {
      ok(settings.includes(name), name);
    }
    const all = code.cp + code.router + code.shared;
    for (const name of matches(pages[side], /(signalbox_[a-z_]+)/g)) {
      ok(all.includes(`"${name}"`), name);
    }
    await using folder = await dataFolder();
    await using controlPlane = await ControlPlane.start(folder.path);
    const { body } = await controlPlane.call("GET", "/openapi.json");
    const paths = matches(
      pages[side],
      /(?:`|GET |DELETE |POST |http:\/\/127\.0\.0\.1:[0-9]+)(\/[a-z0-9/{}]+)/g,
    );
    ok(paths.length > 3);
    for (const path of paths) {
      ok(path in body.paths || all.includes(`"${path}"`), path);
    }
  });

  Deno.test(`the page about running ${side} links to what there is`, async () => {
    for (const link of matches(pages[side], /\]\(([^)]+)\)/g)) {
      const [path, anchor] = link.split("#");
      const file = path === "" ? `${side}/README.md` : `${side}/${path}`;
      const text = await read(file);
      if (anchor === undefined) continue;
      const anchors = matches(text, /^#+ (.+)$/gm).map((heading) =>
        heading.toLowerCase().replaceAll(/[^a-z0-9 -]/g, "").replaceAll(
          " ",
          "-",
        )
      );
      ok(anchors.includes(anchor), link);
    }
  });
}
