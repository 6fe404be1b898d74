import { equal } from "node:assert/strict";
import { dataFolder, Program } from "../harness/program.ts";
import { until } from "../harness/until.ts";
import { WireFront } from "./front.ts";
import { PeerEndpoint } from "./peer.ts";
import { upstreamConnections } from "./process.ts";

/**
 * An endpoint's name is resolved anew for each new connection, so a change of its address is followed
 * without a change of config.
 *
 * The router gets a `/etc/hosts` of its own, in a mount namespace of its own: what the system's resolver
 * answers it can be changed while it runs, and nobody else sees that. Where the machine allows no such
 * namespace, or has no IPv6, this is not tested.
 */

const NAME = "cell.conformance.test";

const folder = await dataFolder();
const hosts = `${folder.path}/hosts`;
Deno.test.afterAll(async () => await folder[Symbol.asyncDispose]());

/** Makes the name mean these addresses. */
async function resolveTo(...addresses: string[]): Promise<void> {
  // In place: the file is what is mounted, not its name.
  await Deno.writeTextFile(
    hosts,
    addresses.map((address) => `${address} ${NAME}\n`).join(""),
  );
}

/** What runs a program with its own view of names. */
function wrapper(): string[] {
  const script = `mount --bind '${hosts}' /etc/hosts && exec "$@"`;
  return ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"];
}

async function canWrap(): Promise<boolean> {
  if (Deno.build.os !== "linux") return false;
  await resolveTo("127.0.0.1");
  const [program, ...args] = wrapper();
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    const { success } = await new Deno.Command(program!, {
      args: [...args, "true"],
      stderr: "null",
    }).output();
    return success;
  } catch {
    return false;
  }
}

/** A cell that answers its name. */
function cell(
  name: string,
  address: { hostname: string; port?: number },
): Promise<PeerEndpoint> {
  return PeerEndpoint.listen(async (peer) => {
    for (;;) {
      await peer.until("\r\n\r\n");
      await peer.send(
        `HTTP/1.1 200 OK\r\nContent-Length: ${name.length}\r\n\r\n${name}`,
      );
    }
  }, address);
}

Deno.test({
  name: "an endpoint's name is resolved anew for new connections",
  ignore: !await canWrap(),
  async fn() {
    await using first = await cell("first", { hostname: "127.0.0.1" });
    const { port } = first;
    await using second = await cell("second", { hostname: "::1", port });
    await resolveTo("127.0.0.1");
    await Deno.writeTextFile(
      `${folder.path}/bootstrap.json`,
      JSON.stringify({
        default_placement: "cell",
        customer_to_placement: {},
        placement_to_endpoint: { cell: `http://${NAME}:${port}` },
      }),
    );
    await using program = Program.start("router", {
      ROUTER_LISTEN: "127.0.0.1:0",
      ROUTER_ADMIN_LISTEN: "127.0.0.1:0",
      ROUTER_CP_URL: "",
      ROUTER_STATE_DIR: `${folder.path}/router`,
      ROUTER_BOOTSTRAP: `${folder.path}/bootstrap.json`,
    }, { within: wrapper() });
    const data = await program.line("listening", { listener: "data" });
    const admin = await program.line("listening", { listener: "admin" });
    const front = new WireFront(new URL(`http://${data.address}`));
    /** Asks; answers which cell was reached, or what was answered in its place. */
    const reached = async () => {
      const { status, body } = await front.exchange({});
      return status === 200 ? new TextDecoder().decode(body) : String(status);
    };
    const forgotten = () =>
      until("the kept connection to be gone", async () => {
        const router = { adminUrl: `http://${admin.address}` };
        const { idle } = await upstreamConnections(router);
        return idle === 0;
      });

    equal(await reached(), "first");
    await resolveTo("::1");
    equal(await reached(), "first", "a kept connection stays where it is");
    await first[Symbol.asyncDispose]();
    await forgotten();
    equal(await reached(), "second");
    await resolveTo();
    equal(await reached(), "second");
    for (const peer of second.peers) peer.close();
    await forgotten();
    equal(await reached(), "502", "nobody knows the name any more");
    // Of several addresses, those at which nobody listens are passed over.
    await resolveTo("127.0.0.1", "::1");
    equal(await reached(), "second");
  },
});
