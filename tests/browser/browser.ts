import { type Browser, chromium } from "playwright-core";

/** Where Debian's package puts it. */
const CHROMIUM = "/usr/bin/chromium";

/**
 * Starts Chromium, in which every name that ends in `.example` leads to this machine, as names of an attacker may.
 *
 * @throws {Error} that says how to install it, if it is missing.
 */
export async function startBrowser(): Promise<Browser> {
  try {
    await Deno.stat(CHROMIUM);
  } catch (cause) {
    throw new Error(
      `Cannot start a browser: ${CHROMIUM} is missing (apt-get install chromium)`,
      { cause },
    );
  }
  return await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--host-resolver-rules=MAP *.example 127.0.0.1",
      // The newest browsers ask before a page reaches this machine; ours has to hold in all the others.
      "--disable-features=LocalNetworkAccessChecks",
      // Root, who runs CI, may not use the sandbox.
      ...(Deno.uid() === 0 ? ["--no-sandbox"] : []),
    ],
  });
}

/** A site of somebody else's: one page, on a port of its own. */
export interface Site extends AsyncDisposable {
  readonly port: number;
}

/** Serves a page. */
export function serveSite(html: string): Site {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response(html, { headers: { "content-type": "text/html" } }),
  );
  return {
    port: server.addr.port,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
