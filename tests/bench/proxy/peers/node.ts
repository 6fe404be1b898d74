import { Child } from "../../child.ts";
import { commandOutput } from "../../command_output.ts";
import { printingPort } from "./listening.ts";
import { NotInstalled, type Peer, type Scene } from "./peer.ts";

/** What the peers on Node are made of. It stays out of this project's own dependencies. */
const PACKAGES = {
  "http-proxy-3": "2.0.1",
  "fastify": "5.12.8",
  "@fastify/http-proxy": "11.6.3",
};

let installation: Promise<string> | undefined;

/**
 * Installs the packages into the temporary folder, once.
 *
 * @throws {NotInstalled} if there is no Node, or no registry.
 */
function packagesFolder(scene: Scene): Promise<string> {
  return installation ??= install(scene);
}

async function install({ folder, signal }: Scene): Promise<string> {
  for (const command of ["node", "npm"]) {
    if (await commandOutput(command, ["--version"]) === undefined) {
      throw new NotInstalled(`${command} is not installed (nodejs.org)`);
    }
  }
  const packages = `${folder}/packages`;
  await Deno.mkdir(packages);
  await Deno.writeTextFile(
    `${packages}/package.json`,
    JSON.stringify({ private: true, dependencies: PACKAGES }),
  );
  await using npm = new Child("npm", {
    args: ["install", "--no-audit", "--no-fund", "--ignore-scripts"],
    cwd: packages,
    signal: AbortSignal.any([signal, AbortSignal.timeout(120_000)]),
  });
  try {
    await npm.succeeds();
  } catch (error) {
    signal.throwIfAborted();
    const code = /npm error code (.*)/.exec(npm.output)?.[1] ?? npm.output;
    throw new NotInstalled(`npm install failed, is there a registry? ${code}`, {
      cause: error,
    });
  }
  return packages;
}

function nodePeer(
  name: keyof typeof PACKAGES,
  options: { id: string; program: string },
): Peer {
  return {
    id: options.id,
    name,
    javaScript: true,
    async version(scene) {
      await packagesFolder(scene);
      const node = await commandOutput("node", ["--version"]);
      return `${PACKAGES[name]}, Node ${node?.trim().replace(/^v/, "")}`;
    },
    async start(scene) {
      return await printingPort(
        new Child("node", {
          args: [
            new URL(`../programs/${options.program}`, import.meta.url).pathname,
            scene.configFile,
            await packagesFolder(scene),
          ],
        }),
      );
    },
  };
}

export const httpProxy3 = nodePeer("http-proxy-3", {
  id: "http-proxy-3",
  program: "http_proxy_3.mjs",
});

export const fastifyHttpProxy = nodePeer("@fastify/http-proxy", {
  id: "fastify",
  program: "fastify_http_proxy.mjs",
});
