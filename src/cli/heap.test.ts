import { expect, test } from "vitest";
import { growthOf } from "./heap.ts";

test("a small heap may grow by a fixed room, a large one by a part of itself", () => {
  const megabyte = 1 << 20;
  expect([10, 24, 48, 96, 120, 1000].map((live) => growthOf(live * megabyte, 48 * megabyte))).toEqual([
    200, 200, 100, 50, 40, 40,
  ]);
});
