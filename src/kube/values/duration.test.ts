import { expect, test } from "vitest";
import { humanDuration, since } from "./duration.ts";

const s = 1000;
const m = 60 * s;
const h = 60 * m;
const d = 24 * h;
const y = 365 * d;

test.each<[number, string]>([
  [-2 * s, "<invalid>"],
  [-2 * s + 1, "0s"],
  [0, "0s"],
  [999, "0s"],
  [119 * s, "119s"],
  [2 * m, "2m"],
  [2 * m + 5 * s, "2m5s"],
  [9 * m + 59 * s, "9m59s"],
  [10 * m + 59 * s, "10m"],
  [179 * m, "179m"],
  [3 * h, "3h"],
  [3 * h + 59 * s, "3h"],
  [7 * h + 59 * m, "7h59m"],
  [8 * h + 59 * m, "8h"],
  [47 * h, "47h"],
  [2 * d, "2d"],
  [7 * d + 23 * h, "7d23h"],
  [8 * d + 23 * h, "8d"],
  [2 * y - 1, "729d"],
  [2 * y, "2y"],
  [3 * y + 5 * d, "3y5d"],
  [8 * y + 5 * d, "8y"],
])("%d ms is %s", (ms, text) => {
  expect(humanDuration(ms)).toBe(text);
});

test("a time that is missing is unknown", () => {
  expect(since(undefined, 0)).toBe("<unknown>");
  expect(since(null, 0)).toBe("<unknown>");
  expect(since("1970-01-01T00:00:00Z", 5 * s)).toBe("5s");
});
