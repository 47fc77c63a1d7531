import { expect, test } from "vitest";
import { mayRetry, timedOut } from "./retry.ts";

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
