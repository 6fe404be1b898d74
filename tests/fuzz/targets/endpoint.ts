import { endpointProblem, parseEndpoint } from "../../../shared/endpoint.ts";
import { endpointUrl } from "../inputs/config.ts";
import { mutate } from "../mutate.ts";
import { ensure, ensureSame, target, type Verdict } from "../target.ts";

const TOKENS = [
  "http://",
  "https:",
  "@",
  "?",
  "#",
  "\\",
  "/..",
  "/%2e%2E/",
  ":0",
  ":65536",
  ":",
  "[",
  "]",
  "[::1]",
  "0x7f.1",
  "1.2.3.4.5",
  "%41",
  "xn--a",
];

/** Endpoints beside the platform's own reader of URLs. */
export const endpoint = target({
  name: "endpoint",
  weight: 40,
  make(random) {
    const url = endpointUrl(random);
    const sound = random.once(3);
    return {
      url: sound ? url : mutate(random, url, { tokens: TOKENS }),
      sound,
    };
  },
  check({ url, sound }): Verdict {
    const problem = endpointProblem(url);
    if (problem !== null) {
      ensure(!sound, `A sound endpoint is refused: it ${problem}`);
      let thrown: unknown = null;
      try {
        parseEndpoint(url);
      } catch (error) {
        thrown = error;
      }
      ensure(thrown instanceof TypeError, "parseEndpoint() takes it");
      return "refused";
    }
    const parsed = parseEndpoint(url);
    ensure(URL.canParse(url), "The platform does not take it");
    const model = new URL(url);
    ensureSame(model.username + model.password, "", "User info");
    ensureSame(model.search + model.hash, "", "Query and fragment");
    ensureSame(parsed.tls, model.protocol === "https:", "Whether it is TLS");
    ensure(model.protocol === "https:" || model.protocol === "http:", "Scheme");
    const port = Number(model.port) || (parsed.tls ? 443 : 80);
    ensureSame(parsed.port, port, "The port");
    ensure(port > 0 && port < 65536, `Port ${port}`);
    ensure(/^[\x21-\x7e]+$/.test(parsed.hostname), "The host is no text");
    ensure(!/[[\]@/?#\\]/.test(parsed.hostname), "The host is more than that");
    // The same host; the platform writes addresses in another form.
    const host = parsed.hostname.includes(":")
      ? `[${parsed.hostname}]`
      : parsed.hostname;
    ensureSame(new URL(`http://${host}/`).hostname, model.hostname, "The host");
    // The base path goes on as it stands: nothing in it may be resolved away.
    ensureSame(
      parsed.basePath,
      url.slice(pathAt(url)).replace(/\/$/, ""),
      "Path",
    );
    ensure(parsed.basePath === "" || parsed.basePath.startsWith("/"), "Path");
    const below = new URL(`http://a${parsed.basePath}/x`).pathname;
    ensureSame(below, `${parsed.basePath}/x`, "What is below it");
    return "accepted";
  },
  show: ({ url }) => url,
});

function pathAt(url: string): number {
  const slash = url.indexOf("/", url.indexOf("//") + 2);
  return slash < 0 ? url.length : slash;
}
