import { TestApp } from "../../../cp/app_fixture.ts";
import { CONNECT_PATH } from "../../../shared/protocol.ts";
import type { Head } from "../../../cp/store/store.ts";
import { apiCall, type Call } from "../inputs/calls.ts";
import {
  canonicalForm,
  type PlainConfig,
  plainConfig,
} from "../models/config_model.ts";
import { modelJson } from "../models/json_model.ts";
import { mergeModel, patchModel } from "../models/patch_model.ts";
import {
  type Checker,
  ensure,
  ensureSame,
  type Target,
  type Verdict,
} from "../target.ts";

/** An app takes in so many calls before a fresh one takes its place, so that its history stays short. */
const CALLS_PER_APP = 1000;
const AUTHORITY = "127.0.0.1:8081";

/** Any call of the API: 2xx or 4xx, nothing half done, and of edits of the whole config what a model makes of them. */
export const api: Target<Call> = {
  name: "api",
  weight: 80,
  make: apiCall,
  open: () => new ApiChecker(),
};

class ApiChecker implements Checker<Call> {
  #app: TestApp | null = null;
  #calls = 0;

  async check(call: Call): Promise<Verdict> {
    if (call.config === null) {
      await using empty = newApp();
      return await checkCall(empty, call);
    }
    if (this.#app === null || ++this.#calls > CALLS_PER_APP) {
      await this.close();
      this.#app = newApp();
      this.#calls = 0;
    }
    const app = this.#app;
    // The committed config is the call's; that of the call before it mostly is another one.
    const put = await app.call("PUT", "/v1/config", { body: call.config });
    ensureSame(put.status, 200, "The config to begin with");
    return await checkCall(app, call);
  }

  async close(): Promise<void> {
    await this.#app?.[Symbol.asyncDispose]();
    this.#app = null;
  }
}

function newApp(): TestApp {
  // A thread would only read what is read here just the same.
  return new TestApp({ bodies: { aboveBytes: Infinity } });
}

async function checkCall(app: TestApp, call: Call): Promise<Verdict> {
  const before = await app.store.newest();
  const { version } = before.head;
  const request = requestOf(call, version);
  if (request === null) return "refused";
  const response = await app.routes.app.fetch(request);
  const { status } = response;
  if (status < 200 || status >= 500) {
    ensure(false, `Status ${status}: ${await response.text()}`);
  }
  const type = response.headers.get("content-type") ?? "";
  if (type.startsWith("text/event-stream")) {
    await response.body?.cancel();
    return "accepted";
  }
  const text = await response.text();
  const after = await app.store.newest();
  const bare = request.method === "HEAD";
  if (status >= 400) {
    ensureSame(namesOf(after.head), namesOf(before.head), `After ${status}`);
    if (!bare) checkProblem(text, { status, type });
    checkExpected(call, { status, after: after.head });
    return "refused";
  }
  if (!type.startsWith("application/json") || bare) return "accepted";
  if (request.method !== "GET") {
    checkEdit(text, { call, before: before.head, after: after.head });
  } else checkReading(text, call);
  return "accepted";
}

/** Null where no client can send such a request. */
function requestOf(call: Call, version: number): Request | null {
  const filled = (text: string) => text.replaceAll("{current}", `${version}`);
  const path = filled(call.path);
  try {
    const headers = new Headers({ host: AUTHORITY });
    for (const [name, value] of call.headers) headers.set(name, filled(value));
    const request = new Request(`http://${AUTHORITY}/`, {
      method: call.method,
      headers,
      body: call.body === null || call.method === "GET" ||
          call.method === "HEAD"
        ? null
        : new TextEncoder().encode(call.body),
    });
    // The runtime's server leaves the path as it came, where the constructor would resolve it.
    const url = `http://${AUTHORITY}${path}`;
    Object.defineProperty(request, "url", { value: url });
    return request;
  } catch (error) {
    ensure(error instanceof TypeError, `${error}`);
    return null;
  }
}

function namesOf({ version, epoch, digest }: Head) {
  return { version, epoch, digest };
}

function checkProblem(
  text: string,
  { status, type }: { status: number; type: string },
): void {
  ensureSame(type, "application/problem+json", `The type of a ${status}`);
  const problem = JSON.parse(text);
  ensureSame(problem.status, status, "The status in the problem");
  ensure(/^urn:signalbox:problem:[a-z-]+$/.test(problem.type), problem.type);
  ensure(problem.title.length > 0 && problem.detail.length > 0, "No detail");
  for (const { pointer, detail } of problem.errors ?? []) {
    ensure(typeof pointer === "string" && detail.length > 0, "An empty error");
  }
  ensure((problem.errors ?? []).length <= 100, "Too many errors");
}

/** What an answer to an edit tells is what is in the store. */
function checkEdit(
  text: string,
  { call, before, after }: { call: Call; before: Head; after: Head },
): void {
  const answer = JSON.parse(text);
  if (!("changed" in answer)) return;
  ensureSame(answer.previous_version, before.version, "The previous version");
  if (answer.dry_run === true) {
    ensureSame(namesOf(after), namesOf(before), "After a dry run");
    ensureSame(answer.version, before.version, "The version of a dry run");
  } else {
    ensureSame(answer.version, after.version, "The version");
    ensureSame(answer.digest, after.digest, "The digest");
    ensureSame(answer.epoch, after.epoch, "The epoch");
    const changed = after.version !== before.version;
    ensureSame(answer.changed, changed, "Whether it changed");
    ensureSame(
      after.version - before.version,
      changed ? 1 : 0,
      "Versions made",
    );
  }
  const takeover = call.path.startsWith("/v1/takeover");
  if (!takeover) {
    ensureSame(answer.changed, answer.digest !== before.digest, "Changed");
    ensureSame(after.epoch, before.epoch, "The epoch after an edit");
  }
  const expected = expectedOf(call);
  if (expected === undefined) return;
  ensure(expected !== null, "An edit is taken that is not valid");
  ensureSame(answer.digest, canonicalForm(expected).digest, "What it makes");
}

/** A plain edit of the whole config is refused only if the model refuses it too. */
function checkExpected(
  call: Call,
  { status, after }: { status: number; after: Head },
): void {
  if (!call.plain) return;
  const expected = expectedOf(call);
  if (expected === undefined || expected === null) return;
  // How much a patch may copy is not in its RFC.
  if (status === 422 && call.body!.length > 1000) return;
  ensure(false, `A sound edit is answered ${status} at ${after.version}`);
}

/** What the committed config should be after an edit of all of it; null if it is not valid; undefined if it is no such edit. */
function expectedOf(call: Call): PlainConfig | null | undefined {
  const { method, body, config } = call;
  if (!/^\/v1\/config(?:\?|$)/.test(call.path) || body === null) {
    return undefined;
  }
  if (method !== "PUT" && method !== "PATCH") return undefined;
  const wellFormed = new TextDecoder().decode(new TextEncoder().encode(body));
  const document = modelJson(wellFormed);
  if (document === null || document.repeated.length > 0) return null;
  if (document.depth > 64) return null;
  if (method === "PUT") return plainConfig(document.value);
  const start = config === null ? new Map() : modelJson(config)!.value;
  const type = call.headers.find(([name]) => name === "content-type")?.[1];
  if (type !== "application/json-patch+json") {
    return plainConfig(mergeModel(start, document.value));
  }
  if (body.length > 20_000) return undefined;
  const patched = patchModel(start, document.value);
  return patched.kind === "value" ? plainConfig(patched.value) : null;
}

/** Lists and the whole config, beside the text that was committed. */
function checkReading(text: string, call: Call): void {
  if (call.config === null || call.path.startsWith(CONNECT_PATH)) return;
  const plain = plainConfig(modelJson(call.config)!.value)!;
  const answer = modelJson(text)!.value;
  ensure(answer instanceof Map, "An answer that is no object");
  const [path = "", query = ""] = call.path.split("?");
  if (path === "/v1/config") {
    const shown = plainConfig(answer.get("config") ?? null);
    ensure(shown !== null, "The config shown is not valid");
    ensureSame(
      canonicalForm(shown).digest,
      canonicalForm(plain).digest,
      "The config shown",
    );
  }
  if (path !== "/v1/customers" || answer.get("version") === undefined) return;
  const asked = new URLSearchParams(query);
  const sorted = [...plain.customers].sort(([a], [b]) => a < b ? -1 : 1);
  const after = asked.has("cursor") ? cursorOf(asked.get("cursor")!) : "";
  const limit = Number(asked.get("limit") ?? 100);
  const expected = sorted.filter(([customer, placement]) =>
    customer > after && customer.startsWith(asked.get("prefix") ?? "") &&
    (!asked.has("placement") || placement === asked.get("placement"))
  ).slice(0, limit).map(([customer, placement]) => `${customer} ${placement}`);
  const listed = answer.get("customers");
  ensure(Array.isArray(listed), "No list of customers");
  const shown = listed.map((entry) =>
    entry instanceof Map
      ? `${entry.get("customer")} ${entry.get("placement")}`
      : ""
  );
  ensureSame(shown, expected, "The customers listed");
}

function cursorOf(cursor: string): string {
  const text = atob(cursor.replaceAll("-", "+").replaceAll("_", "/"));
  return text.slice("customers:".length);
}
