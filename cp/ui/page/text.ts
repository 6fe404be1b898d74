import type { StagedRollout } from "../../api/answers.ts";

/** A whole number with separators. */
export function count(number: number): string {
  return number.toLocaleString("en");
}

/** A number and its noun. */
export function counted(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** A span of seconds, as coarse as one reads it: `4 s`, `3 min`, `2 h 5 min`, `3 days`. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) {
    return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  }
  return counted(Math.floor(hours / 24), "day");
}

/** Milliseconds as one reads them: `7 ms`, `1.2 s`. */
export function milliseconds(ms: number): string {
  return ms < 1000
    ? `${ms < 10 ? Math.round(ms * 10) / 10 : Math.round(ms)} ms`
    : `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}

/** A moment in the reader's own time zone. */
export function moment(time: string): string {
  return new Date(time).toLocaleString(undefined, {
    dateStyle: "medium",
    timeStyle: "medium",
  });
}

/** What still runs on a router that its version would send elsewhere. */
export function oldWorkText(
  work: { requests: number; streams: number; oldest_seconds: number },
): string {
  return `${counted(work.requests, "request")} and ${
    counted(work.streams, "stream")
  }, the oldest for ${span(work.oldest_seconds)}`;
}

/** A digest or an id, short. */
export function short(id: string): string {
  return id.replace("sha256:", "").slice(0, 8);
}

/** What a rollout has come to. */
export function rolloutText(
  rollout: Omit<StagedRollout, "canaries">,
  now: number,
): string {
  const { id, before, state, until, reason, ended_by, taken_back_by } = rollout;
  const by = ended_by === null ? "" : ` by ${ended_by}`;
  switch (state) {
    case "under_way":
      return `Version ${id} is for canaries only; all others stay on version ${before}. ${
        Date.parse(until) > now
          ? `It is promoted in ${
            span((Date.parse(until) - now) / 1000)
          }, unless a canary does badly.`
          : "Its time is over: it is promoted once all canaries have told that they do well."
      }`;
    case "promoted":
      return `Version ${id} was promoted${by}: all routers get it.`;
    case "halted":
      return `Version ${id} was halted, and version ${taken_back_by} has what was before: ${reason}`;
    case "aborted":
      return `Version ${id} was aborted${by}, and version ${taken_back_by} has what was before${
        reason === null ? "." : `: ${reason}`
      }`;
    default:
      return state satisfies never;
  }
}

/** How a canary does. */
export function canaryText(canary: StagedRollout["canaries"][number]): string {
  const { state, error, counted: now, before } = canary;
  const failed = now === null
    ? ", does not count its requests"
    : `, ${shareText(now)} failed${
      before === null ? "" : ` (${shareText(before)} in the minute before)`
    }`;
  return `${state ?? "not known"}${error === null ? "" : `: ${error}`}${
    state === "applied" ? failed : ""
  }`;
}

function shareText(
  { requests, errors }: { requests: number; errors: number },
): string {
  return `${count(errors)} of ${counted(requests, "request")}`;
}
