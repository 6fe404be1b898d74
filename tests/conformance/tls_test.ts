import { deepEqual, equal, match, ok } from "node:assert/strict";
import { connect, type TLSSocket } from "node:tls";
import { TEST_CERT, TEST_KEY } from "../../router/upstream/testing.ts";
import { RawSocket } from "../../router/testing.ts";
import { dataFolder, Program } from "../harness/program.ts";
import { Router } from "../harness/router.ts";
import { until } from "../harness/until.ts";
import { conforms } from "./cases.ts";
import {
  AUTHORITY,
  CELL_CERT,
  CELL_KEY,
  EXPIRED_CERT,
  OTHER_NAME_CERT,
  RENEWED_CERT,
} from "./certificates.ts";
import { requestText } from "./front.ts";
import { takeAnswer } from "./messages.ts";
import type { H2Client } from "./h2_client.ts";
import { ask, H2Front } from "./h2_front.ts";
import { descriptorsOf, HAS_PROC, metricsOf } from "./process.ts";

/** TLS on both sides of the router: its own certificate, and those of endpoints. */

/** A router with files in a folder of its own; all are removed with it. */
class Scene implements AsyncDisposable {
  readonly router: Router;
  readonly folder: string;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    router: Router,
    folder: string,
    stack: AsyncDisposableStack,
  ) {
    this.router = router;
    this.folder = folder;
    this.#stack = stack;
  }

  /** `files` are named by what they hold; `{}` in a setting stands for the folder. */
  static async start(options: {
    placements: Record<string, string>;
    files?: Record<string, string>;
    env?: Record<string, string>;
  }): Promise<Scene> {
    const { placements, files = {}, env = {} } = options;
    await using stack = new AsyncDisposableStack();
    const folder = stack.use(await dataFolder()).path;
    const names = Object.keys(placements);
    const all = {
      ...files,
      "bootstrap.json": JSON.stringify({
        default_placement: names[0],
        customer_to_placement: Object.fromEntries(names.map((n) => [n, n])),
        placement_to_endpoint: placements,
      }),
    };
    for (const [name, text] of Object.entries(all)) {
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    const router = stack.use(
      await Router.start("tls", {
        folder,
        cpUrl: "",
        env: {
          ROUTER_BOOTSTRAP: `${folder}/bootstrap.json`,
          ...Object.fromEntries(
            Object.entries(env).map(([name, value]) => [
              name,
              value.replace("{}", folder),
            ]),
          ),
        },
      }),
    );
    return new Scene(router, folder, stack.move());
  }

  /** The port of a listener. */
  async port(listener: "data" | "h2"): Promise<number> {
    const { address } = await this.router.program.line("listening", {
      listener,
    });
    return Number(new URL(`https://${address}`).port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

const SECURE = {
  files: { "cert.pem": TEST_CERT, "key.pem": TEST_KEY },
  env: {
    ROUTER_TLS_CERT: "{}/cert.pem",
    ROUTER_TLS_KEY: "{}/key.pem",
    ROUTER_H2_LISTEN: "127.0.0.1:0",
  },
};

/** An endpoint that answers `ok`, behind this certificate. */
function endpoint(cert: string, key: string) {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, cert, key, onListen: () => {} },
    () => new Response("ok"),
  );
  return {
    port: server.addr.port,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Endpoints behind good and bad certificates, each a placement of its name. */
async function endpoints() {
  await using stack = new AsyncDisposableStack();
  const url = (cert: string, key = CELL_KEY, host = "localhost") =>
    `https://${host}:${stack.use(endpoint(cert, key)).port}`;
  const placements = {
    good: url(CELL_CERT),
    address: url(CELL_CERT, CELL_KEY, "127.0.0.1"),
    other: url(OTHER_NAME_CERT),
    expired: url(EXPIRED_CERT),
    unknown: url(TEST_CERT, TEST_KEY),
  };
  const moved = stack.move();
  return {
    placements,
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

/** The status for the customer on `placement`, and what the log says of it; empty if nothing. */
async function outcome(
  router: Router,
  placement: string,
): Promise<[status: number, error: string]> {
  const { status, text } = await router.ask(placement);
  ok(!/localhost|127\.0\.0\.1/.test(text), "no answer shows an address");
  if (status === 200) return [status, ""];
  const line = await router.program.line("request", { placement });
  deepEqual([line.status, line.error_kind], [502, "tls"]);
  return [status, String(line.error)];
}

conforms(
  "TLS: https endpoints are verified with ROUTER_CA; what is wrong is answered 502, and the log says why (RFC 9110 section 4.3.4)",
  async () => {
    await using cells = await endpoints();
    await using scene = await Scene.start({
      placements: cells.placements,
      files: { "ca.pem": AUTHORITY },
      env: { ROUTER_CA: "{}/ca.pem" },
    });
    const { router } = scene;
    for (const name of ["good", "address", "good"]) {
      deepEqual(await outcome(router, name), [200, ""]);
    }
    for (
      const [name, why] of [
        ["other", /ERR_TLS_CERT_ALTNAME_INVALID.*altnames: DNS:other\.example/],
        ["expired", /the certificate of CN=expired has expired.*2021/],
        ["unknown", /the issuer of .*CN=localhost.* is not trusted/],
      ] as const
    ) match((await outcome(router, name))[1], why);
  },
);

conforms(
  "TLS: https endpoints are verified with the system's roots, besides ROUTER_CA and without it",
  async () => {
    await using cells = await endpoints();
    const { good, unknown } = cells.placements;
    for (
      const [settings, trusted] of [
        [{}, []],
        [{ SSL_CERT_FILE: "{}/ca.pem" }, ["good"]],
        [{ SSL_CERT_FILE: "{}/ca.pem", ROUTER_CA: "{}/other.pem" }, [
          "good",
          "unknown",
        ]],
      ] as const
    ) {
      await using scene = await Scene.start({
        placements: { good, unknown },
        files: { "ca.pem": AUTHORITY, "other.pem": TEST_CERT },
        // The roots of this machine are not the matter.
        env: { SSL_CERT_DIR: "{}", ...settings },
      });
      for (const name of ["good", "unknown", "good", "unknown"]) {
        const known = (trusted as readonly string[]).includes(name);
        const [status, error] = await outcome(scene.router, name);
        equal(status, known ? 200 : 502, `${name}: ${error}`);
      }
    }
  },
);

Deno.test("a ROUTER_CA that cannot be used stops the start", async () => {
  await using folder = await dataFolder();
  const file = `${folder.path}/ca.pem`;
  for (
    const text of [null, "", "no certificate", AUTHORITY.replace("END", "")]
  ) {
    if (text !== null) await Deno.writeTextFile(file, text);
    await using program = Program.start("router", {
      ROUTER_LISTEN: "127.0.0.1:0",
      ROUTER_ADMIN_LISTEN: "127.0.0.1:0",
      ROUTER_CP_URL: "",
      ROUTER_STATE_DIR: `${folder.path}/r`,
      ROUTER_CA: file,
    });
    equal((await program.ended).code, 1);
    await program.line("a setting is wrong", { setting: "ROUTER_CA" });
  }
});

/** An encrypted connection, and the subject of the certificate it was shown. */
async function dial(
  port: number,
  alpn: string,
): Promise<{ socket: TLSSocket; subject: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const socket = connect({
    host: "127.0.0.1",
    port,
    servername: "localhost",
    ca: [AUTHORITY, TEST_CERT],
    ALPNProtocols: [alpn],
  }, () => resolve(socket));
  socket.once("error", reject);
  await promise;
  socket.off("error", reject);
  socket.on("error", () => {});
  return { socket, subject: String(socket.getPeerCertificate().subject.CN) };
}

async function subjectOn(port: number, alpn: string): Promise<string> {
  const { socket, subject } = await dial(port, alpn);
  socket.destroy();
  return subject;
}

conforms(
  "TLS: a new certificate is shown in new handshakes on both ports, connections go on, and a bad one changes nothing",
  async () => {
    await using cells = await endpoints();
    await using scene = await Scene.start({
      placements: { good: cells.placements.good },
      ...SECURE,
      files: { ...SECURE.files, "ca.pem": AUTHORITY },
      env: { ...SECURE.env, ROUTER_CA: "{}/ca.pem" },
    });
    const { program } = scene.router;
    const ports = [
      [await scene.port("data"), "http/1.1"],
      [await scene.port("h2"), "h2"],
    ] as const;
    const shown = () =>
      Promise.all(ports.map(([port, alpn]) => subjectOn(port, alpn)));
    deepEqual(await shown(), ["localhost", "localhost"]);

    await using kept = new RawSocket(
      await Deno.connectTls({
        hostname: "localhost",
        port: ports[0][0],
        caCerts: [TEST_CERT],
      }),
    );
    const asked = async () => {
      await kept.send(requestText({}));
      return (await takeAnswer(kept)).status;
    };
    equal(await asked(), 200);

    const write = (name: string, text: string) =>
      Deno.writeTextFile(`${scene.folder}/${name}`, text);
    await write("cert.pem", CELL_CERT);
    const refused = "the certificate cannot be renewed";
    const wrong = await until(
      "the bad pair to be told of",
      () =>
        program.log.find(({ message }) => String(message).startsWith(refused)),
    );
    equal(wrong.level, "error");
    match(String(wrong.error), /the key is not the certificate's/);
    deepEqual(await shown(), ["localhost", "localhost"]);

    await write("key.pem", CELL_KEY);
    const renewed = await program.line("certificate renewed");
    match(String(renewed.subject), /CN=cell/);
    match(String(renewed.not_after), /2120/);
    deepEqual(await shown(), ["cell", "cell"]);
    equal(await asked(), 200, "a connection with the old one goes on");

    await write("cert.pem", RENEWED_CERT);
    await until("the next", async () => (await shown())[1] === "renewed");
    deepEqual(await shown(), ["renewed", "renewed"]);
    const told = program.log.filter(({ message }) =>
      String(message).startsWith(refused)
    );
    equal(told.length, 1, "it is told once");
    equal((await program.stop()).code, 0);
  },
);

/** Runs `spend`, then waits until the router has as many descriptors open as before. */
async function givenBack(
  router: Router,
  spend: () => Promise<void>,
): Promise<void> {
  const { pid } = router.program;
  const before = await descriptorsOf(pid);
  await spend();
  await until("the descriptors to be given back", async () => {
    const now = await descriptorsOf(pid);
    if (now > before) throw new Error(`${now} are open, ${before} were`);
    return true;
  });
}

const IMPATIENT = {
  ROUTER_HEADER_TIMEOUT: "2s",
  ROUTER_IDLE_TIMEOUT: "2s",
  ROUTER_KEEPALIVE_TIMEOUT: "2s",
};

for (const [listener, alpn] of [["data", "http/1.1"], ["h2", "h2"]] as const) {
  Deno.test({
    name:
      `TLS: on the ${listener} port, whoever does not finish a handshake, or says nothing after it, is cut, and its descriptor is free`,
    ignore: !HAS_PROC,
    fn: async () => {
      await using scene = await Scene.start({
        placements: { cell: "http://127.0.0.1:9" },
        files: SECURE.files,
        env: { ...SECURE.env, ...IMPATIENT },
      });
      const port = await scene.port(listener);
      await subjectOn(port, alpn);
      await givenBack(scene.router, async () => {
        const silent = [];
        for (let i = 0; i < 20; i++) {
          const conn = await Deno.connect({ hostname: "127.0.0.1", port });
          // The beginning of a ClientHello, of which the rest does not come.
          if (i % 2 === 0) await conn.write(Uint8Array.of(22, 3, 1, 2, 0, 1));
          silent.push(new RawSocket(conn));
        }
        const idle = await dial(port, alpn);
        for (const socket of silent) await socket.rest();
        if (!idle.socket.closed) {
          idle.socket.resume();
          await new Promise((closed) => idle.socket.once("close", closed));
        }
        for (const socket of silent) socket.close();
      });
    },
  });
}

const STOPPED: Readonly<
  Record<
    string,
    ["data" | "h2", string, (port: number) => Promise<AsyncDisposable>]
  >
> = {
  "a client that stops reading": ["data", "http/1.1", deafOnHttp1],
  "a client of HTTP/2 that stops reading": [
    "h2",
    "h2",
    async (port) => asking(await new H2Front(port).connect("deaf")),
  ],
  "a client of HTTP/2 that allows no more of a stream": [
    "h2",
    "h2",
    async (port) => asking(await new H2Front(port).connect("paused")),
  ],
};

for (const [who, [listener, alpn, stopped]] of Object.entries(STOPPED)) {
  Deno.test({
    name: `TLS: ${who} is cut, and its descriptor is free`,
    ignore: !HAS_PROC,
    fn: async () => {
      const part = new Uint8Array(65_536);
      await using cell = Deno.serve(
        { hostname: "127.0.0.1", port: 0, onListen: () => {} },
        () =>
          new Response(
            new ReadableStream({
              pull: (controller) => controller.enqueue(part),
            }),
          ),
      );
      await using scene = await Scene.start({
        placements: { cell: `http://127.0.0.1:${cell.addr.port}` },
        files: SECURE.files,
        env: { ...SECURE.env, ...IMPATIENT },
      });
      const port = await scene.port(listener);
      await subjectOn(port, alpn);
      const metric = (name: string, value: number) =>
        until(
          `${name} to be ${value}`,
          async () =>
            (await metricsOf(scene.router)).get(`signalbox_router_${name}`) ===
              value,
        );
      // The connection that asks for metrics stays.
      await metric("connections", 0);
      await givenBack(scene.router, async () => {
        await using _ = await stopped(port);
        await metric("requests_in_flight", 1);
        await metric("requests_in_flight", 0);
        await metric("connections", 0);
      });
    },
  });
}

/** A client that asks, and reads nothing of the answer. */
async function deafOnHttp1(port: number): Promise<AsyncDisposable> {
  const conn = await Deno.connectTls({
    hostname: "localhost",
    port,
    caCerts: [TEST_CERT],
  });
  await conn.write(new TextEncoder().encode(requestText({})));
  return new RawSocket(conn);
}

async function asking(client: H2Client): Promise<H2Client> {
  await ask(client, {});
  return client;
}
