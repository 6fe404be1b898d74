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

/** On the page's files: only what comes from here runs, and it talks only to here. */
export const PAGE_HEADERS: readonly (readonly [name: string, value: string])[] =
  [
    ...COMMON,
    [
      "content-security-policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ],
  ];
