import { expect, test } from "vitest";
import { whenAborted } from "./when-aborted.ts";

test("is told of the end once, however late it asks", () => {
  const stop = new AbortController();
  const told: string[] = [];
  whenAborted(stop.signal, () => void told.push("before"));
  expect(told).toEqual([]);
  stop.abort();
  whenAborted(stop.signal, () => void told.push("after"));
  expect(told).toEqual(["before", "after"]);
});
