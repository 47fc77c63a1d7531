import { expect, test } from "vitest";
import type { Retry } from "../model.ts";
import { mostTries, readNextUpstream } from "./next-upstream.ts";
import { ValueFault } from "./values.ts";

/** What annotations and the ConfigMap say together. */
function read(
  annotations: Readonly<Record<string, string>>,
  options: Readonly<Record<string, string>> = {},
): Retry | undefined {
  return readNextUpstream((name, reading, fallback, option) => {
    const text = annotations[name] ?? options[option];
    return text === undefined ? fallback : reading(text);
  });
}

const usual = { failures: ["error", "timeout"], nonIdempotent: false, within: 0 };

test("nothing said is nothing asked for; what one of them does not say is as there", () => {
  expect(read({})).toBeUndefined();
  expect(read({}, { "retry-non-idempotent": "false" })).toBeUndefined();
  const all = { codes: [], attempts: 2, backoff: 0, only: usual };
  expect(read({ "proxy-next-upstream": "error timeout" })).toEqual(all);
  expect(read({ "proxy-next-upstream-tries": "3" })).toEqual(all);
  expect(read({}, { "proxy-next-upstream-timeout": "0" })).toEqual(all);
  expect(read({}, { "retry-non-idempotent": "true" })).toEqual({ ...all, only: { ...usual, nonIdempotent: true } });
});

test("conditions are words in any order, and off takes back all else", () => {
  expect(read({ "proxy-next-upstream": " http_503  non_idempotent invalid_header http_403 " })).toEqual({
    codes: [403, 503],
    attempts: 2,
    backoff: 0,
    only: { failures: ["invalid"], nonIdempotent: true, within: 0 },
  });
  const none = { codes: [], attempts: 0, backoff: 0, only: { failures: [], nonIdempotent: false, within: 0 } };
  const options = { "retry-non-idempotent": "true", "proxy-next-upstream-timeout": "5" };
  for (const off of ["off", "error off http_503", "non_idempotent"])
    expect(read({ "proxy-next-upstream": off }, options)).toEqual(none);
  for (const bad of ["", "http_501", "error,timeout", "error;", "Error"])
    expect(() => read({ "proxy-next-upstream": bad })).toThrow(ValueFault);
});

test("tries count all of them, and are bounded; seconds are milliseconds", () => {
  const tries = (number: string): number | undefined => read({ "proxy-next-upstream-tries": number })?.attempts;
  expect(["1", "2", "0", "1000"].map(tries)).toEqual([0, 1, mostTries - 1, mostTries - 1]);
  expect(read({ "proxy-next-upstream-timeout": "10" })?.only?.within).toBe(10_000);
  // Where there is no further try, there is nothing to be limited.
  const one = read({ "proxy-next-upstream-tries": "1", "proxy-next-upstream-timeout": "10" });
  expect(one?.only?.within).toBe(0);
  for (const bad of ["-1", "x", "1.5"]) {
    expect(() => read({ "proxy-next-upstream-tries": bad })).toThrow(ValueFault);
    expect(() => read({ "proxy-next-upstream-timeout": bad })).toThrow(ValueFault);
  }
});

test("the annotation comes before the ConfigMap", () => {
  const options = { "proxy-next-upstream": "http_503", "proxy-next-upstream-tries": "5" };
  expect(read({ "proxy-next-upstream-tries": "2" }, options)).toMatchObject({ codes: [503], attempts: 1 });
});
