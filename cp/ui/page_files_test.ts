import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type PageFile, readPage } from "./page_files.ts";

async function textOf({ body }: PageFile): Promise<string> {
  return typeof body === "string" ? body : await body();
}

Deno.test("readPage() serves everything that its files ask for, and nothing from elsewhere", async () => {
  const { files } = await readPage();
  const index = await textOf(files.get("/")!);
  const importMap = JSON.parse(
    /<script type="importmap">(.*?)<\/script>/s.exec(index)![1]!,
  );
  const asked = [...index.matchAll(/(?:href|src)="([^"]+)"/g)].map((m) => m[1]);
  for (const [path, file] of files) {
    const body = await textOf(file);
    assert.ok(body.length > 100, path);
    // Swagger UI is one script, with texts in it that look like imports.
    if (
      !file.type.startsWith("text/javascript") || /swagger/.test(path)
    ) continue;
    for (const [, specifier] of body.matchAll(/\bfrom\s*"([^"]+)"/g)) {
      asked.push(
        importMap.imports[specifier!] ??
          new URL(specifier!, `http://page${path}`).pathname,
      );
    }
  }
  assert.ok(asked.length > 30, String(asked.length));
  assert.deepEqual(asked.filter((path) => !files.has(path!)), []);
});

Deno.test("readPage() serves scripts without types, and no tests", async () => {
  const { files } = await readPage();
  for (const [path, file] of files) {
    if (!path.endsWith(".ts")) continue;
    assert.doesNotMatch(path, /_test/);
    assert.doesNotMatch(
      await textOf(file),
      /\binterface \w+ \{|\bimport type\b/,
      path,
    );
  }
});

Deno.test("readPage() allows the one script that stands in the page by its hash, and no other", async () => {
  const { files, contentSecurityPolicy } = await readPage();
  const inline = [
    ...(await textOf(files.get("/")!)).matchAll(
      /<script[^>]*>([^<]+)<\/script>/g,
    ),
  ];
  assert.equal(inline.length, 1);
  const hash = createHash("sha256").update(inline[0]![1]!).digest("base64");
  assert.match(contentSecurityPolicy, /^default-src 'none'; /);
  assert.ok(
    contentSecurityPolicy.includes(`script-src 'self' 'sha256-${hash}';`),
    contentSecurityPolicy,
  );
  assert.doesNotMatch(contentSecurityPolicy, /unsafe|\*|https?:/);
});
