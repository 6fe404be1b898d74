import type { Hold } from "../api/answers.ts";
import { path } from "../ui/page/path.ts";
import { counted, oldWorkText, span } from "../ui/page/text.ts";
import type { Context } from "./edit.ts";
import { EXIT, type ExitCode } from "./exit.ts";
import { styled, type Terminal } from "./terminal.ts";

const MAX_NAMES = 10;

/** Keeps a customer's new requests waiting. */
export async function hold(
  { client, terminal, json, signal }: Context,
  customer: string,
  options: { for: string; cutStreams?: string },
): Promise<ExitCode> {
  const { cutStreams } = options;
  const answer = await client.call<Hold>(
    path`/v1/customers/${customer}/hold`,
    {
      method: "POST",
      body: {
        for: options.for,
        ...(cutStreams === undefined ? {} : { cut_streams: cutStreams }),
      },
      signal,
    },
  );
  if (json) terminal.out(JSON.stringify(answer, null, 2));
  else tellHold(terminal, answer);
  return answer.pending.length > 0 ? EXIT.timedOut : EXIT.done;
}

/** Lets a customer's requests go on. */
export async function release(
  { client, terminal, json, signal }: Context,
  customer: string,
): Promise<ExitCode> {
  const answer = await client.call<unknown>(
    path`/v1/customers/${customer}/release`,
    { method: "POST", signal },
  );
  terminal.out(
    json ? JSON.stringify(answer, null, 2) : `${customer} is released.`,
  );
  return EXIT.done;
}

/** Lists who is held. */
export async function holds(
  { client, terminal, json, signal }: Context,
): Promise<ExitCode> {
  const { holds } = await client.call<{ holds: Hold[] }>("/v1/holds", {
    signal,
  });
  if (json) terminal.out(JSON.stringify(holds, null, 2));
  else if (holds.length === 0) terminal.out("No customer is held.");
  else for (const each of holds) tellHold(terminal, each);
  return EXIT.done;
}

function tellHold(terminal: Terminal, hold: Hold): void {
  const { customers, until, holding, pending, cannot, gone } = hold;
  const more = customers.length > MAX_NAMES
    ? ` and ${counted(customers.length - MAX_NAMES, "more customer")}`
    : "";
  const left = (Date.parse(until) - Date.now()) / 1000;
  const waiting = holding.reduce((sum, { waiting }) => sum + waiting, 0);
  terminal.out(
    `${customers.slice(0, MAX_NAMES).join(", ")}${more}: held on ${
      counted(holding.length, "router")
    } for ${span(left)} more; ${counted(waiting, "request")} waiting.`,
  );
  const running = holding.filter(({ requests, streams }) =>
    requests + streams > 0
  ).map((each) => `${each.id} still runs ${oldWorkText(each)}`);
  const lists: [string, readonly string[]][] = [
    ["without an answer yet", pending],
    ["cannot hold", cannot],
    ["not connected", gone],
  ];
  const lines = [
    ...running,
    ...lists.filter(([, ids]) => ids.length > 0).map(([what, ids]) =>
      `${what}: ${ids.slice(0, MAX_NAMES).join(", ")}${
        ids.length > MAX_NAMES ? ` and ${ids.length - MAX_NAMES} more` : ""
      }`
    ),
  ];
  for (const line of lines) {
    terminal.out(styled(terminal, "yellow", `  ${line}`));
  }
}
