import { describe, expect, test } from "vitest";
import { parseSchedule, type Schedule } from "../../kube/index.ts";
import { lastTime, nextTime, wallClock } from "./next-time.ts";

const read = (text: string): Schedule => {
  const schedule = parseSchedule(text);
  if ("error" in schedule) throw new Error(schedule.error);
  return schedule;
};
const next = (text: string, after: string, zone = "UTC"): string | undefined => {
  const at = nextTime(read(text), wallClock(zone), Date.parse(after));
  return at === undefined ? undefined : new Date(at).toISOString().slice(0, 19);
};

describe("the next time", () => {
  test.each([
    ["* * * * *", "2026-01-01T00:00:30Z", "2026-01-01T00:01:00"],
    ["*/15 * * * *", "2026-01-01T00:15:00Z", "2026-01-01T00:30:00"],
    ["0 3 * * *", "2026-01-01T03:00:00Z", "2026-01-02T03:00:00"],
    ["0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00"],
    ["30 9 * * MON-FRI", "2026-01-03T00:00:00Z", "2026-01-05T09:30:00"],
    // One of both kinds of days is enough.
    ["0 0 13 * FRI", "2026-01-03T00:00:00Z", "2026-01-09T00:00:00"],
    ["0 0 31 12 *", "2026-12-31T00:00:00Z", "2027-12-31T00:00:00"],
    ["@every 1h30m", "2026-01-01T00:00:00Z", "2026-01-01T01:30:00"],
  ])("%s after %s", (text, after, expected) => expect(next(text, after)).toBe(expected));

  test("no such day", () => expect(next("0 0 31 2 *", "2026-01-01T00:00:00Z")).toBeUndefined());

  test.each([
    ["0 12 * * *", "2026-06-30T12:00:00Z", "Europe/Berlin", "2026-07-01T10:00:00"],
    ["0 12 * * *", "2026-01-01T00:00:00Z", "Asia/Kolkata", "2026-01-01T06:30:00"],
    // The night in which 02:30 is left out.
    ["30 2 * * *", "2026-03-28T12:00:00Z", "Europe/Berlin", "2026-03-30T00:30:00"],
    // A day of 25 hours, and one that begins at 01:00.
    ["0 0 * * *", "2026-10-25T12:00:00Z", "Europe/Berlin", "2026-10-25T23:00:00"],
    ["0 5 * * *", "2018-11-03T12:00:00Z", "America/Sao_Paulo", "2018-11-04T07:00:00"],
  ])("%s after %s in %s", (text, after, zone, expected) => expect(next(text, after, zone)).toBe(expected));
});

describe("the last time that was missed", () => {
  const last = (text: string, from: string, now: string) => {
    const found = lastTime(read(text), wallClock("UTC"), Date.parse(from), Date.parse(now));
    return found && { at: new Date(found.at).toISOString().slice(0, 19), tooMany: found.tooMany };
  };
  test("none", () => expect(last("0 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:59:59Z")).toBeUndefined());
  test("the one that is due", () =>
    expect(last("0 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z")).toEqual({
      at: "2026-01-01T01:00:00",
      tooMany: false,
    }));
  test("the last of many", () =>
    expect(last("* * * * *", "2020-01-01T00:00:00Z", "2026-01-01T00:00:30Z")).toEqual({
      at: "2026-01-01T00:00:00",
      tooMany: true,
    }));
  test("of a rare one", () =>
    expect(last("0 0 1 1 *", "2020-06-01T00:00:00Z", "2026-06-01T00:00:00Z")).toEqual({
      at: "2026-01-01T00:00:00",
      tooMany: false,
    }));
  test("of a short period", () =>
    expect(last("@every 1s", "2026-01-01T00:00:00Z", "2026-01-01T00:10:00Z")).toEqual({
      at: "2026-01-01T00:10:00",
      tooMany: true,
    }));
});
