import { ProblemError } from "./problem.ts";

/** 400 for parameters of a query or a head that are wrong. */
export function badParameters(
  subject: string,
  errors: readonly { pointer: string; detail: string }[],
): ProblemError {
  const detail = errors.length === 1
    ? errors[0]!.detail
    : `${subject} is wrong in ${errors.length} places.`;
  return new ProblemError("bad-request", detail, { errors });
}

/** The path of a request as it came, nothing decoded. The Host is checked before anything is done with it. */
export function rawPath(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  if (start === -1) return "/";
  const end = url.slice(start).search(/[?#]/);
  return end === -1 ? url.slice(start) : url.slice(start, start + end);
}

/** The values of a template's parameters, each percent-decoded exactly once. */
export function pathValues(
  template: string,
  url: string,
): Record<string, string> {
  const values: Record<string, string> = {};
  const parts = rawPath(url).split("/");
  for (const [index, part] of template.split("/").entries()) {
    if (!part.startsWith("{")) continue;
    const raw = parts[index] ?? "";
    const name = part.slice(1, -1);
    try {
      values[name] = decodeURIComponent(raw);
    } catch (cause) {
      const detail = `${name} in the path is ${
        JSON.stringify(raw)
      }, which is not percent-encoded UTF-8; "%" itself is written %25.`;
      throw new ProblemError("bad-request", detail, {
        cause,
        errors: [{ pointer: name, detail }],
      });
    }
  }
  return values;
}

/** The parameters of a query; one that stands twice or is badly encoded is refused. */
export function queryValues(url: string): Record<string, string> {
  const start = url.indexOf("?");
  const text = start === -1 ? "" : url.slice(start + 1).replace(/#.*/s, "");
  if (/%(?![0-9a-fA-F]{2})/.test(text)) {
    throw new ProblemError(
      "bad-request",
      `The query ${
        JSON.stringify(text.slice(0, 200))
      } is not percent-encoded; "%" itself is written %25.`,
    );
  }
  const values: Record<string, string> = Object.create(null);
  const problems: { pointer: string; detail: string }[] = [];
  for (const [name, value] of new URLSearchParams(text)) {
    if (Object.hasOwn(values, name)) {
      problems.push({
        pointer: name,
        detail: `The parameter ${JSON.stringify(name)} stands more than once.`,
      });
    }
    values[name] = value;
  }
  if (Object.hasOwn(values, "__proto__")) {
    problems.push({
      pointer: "__proto__",
      detail: `"__proto__" is not a parameter of this call.`,
    });
  }
  if (problems.length > 0) throw badParameters("The query", problems);
  return values;
}
