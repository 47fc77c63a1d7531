import { expect, test } from "vitest";
import { parseCommunity } from "./community.ts";

test.each([
  ["64512:100", [64_512, 100]],
  ["no-export", [65_535, 65_281]],
  ["graceful-shutdown", [65_535, 0]],
  ["large:4200000000:1:2", [4_200_000_000, 1, 2]],
  ["65536:1", undefined],
  ["1", undefined],
  ["1:2:3", undefined],
  ["large:1:2", undefined],
  ["large:1:2:4294967296", undefined],
  ["01:2", undefined],
  ["1:-2", undefined],
  ["toString", undefined],
  ["", undefined],
])("community %j", (text, parts) => {
  expect(parseCommunity(text)?.parts).toEqual(parts);
});
