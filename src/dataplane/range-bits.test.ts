import { expect, test } from "vitest";
import { bitsOf, rangeBits } from "./range-bits.ts";

test("an address has 32 or 128 bits", () => {
  expect(bitsOf("10.0.255.1")).toBe("00001010000000001111111100000001");
  expect(bitsOf("fd00::1")).toBe(`11111101${"0".repeat(119)}1`);
  expect(bitsOf("::")).toBe("0".repeat(128));
  expect(bitsOf("1:2:3:4:5:6:7:8")).toHaveLength(128);
});

test("ranges by their first bits; what is none is left out", () => {
  expect(rangeBits(["10.0.0.0/8", "11.0.0.0/8", "0.0.0.0/0", "fd00::/16", "everyone"])).toEqual({
    lengths4: [8, 0],
    lengths6: [16],
    prefixes: { "400001010": true, "400001011": true, "4": true, "61111110100000000": true },
  });
});
