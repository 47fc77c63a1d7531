import { expect, test } from "vitest";
import { systemClock } from "../../system/index.ts";
import { createAnswerMemory, secondsOf } from "./remembered-answers.ts";

test("an answer is forgotten when its time is over, and the oldest when there are too many", () => {
  let now = 0;
  const memory = createAnswerMemory({ ...systemClock, now: () => now });
  const said = { status: 200, fields: new Map([["x-user", "ann"]]) };
  memory.keep("a", said, 10);
  now = 9_999;
  expect(memory.find("a")).toBe(said);
  now = 10_000;
  expect(memory.find("a")).toBeUndefined();
  for (let i = 0; i < 4097; i++) memory.keep(String(i), said, 10);
  expect([memory.find("0"), memory.find("1"), memory.find("4096")]).toEqual([undefined, said, said]);
  memory.keep("large", { status: 200, fields: new Map([["x", "y".repeat(4096)]]) }, 10);
  expect(memory.find("large")).toBeUndefined();
});

test("what is for one client, or may not be kept, is not", () => {
  const about = { scope: "s", key: [], seconds: { 200: 5, any: 7 } };
  const of = (status: number, fields: Readonly<Record<string, string>> = {}): number =>
    secondsOf(about, status, (name) => fields[name]);
  expect([of(200), of(401), of(503)]).toEqual([5, 7, 0]);
  expect(of(200, { "set-cookie": "a=b" })).toBe(0);
  expect(of(200, { vary: "Cookie" })).toBe(0);
  expect(
    ["no-store", "private, max-age=5", "public, max-age=60"].map((text) => of(200, { "cache-control": text })),
  ).toEqual([0, 0, 5]);
  expect(secondsOf({ ...about, seconds: { 200: 5 } }, 401, () => undefined)).toBe(0);
});
