import { equal, throws } from "node:assert/strict";
import { parseTrustedProxies, plainAddress } from "./forwarding.ts";

Deno.test("parseTrustedProxies() takes addresses and blocks of both families", () => {
  const trusted = parseTrustedProxies([
    "10.0.0.0/8",
    "192.0.2.7",
    "2001:db8::/32",
    "::1",
    "::ffff:198.51.100.1",
  ]);
  for (
    const address of [
      "10.255.0.1",
      "192.0.2.7",
      "2001:db8:f::1",
      "::1",
      "198.51.100.1",
    ]
  ) {
    equal(trusted.has(address), true, address);
  }
  for (
    const address of [
      "11.0.0.1",
      "192.0.2.8",
      "2001:db9::1",
      "::2",
      "",
      "nobody",
    ]
  ) {
    equal(trusted.has(address), false, address);
  }
  equal(parseTrustedProxies([]).has("10.0.0.1"), false);
});

Deno.test("parseTrustedProxies() names a value that is neither an address nor a block", () => {
  for (
    const value of [
      "",
      "10.0.0.0/33",
      "10.0.0/8",
      "::/129",
      "a.example",
      "10.0.0.1/",
      "1/2/3",
    ]
  ) {
    throws(
      () => parseTrustedProxies([value]),
      (error: unknown) =>
        error instanceof TypeError &&
        error.message.includes(JSON.stringify(value)),
      value,
    );
  }
});

Deno.test("plainAddress() shows mapped addresses as IPv4 and drops zones", () => {
  equal(plainAddress("::FFFF:127.0.0.1"), "127.0.0.1");
  equal(plainAddress("fe80::1%eth0"), "fe80::1");
  equal(plainAddress("::1"), "::1");
});
