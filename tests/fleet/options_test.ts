import { deepEqual, equal, throws } from "node:assert/strict";
import { ALL_STEADY } from "./behaviour.ts";
import { parseOptions } from "./options.ts";

const NEEDED = ["--routers", "1000", "--cp", "http://127.0.0.1:8081"];

Deno.test("parseOptions() reads the shortest command", () => {
  deepEqual(parseOptions(NEEDED), {
    url: "ws://127.0.0.1:8081/v1/connect",
    routers: 1000,
    counts: ALL_STEADY,
    decoding: 10,
    prefix: "sim",
    rampMs: 1000,
    slowRate: 65_536,
    flapMs: 10_000,
    forMs: null,
    json: false,
  });
});

Deno.test("parseOptions() takes values behind a space or an equals sign, counts and shares", () => {
  const options = parseOptions([
    ...NEEDED,
    "--stalled=1%",
    "--silent",
    "7",
    "--slow=0.01%",
    "--slow-rate=1.5",
    "--for=0.5",
    "--json",
  ]);
  deepEqual(options.counts, { ...ALL_STEADY, stalled: 10, silent: 7, slow: 1 });
  deepEqual([options.slowRate, options.forMs, options.json], [1536, 500, true]);
});

Deno.test("parseOptions() makes the address where routers connect of what people write", () => {
  for (
    const [text, url] of [
      ["https://cp.example.com", "wss://cp.example.com/v1/connect"],
      ["http://[::1]:9/", "ws://[::1]:9/v1/connect"],
      [
        "wss://cp.example.com/base/connect",
        "wss://cp.example.com/base/connect",
      ],
    ]
  ) {
    equal(parseOptions(["--routers=1", `--cp=${text}`]).url, url);
  }
});

Deno.test("parseOptions() names what is wrong, and the rule", () => {
  for (
    const [args, message] of [
      [["--cp=http://a"], /without --routers/],
      [["--routers=5"], /without --cp/],
      [["--routers", "0", "--cp=http://a"], /--routers 0: .* from 1 to 100000/],
      [[...NEEDED, "--routers=2"], /--routers was given before/],
      [[...NEEDED, "--nonsense"], /--nonsense: there is no such option/],
      [[...NEEDED, "--for"], /--for: its value is missing/],
      [[...NEEDED, "--for=-1"], /--for -1: .* above 0/],
      [[...NEEDED, "--slow=1.5"], /--slow 1\.5: .* from 0 to 1000, or a share/],
      [[...NEEDED, "--slow=101%"], /--slow 101%/],
      [[...NEEDED, "--slow=1001"], /--slow 1001/],
      [[...NEEDED, "--prefix=a b"], /--prefix a b: .* 1 to 120 of/],
      [["--routers=1", "--cp=127.0.0.1:80"], /--cp 127\.0\.0\.1:80: .*address/],
      [["--routers=1", "--cp=ftp://a"], /--cp ftp:\/\/a/],
      [
        [...NEEDED, "--slow=60%", "--silent=500"],
        /--slow 60%, --silent 500: these are 1100 routers, and there are 1000/,
      ],
    ] as const
  ) {
    throws(() => parseOptions(args), { name: "TypeError", message });
  }
});
