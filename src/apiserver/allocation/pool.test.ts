import { describe, expect, it } from "vitest";
import { addressBands, pick, portBands } from "./pool.ts";

describe("bands", () => {
  it.each([
    // The examples of KEP-3070: /28, /24, /20 and /16.
    [16, 0],
    [256, 16],
    [4096, 256],
    [65536, 256],
  ])("leave of %i addresses the first %i to static use", (size, offset) => {
    expect(addressBands(size)).toEqual({ size, offset });
  });

  it.each([
    // KEP-3668: min(max(16, size / 32), 128).
    [10, 0],
    [16, 16],
    [128, 16],
    [2768, 86],
    [32768, 128],
  ])("leave of %i ports the first %i to static use", (size, offset) => {
    expect(portBands(size)).toEqual({ size, offset });
  });
});

describe("pick", () => {
  it("takes from the upper band while it has room", () => {
    const taken = new Set<number>();
    const bands = { size: 40, offset: 16 };
    for (let i = 0; i < 24; i++) {
      const index = pick(bands, (candidate) => !taken.has(candidate));
      expect(index).toBeGreaterThanOrEqual(16);
      taken.add(index ?? -1);
    }
    expect(taken.size).toBe(24);
    expect(pick(bands, (candidate) => !taken.has(candidate))).toBeLessThan(16);
  });

  it("finds the last one that is free, and says when there is none", () => {
    expect(pick({ size: 5000, offset: 256 }, (index) => index === 4711)).toBe(4711);
    expect(pick({ size: 5000, offset: 256 }, (index) => index === 3)).toBe(3);
    expect(pick({ size: 5000, offset: 256 }, () => false)).toBeUndefined();
  });
});
