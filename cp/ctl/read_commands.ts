import type {
  Assignment,
  AssignmentChange,
  ConfigBody,
  Diff,
  Placement,
  RolloutUnderWay,
  Router,
  StagedRollout,
  VersionInfo,
} from "../api/answers.ts";
import { summaryText } from "../ui/page/summary.ts";
import { count, moment, rolloutText } from "../ui/page/text.ts";
import { Client } from "./client.ts";
import { path } from "../ui/page/path.ts";
import { type ConfigFormat, formatOf, writeConfigFile } from "./config_file.ts";
import { type Context, writeDiff } from "./edit.ts";
import { CommandError, EXIT, type ExitCode } from "./exit.ts";
import { pause } from "./fleet_commands.ts";
import { writeTable } from "./table.ts";
import { styled, type Terminal } from "./terminal.ts";

/** Writes a config, or one version's, to a file or to standard output. */
export async function exportConfig(
  { client, terminal }: Context,
  options: {
    file?: string;
    format?: ConfigFormat;
    at?: number;
    write: (file: string, text: string) => Promise<void>;
  },
): Promise<ExitCode> {
  const { file, at } = options;
  const answer = await client.call<{ version: number; config: ConfigBody }>(
    at === undefined ? "/v1/config" : path`/v1/versions/${at}`,
  );
  const format = options.format ?? formatOf(file ?? "") ?? "json";
  const text = writeConfigFile(answer.config, format);
  if (file === undefined) terminal.out(text.trimEnd());
  else {
    await options.write(file, text);
    terminal.err(`Version ${answer.version} is in ${file}.`);
  }
  return EXIT.done;
}

/** Lists assigned customers. */
export async function listCustomers(
  { client, terminal, json }: Context,
  options: { placement?: string; prefix?: string; limit?: number },
): Promise<ExitCode> {
  const { placement, prefix, limit = Infinity } = options;
  const customers = await client.list<Assignment>(
    "/v1/customers",
    "customers",
    { query: { placement, prefix }, limit },
  );
  if (json) terminal.out(JSON.stringify(customers, null, 2));
  else {
    writeTable(
      terminal,
      ["CUSTOMER", "PLACEMENT"],
      customers.map(({ customer, placement }) => [customer, placement]),
    );
  }
  return EXIT.done;
}

/** Shows one customer: where it is, since when, and where it was. */
export async function getCustomer(
  { client, terminal, json }: Context,
  customer: string,
): Promise<ExitCode> {
  const [now, history] = await Promise.all([
    client.call<Assignment & { assigned: boolean }>(
      path`/v1/customers/${customer}`,
    ),
    client.call<{ changes: AssignmentChange[]; looked_back_to: number | null }>(
      path`/v1/customers/${customer}/history`,
    ),
  ]);
  if (json) {
    terminal.out(JSON.stringify({ ...now, ...history }, null, 2));
    return EXIT.done;
  }
  const [newest] = history.changes;
  terminal.out(
    `${customer} is in ${styled(terminal, "bold", now.placement)}${
      now.assigned ? "" : ", the default: it is not assigned"
    }${
      newest === undefined
        ? ""
        : `, since version ${newest.version} (${moment(newest.created_at)})`
    }.`,
  );
  if (history.changes.length > 0) {
    terminal.out("");
    writeTable(
      terminal,
      ["VERSION", "WHEN", "FROM", "TO", "AUTHOR", "MESSAGE"],
      history.changes.map((change) => [
        String(change.version),
        moment(change.created_at),
        change.from ?? "-",
        change.to ?? "-",
        change.author ?? "-",
        change.message ?? "",
      ]),
    );
  }
  return EXIT.done;
}

/** Lists the placements. */
export async function listPlacements(
  { client, terminal, json }: Context,
): Promise<ExitCode> {
  const placements = await client.list<Placement>(
    "/v1/placements",
    "placements",
  );
  if (json) terminal.out(JSON.stringify(placements, null, 2));
  else {
    writeTable(
      terminal,
      ["PLACEMENT", "CUSTOMERS", "DEFAULT", "ENDPOINT"],
      placements.map((placement) => [
        placement.placement,
        count(placement.customers),
        placement.default ? "yes" : "",
        placement.endpoint,
      ]),
    );
  }
  return EXIT.done;
}

/** Shows one router with all that is known of it. */
export async function getRouter(
  { client, terminal, json }: Context,
  id: string,
): Promise<ExitCode> {
  const router = await client.call<Router & { others: Router[] }>(
    path`/v1/routers/${id}`,
  );
  if (json) terminal.out(JSON.stringify(router, null, 2));
  else {
    const { others, ...facts } = router;
    for (const [name, value] of Object.entries(facts)) {
      const text = typeof value === "object" && value !== null
        ? JSON.stringify(value)
        : String(value ?? "-");
      terminal.out(`${name.padEnd(16)} ${text}`);
    }
    if (others.length > 0) {
      terminal.out(
        styled(
          terminal,
          "yellow",
          `${others.length} more with this id are connected; --json shows them.`,
        ),
      );
    }
  }
  return EXIT.done;
}

interface Explanation {
  readonly placement: string | null;
  readonly endpoint: string | null;
  readonly reason: string | null;
  readonly version: number | null;
  /** Of a control plane: null or absent unless that version is for canaries only. */
  readonly rollout?: RolloutUnderWay;
}

/** Where a customer's requests go, at the control plane and at routers; 1 if they do not agree. */
export async function explain(
  { client, terminal, json }: Context,
  customer: string,
  { routers }: { routers: readonly string[] },
): Promise<ExitCode> {
  const query = { customer };
  const here = await client.call<Explanation>("/v1/explain", { query });
  const answers: { at: string; answer: Explanation }[] = [
    { at: "control plane", answer: here },
  ];
  for (const url of routers) {
    const answer = await Client.ofRouter(url).call<Explanation>("/explain", {
      query,
    });
    answers.push({ at: url, answer });
  }
  const differ = answers.filter(({ answer }) =>
    answer.placement !== here.placement
  );
  if (json) {
    terminal.out(JSON.stringify(
      {
        customer,
        answers: answers.map(({ at, answer }) => ({ at, ...answer })),
      },
      null,
      2,
    ));
  } else {
    writeTable(
      terminal,
      ["AT", "PLACEMENT", "REASON", "VERSION", "ENDPOINT"],
      answers.map(({ at, answer }) => [
        at,
        answer.placement ?? "-",
        answer.reason ?? "-",
        String(answer.version ?? "-"),
        answer.endpoint ?? "-",
      ]),
    );
    if (here.rollout != null) {
      const { id, before, canaries } = here.rollout;
      terminal.out(styled(
        terminal,
        "yellow",
        `Version ${id} is for ${
          canaries.join(", ")
        } only; all other routers are to serve version ${before}.`,
      ));
    }
    if (differ.length > 0) {
      terminal.out(
        styled(
          terminal,
          "red",
          `${
            differ.map(({ at }) => at).join(", ")
          } would send it elsewhere than the control plane says.`,
        ),
      );
    }
  }
  return differ.length > 0 ? EXIT.failed : EXIT.done;
}

/** Lists the versions, newest first. */
export async function history(
  { client, terminal, json }: Context,
  { limit }: { limit: number },
): Promise<ExitCode> {
  const versions = await client.list<VersionInfo>(
    "/v1/versions",
    "versions",
    { limit },
  );
  if (json) terminal.out(JSON.stringify(versions, null, 2));
  else {
    writeTable(
      terminal,
      ["VERSION", "WHEN", "CUSTOMERS", "PLACEMENTS", "AUTHOR", "MESSAGE"],
      versions.map((version) => [
        String(version.version),
        moment(version.created_at),
        count(version.customers),
        count(version.placements),
        version.author ?? "-",
        version.message ?? "",
      ]),
    );
  }
  return EXIT.done;
}

/** What differs between two versions. */
export async function diff(
  { client, terminal, json }: Context,
  { from, to, limit }: { from: number; to: number; limit: number },
): Promise<ExitCode> {
  const pages: Diff[] = [];
  let left = limit;
  let cursor: string | undefined;
  do {
    const page = await client.call<Diff>(path`/v1/versions/${to}/diff`, {
      query: { from, limit: Math.min(1000, left), cursor },
    });
    pages.push(page);
    left -= 1000;
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined && left > 0);
  if (json) {
    const [first, ...others] = pages;
    terminal.out(
      JSON.stringify(others.length === 0 ? first : pages, null, 2),
    );
  } else {
    terminal.out(
      `From version ${from} to version ${to}: ${
        summaryText(pages[0]!.summary)
      }.`,
    );
    writeDiff(terminal, pages);
  }
  return EXIT.done;
}

const RETRY_MS = 1_000;

/** Tells what happens, as it happens, until it is interrupted; begins anew where the connection is lost. */
export async function events(context: Context): Promise<ExitCode> {
  const { client, terminal, json, signal } = context;
  let lastId: string | null = null;
  let reached = false;
  while (!signal.aborted) {
    try {
      for await (const event of client.events({ lastId, signal })) {
        reached = true;
        lastId = event.id ?? lastId;
        terminal.out(json ? event.data : eventLine(event, terminal));
      }
      if (!signal.aborted) terminal.err("The stream has ended; trying again.");
    } catch (error) {
      if (signal.aborted) break;
      // One that never was there is told of once, and not waited for.
      if (!reached) throw error;
      terminal.err(`${(error as CommandError).message} Trying again.`);
    }
    await pause(RETRY_MS, signal);
  }
  return EXIT.done;
}

function eventLine(
  { name, data }: { name: string; data: string },
  terminal: Terminal,
): string {
  const time = styled(
    terminal,
    "faint",
    new Date().toLocaleTimeString("en-GB"),
  );
  if (name === "version") {
    const { version, author, message } = JSON.parse(data) as VersionInfo;
    return `${time} version ${version} is committed${
      author === null ? "" : ` by ${author}`
    }${message === null ? "" : `: ${message}`}`;
  }
  if (name === "rollout") {
    const rollout = JSON.parse(data) as StagedRollout;
    const text = rolloutText(rollout, Date.now());
    return `${time} ${
      rollout.state === "halted" ? styled(terminal, "red", text) : text
    }`;
  }
  if (name !== "router") return `${time} ${name} ${data}`;
  const { kind, router } = JSON.parse(data) as { kind: string; router: Router };
  const bad = !["connected", "applied", "drained", "gone"].includes(kind);
  const text = `router ${router.id}: ${kind.replaceAll("_", " ")}${
    router.version === null ? "" : `, serves version ${router.version}`
  }${router.error === null ? "" : `: ${router.error}`}`;
  return `${time} ${bad ? styled(terminal, "red", text) : text}`;
}
