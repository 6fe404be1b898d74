const COMMON = [
  ["x-content-type-options", "nosniff"],
  ["referrer-policy", "no-referrer"],
  ["cache-control", "no-store"],
  ["cross-origin-resource-policy", "same-origin"],
  ["x-frame-options", "DENY"],
] as const;

/** On answers of the API: nothing in them is ever to be run or shown as a page. */
export const API_HEADERS: readonly (readonly [name: string, value: string])[] =
  [
    ...COMMON,
    ["content-security-policy", "default-src 'none'; frame-ancestors 'none'"],
  ];

/** On the page's files, which bring a policy of their own. */
export function pageHeaders(
  contentSecurityPolicy: string,
): readonly (readonly [name: string, value: string])[] {
  return [...COMMON, ["content-security-policy", contentSecurityPolicy]];
}
