import { equal, notEqual } from "node:assert/strict";
import { halfSipHash, randomHashKey } from "./half_sip_hash.ts";

/** Of 0 to 15 bytes 00 01 02 … with key 00 … 07 (lib/tests/siphash_kunit.c of Linux, the 32-bit table). */
const VECTORS = [
  0x5814c896,
  0xe7e864ca,
  0xbc4b0e30,
  0x01539939,
  0x7e059ea6,
  0x88e3d89b,
  0xa0080b65,
  0x9d38d9d6,
  0x577999b1,
  0xc839caed,
  0xe4fa32cf,
  0x959246ee,
  0x6b28096c,
  0x66dd9cd6,
  0x16658a7c,
];

Deno.test("halfSipHash() is HalfSipHash-1-3", () => {
  // The bytes do not have to begin a buffer.
  const bytes = Uint8Array.from({ length: 20 }, (_, i) => i - 2);
  for (const [length, expected] of VECTORS.entries()) {
    equal(
      halfSipHash([0x03020100, 0x07060504], bytes, 2, 2 + length) >>> 0,
      expected,
    );
  }
});

Deno.test("randomHashKey() answers another key each time", () => {
  notEqual(String(randomHashKey()), String(randomHashKey()));
});
