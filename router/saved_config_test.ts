import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import fc from "fast-check";
import { parseConfigText } from "../shared/config.ts";
import { packConfig, type PackedConfig } from "./config/packed_config.ts";
import { SavedConfigs } from "./saved_config.ts";

const NEWEST = "last_known_good";
const PREVIOUS = "last_known_good.previous";

class Directory implements AsyncDisposable {
  readonly path = Deno.makeTempDirSync();

  file(name: string): string {
    return join(this.path, name);
  }

  async names(): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of Deno.readDir(this.path)) names.push(name);
    return names.sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

function config(
  customers: Record<string, string> = { acme: "a" },
): PackedConfig {
  const result = parseConfigText(JSON.stringify({
    customer_to_placement: customers,
    default_placement: "a",
    placement_to_endpoint: { a: "http://127.0.0.1:1" },
  }));
  assert.ok(result.ok);
  return packConfig(result.config);
}

async function save(
  directory: Directory,
  version: number,
  content = config(),
): Promise<void> {
  const head = { version, epoch: "e", digest: content.digest };
  assert.ok(await new SavedConfigs(directory.path).save(head, content));
}

Deno.test("SavedConfigs.read() answers null where nothing was saved", async () => {
  await using directory = new Directory();
  assert.equal(await new SavedConfigs(directory.path).read(), null);
  assert.equal(await new SavedConfigs(directory.file("none")).read(), null);
});

Deno.test("SavedConfigs.read() answers what was saved last, whatever its names", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.stringMatching(/^[\x21-\x7e]{2,40}$/), { maxLength: 30 }),
      fc.constantFrom("e", null),
      async (names, epoch) => {
        await using directory = new Directory();
        const customers = Object.fromEntries(
          [...names, "__proto__", "constructor"].map((name) => [name, "a"]),
        );
        const saved = new SavedConfigs(directory.file("deep/er"));
        const content = config(customers);
        const head = { version: 7, epoch, digest: content.digest };
        assert.ok(await saved.save(head, content));
        const read = await new SavedConfigs(directory.file("deep/er")).read();
        assert.ok(read !== null);
        const { packed, ...rest } = read;
        assert.deepEqual(rest, head);
        assert.equal(packed.digest, head.digest);
        assert.deepEqual(packed.text, content.text);
      },
    ),
    { numRuns: 20 },
  );
});

Deno.test("SavedConfigs.save() keeps the one before it, and nothing else", async () => {
  await using directory = new Directory();
  for (const version of [1, 2, 3]) await save(directory, version);
  assert.deepEqual(await directory.names(), [NEWEST, PREVIOUS]);
  await Deno.remove(directory.file(NEWEST));
  assert.equal((await new SavedConfigs(directory.path).read())?.version, 2);
});

Deno.test("SavedConfigs.save() takes no harm from what a crash left over", async () => {
  await using directory = new Directory();
  await save(directory, 1);
  await Deno.writeTextFile(
    directory.file("last_known_good.new"),
    "x".repeat(9999),
  );
  assert.equal((await new SavedConfigs(directory.path).read())?.version, 1);
  await save(directory, 2);
  assert.equal((await new SavedConfigs(directory.path).read())?.version, 2);
});

/** The file with another head, whose checksum is right. */
function withHead(
  text: string,
  change: (head: Record<string, unknown>) => void,
): string {
  const [line, , ...rest] = text.split("\n");
  const head = JSON.parse(line!);
  change(head);
  const changed = JSON.stringify(head);
  const check = createHash("sha256").update(changed).digest("hex");
  return [changed, `sha256:${check}`, ...rest].join("\n");
}

for (
  const { name, damage } of [
    { name: "empty", damage: () => "" },
    { name: "cut in its head", damage: (text: string) => text.slice(0, 20) },
    { name: "cut in its config", damage: (text: string) => text.slice(0, -20) },
    { name: "zeros", damage: (text: string) => "\0".repeat(text.length) },
    { name: "no text", damage: () => "\u{fffd}\n\n\n" },
    {
      name: "of a version that was tampered with",
      damage: (text: string) => text.replace('"version":2', '"version":9'),
    },
    {
      name: "of another customer's placement",
      damage: (text: string) => text.replace('"acme"', '"acmf"'),
    },
    {
      name: "of another format version",
      damage: (text: string) => withHead(text, (head) => head.format = 2),
    },
    {
      name: "of a version that is text",
      damage: (text: string) => withHead(text, (head) => head.version = "2"),
    },
    {
      name: "of version 0",
      damage: (text: string) => withHead(text, (head) => head.version = 0),
    },
    {
      name: "of an epoch that is a number",
      damage: (text: string) => withHead(text, (head) => head.epoch = 1),
    },
    {
      name: "of no digest",
      damage: (text: string) => withHead(text, (head) => delete head.digest),
    },
    {
      name: "JSON, but no object",
      damage: (text: string) => {
        const check = createHash("sha256").update("[]").digest("hex");
        return ["[]", `sha256:${check}`, ...text.split("\n").slice(2)].join(
          "\n",
        );
      },
    },
  ]
) {
  Deno.test(`SavedConfigs.read() sets a file aside that is ${name}, and reads the one before`, async () => {
    await using directory = new Directory();
    await save(directory, 1);
    await save(directory, 2);
    const text = await Deno.readTextFile(directory.file(NEWEST));
    assert.notEqual(damage(text), text);
    await Deno.writeTextFile(directory.file(NEWEST), damage(text));
    const saved = new SavedConfigs(directory.path);
    const read = await saved.read();
    assert.equal(read?.version, 1);
    await saved.suspects.end(read);
    assert.deepEqual(
      await directory.names(),
      [`${NEWEST}.damaged-1`, PREVIOUS].sort(),
    );
  });
}

Deno.test("SavedConfigs.read() sets a config aside that the router died of twice, and reads the one before", async () => {
  await using directory = new Directory();
  await save(directory, 1, config({ acme: "a", visa: "a" }));
  await save(directory, 2);
  // Each reads it, and ends before it is served.
  for (let death = 1; death <= 2; death++) {
    const read = await new SavedConfigs(directory.path).read();
    assert.equal(read?.version, 2, `death ${death}`);
  }
  const saved = new SavedConfigs(directory.path);
  assert.equal((await saved.read())?.version, 1);
  assert.equal(saved.newest?.version, 1);
  assert.deepEqual(
    await directory.names(),
    ["applying", PREVIOUS, `${NEWEST}.suspect-1`],
  );
  // The next one takes the place of the newest, and of the suspect.
  await save(directory, 3);
  await saved.suspects.clear();
  assert.equal((await new SavedConfigs(directory.path).read())?.version, 3);
});

Deno.test("SavedConfigs.read() condemns no config that was served between two deaths", async () => {
  await using directory = new Directory();
  await save(directory, 1);
  for (let start = 0; start < 4; start++) {
    const saved = new SavedConfigs(directory.path);
    const read = await saved.read();
    assert.equal(read?.version, 1);
    // Every other start is killed before it is served.
    if (start % 2 === 1) await saved.suspects.end(read);
  }
});

Deno.test("SavedConfigs.read() takes no file for sound that has a bit flipped, unless it says the same", async () => {
  await using directory = new Directory();
  await save(directory, 2);
  const sound = await Deno.readFile(directory.file(NEWEST));
  for (let at = 0; at < sound.length; at++) {
    const bytes = sound.slice();
    bytes[at]! ^= 1 << (at % 8);
    await Deno.writeFile(directory.file(NEWEST), bytes);
    const read = await new SavedConfigs(directory.path).read();
    if (read !== null) {
      // White space at the end of the file, say.
      assert.equal(read.version, 2);
      assert.equal(read.packed.digest, config().digest);
    }
  }
});

Deno.test("SavedConfigs.read() sets a directory in its place aside", async () => {
  await using directory = new Directory();
  await Deno.mkdir(directory.file(`${NEWEST}/full`), { recursive: true });
  assert.equal(await new SavedConfigs(directory.path).read(), null);
  assert.deepEqual(await directory.names(), [`${NEWEST}.damaged-1`]);
  await save(directory, 1);
  assert.equal((await new SavedConfigs(directory.path).read())?.version, 1);
});

Deno.test("SavedConfigs.read() keeps at most five damaged files", async () => {
  await using directory = new Directory();
  for (let i = 0; i < 8; i++) {
    await Deno.writeTextFile(directory.file(NEWEST), `damage ${i}`);
    assert.equal(await new SavedConfigs(directory.path).read(), null);
  }
  const names = await directory.names();
  assert.equal(names.length, 5);
  assert.equal(
    await Deno.readTextFile(directory.file(`${NEWEST}.damaged-5`)),
    "damage 7",
  );
});

Deno.test("SavedConfigs.read() says what it cannot read instead of failing", async () => {
  await using directory = new Directory();
  // A link in a circle can be neither followed nor read, also not by root. (The runtime's own call
  // wants the whole disk for that.)
  const args = ["-s", NEWEST, directory.file(NEWEST)];
  await new Deno.Command("ln", { args }).output();
  assert.equal(await new SavedConfigs(directory.path).read(), null);
});

Deno.test("SavedConfigs.save() answers false where it cannot write, and counts it", async () => {
  await using directory = new Directory();
  await Deno.writeTextFile(directory.file("file"), "");
  const saved = new SavedConfigs(directory.file("file/below"));
  const content = config();
  const head = { version: 1, epoch: "e", digest: content.digest };
  assert.equal(await saved.save(head, content), false);
  assert.equal(saved.failures, 1);
  assert.equal(saved.newest, null);
});

Deno.test("SavedConfigs.save() writes one at a time and, of those that wait, the newest", async () => {
  await using directory = new Directory();
  const saved = new SavedConfigs(directory.path);
  const content = config();
  const { digest } = content;
  const answers = await Promise.all(
    [1, 2, 3, 4].map((version) =>
      saved.save({ version, epoch: "e", digest }, content)
    ),
  );
  assert.deepEqual(answers, [true, false, false, true]);
  assert.equal((await new SavedConfigs(directory.path).read())?.version, 4);
  assert.equal(saved.newest?.version, 4);
});

Deno.test("SavedConfigs.save() does not wait for ever for a disk", async () => {
  await using directory = new Directory();
  // Opening a pipe nobody reads hangs as a sick disk does.
  const pipe = directory.file("last_known_good.new");
  await new Deno.Command("mkfifo", { args: [pipe] }).output();
  const saved = new SavedConfigs(directory.path, { timeoutMs: 20 });
  const content = config();
  const head = { version: 1, epoch: "e", digest: content.digest };
  assert.equal(await saved.save(head, content), false);
  assert.equal(saved.failures, 1);
  // The disk is well again: the write that hung ends, and the next one succeeds.
  const reader = await Deno.open(pipe);
  for await (const _ of reader.readable);
  await Deno.remove(pipe);
  while (!await saved.save(head, content));
  assert.equal((await new SavedConfigs(directory.path).read())?.version, 1);
});

Deno.test("SavedConfigs.save() tells of a config that reaches the disk too late", async () => {
  await using directory = new Directory();
  const told = Promise.withResolvers<number>();
  const saved = new SavedConfigs(directory.path, {
    timeoutMs: 0,
    savedLate: ({ version }) => told.resolve(version),
  });
  const content = config();
  const { digest } = content;
  // No disk is faster than no time; should one be, the next save is tried.
  let version = 1;
  while (await saved.save({ version, epoch: "e", digest }, content)) version++;
  assert.equal(await told.promise, version);
  assert.equal(saved.newest?.version, version);
});
