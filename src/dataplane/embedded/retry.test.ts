import { expect, test } from "vitest";
import type { Retry, RetryConditions, RetryFailure } from "../../routing/index.ts";
import { asksAgain, type FailedTry, mayRetry, timedOut } from "./retry.ts";

const failure = (code: string): Error => Object.assign(new Error(code), { code });

test.each<[code: string, method: string, sent: boolean, may: boolean]>([
  ["ECONNREFUSED", "GET", false, true],
  ["ECONNREFUSED", "POST", false, true],
  ["EHOSTUNREACH", "PATCH", false, true],
  ["UND_ERR_CONNECT_TIMEOUT", "POST", false, true],
  ["UND_ERR_INVALID_ARG", "GET", false, false],
  ["UND_ERR_SOCKET", "GET", true, true],
  ["ECONNRESET", "PUT", true, true],
  ["EPIPE", "DELETE", true, true],
  ["UND_ERR_SOCKET", "POST", true, false],
  ["UND_ERR_SOCKET", "PATCH", true, false],
  ["UND_ERR_HEADERS_TIMEOUT", "GET", true, false],
  ["HPE_INVALID_CONSTANT", "GET", true, false],
])("%s of a %s, sent: %s. It may be repeated: %s", (code, method, sent, may) => {
  expect(mayRetry(failure(code), method, sent)).toBe(may);
});

test("a slow endpoint is told from one that is not there", () => {
  expect(timedOut(failure("UND_ERR_CONNECT_TIMEOUT"))).toBe(true);
  expect(timedOut(failure("UND_ERR_HEADERS_TIMEOUT"))).toBe(true);
  expect(timedOut(failure("ECONNREFUSED"))).toBe(false);
});

const conditions = (only?: Partial<RetryConditions>, codes: readonly number[] = []): Retry => ({
  codes,
  attempts: 2,
  backoff: 0,
  ...(only ? { only: { failures: [], nonIdempotent: false, within: 0, ...only } } : {}),
});
const tried = (why: number | Error, more: Partial<FailedTry> = {}): FailedTry => ({
  why,
  method: "GET",
  sent: true,
  elapsed: 0,
  ...more,
});

test("a route of the Gateway API tries again whatever has failed, and the codes that it names", () => {
  const retry = conditions(undefined, [503]);
  expect(asksAgain(retry, tried(503, { method: "POST" }))).toBe(true);
  expect(asksAgain(retry, tried(500))).toBe(false);
  expect(asksAgain(retry, tried(failure("ECONNRESET"), { method: "POST" }))).toBe(true);
});

test.each<[code: string, is: RetryFailure | undefined]>([
  ["ECONNREFUSED", "error"],
  ["UND_ERR_SOCKET", "error"],
  ["UND_ERR_HEADERS_TIMEOUT", "timeout"],
  ["UND_ERR_CONNECT_TIMEOUT", "timeout"],
  ["HPE_INVALID_HEADER_TOKEN", "invalid"],
  ["UND_ERR_INVALID_ARG", undefined],
])("%s is %s, and no other condition", (code, is) => {
  for (const condition of ["error", "timeout", "invalid"] as const)
    expect(asksAgain(conditions({ failures: [condition] }), tried(failure(code)))).toBe(condition === is);
});

test("what may have been processed is repeated only where its method or the route allows it", () => {
  for (const [method, may] of [
    ["GET", true],
    ["PUT", true],
    ["POST", false],
    ["PATCH", false],
    ["REPORT", false],
  ] as const) {
    const once = conditions({ failures: ["error"] }, [503]);
    expect([method, asksAgain(once, tried(503, { method }))]).toEqual([method, may]);
    expect([method, asksAgain(once, tried(failure("ECONNRESET"), { method }))]).toEqual([method, may]);
    expect(asksAgain(once, tried(failure("ECONNREFUSED"), { method, sent: false }))).toBe(true);
    expect(asksAgain(conditions({ nonIdempotent: true }, [503]), tried(503, { method }))).toBe(true);
  }
});

test("there is no further try when its time is over", () => {
  const limited = conditions({ within: 1_000 }, [503]);
  expect(asksAgain(limited, tried(503, { elapsed: 999 }))).toBe(true);
  expect(asksAgain(limited, tried(503, { elapsed: 1_000 }))).toBe(false);
  expect(asksAgain(conditions({}, [503]), tried(503, { elapsed: 1e9 }))).toBe(true);
});
