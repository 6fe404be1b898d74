/**
 * The layer rule (README, "Layout"): `shared/` imports neither side, `cp/` and `router/` never import
 * each other, nothing imports `tests/`, and only the `main.ts` files touch the environment, signals
 * and exit. The programs under `tests/` are processes of their own and are free.
 */

const SIDES = ["cp", "router", "shared", "tests"] as const;
type Side = typeof SIDES[number];

const MAY_IMPORT: Record<Side, readonly Side[]> = {
  shared: ["shared"],
  cp: ["cp", "shared"],
  router: ["router", "shared"],
  tests: ["cp", "router", "shared", "tests"],
};

/** What of `Deno` belongs to whoever runs the process. */
const OF_THE_PROCESS = [
  "env",
  "exit",
  "exitCode",
  "addSignalListener",
  "removeSignalListener",
];

const root = new URL("../../", import.meta.url);

/** The folder below the root that a file is in, if it is one of the four. */
function sideOf(url: URL): Side | undefined {
  if (!url.href.startsWith(root.href)) return undefined;
  const [first] = url.href.slice(root.href.length).split("/");
  return SIDES.find((side) => side === first);
}

/** A file's name as a URL; tests of this rule give names relative to the root. */
function urlOf(filename: string): URL {
  return filename.startsWith("/")
    ? new URL(`file://${filename}`)
    : new URL(filename, root);
}

const plugin: Deno.lint.Plugin = {
  name: "signalbox",
  rules: {
    layers: {
      create(context) {
        const file = urlOf(context.filename);
        const side = sideOf(file);
        function check(source: Deno.lint.StringLiteral): void {
          if (side === undefined || !source.value.startsWith(".")) return;
          const target = sideOf(new URL(source.value, file));
          if (target !== undefined && MAY_IMPORT[side].includes(target)) return;
          context.report({
            node: source,
            message: `A file of ${side}/ may not import ${source.value}`,
            hint: `${side}/ may import from ${
              MAY_IMPORT[side].join("/, ")
            }/ only.`,
          });
        }
        return {
          ImportDeclaration: (node) => check(node.source),
          ExportAllDeclaration: (node) => check(node.source),
          ExportNamedDeclaration(node) {
            if (node.source) check(node.source);
          },
          ImportExpression(node) {
            if (
              node.source.type === "Literal" &&
              typeof node.source.value === "string"
            ) {
              check(node.source);
            }
          },
        };
      },
    },
    process: {
      create(context) {
        const file = urlOf(context.filename);
        const side = sideOf(file);
        const free = side === undefined || side === "tests" ||
          file.pathname.endsWith("/main.ts") ||
          file.pathname.endsWith("_test.ts");
        return {
          MemberExpression(node) {
            if (
              free || node.object.type !== "Identifier" ||
              node.object.name !== "Deno"
            ) return;
            if (node.property.type !== "Identifier") return;
            if (!OF_THE_PROCESS.includes(node.property.name)) return;
            context.report({
              node,
              message: `Only a main.ts may use Deno.${node.property.name}`,
              hint: "Pass what is needed in from there.",
            });
          },
        };
      },
    },
  },
};

export default plugin;
