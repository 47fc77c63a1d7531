import { heldBodyBytes, type RetryFailure } from "../../routing/index.ts";
import type { Limits } from "../embedded/limits.ts";
import type { NamedRetry } from "../retry-sets.ts";

/** HAProxy's words for what has failed. That no connection came about is one of them, whatever the reason. */
const reasons: Readonly<Record<RetryFailure, string>> = {
  error: "conn-failure empty-response",
  timeout: "response-timeout",
  invalid: "junk-response",
};

/** Answers that `retry-on` knows. */
const known: ReadonlySet<number> = new Set([403, 404, 500, 502, 503, 504]);

/** Methods of which it does not matter how often a request is processed (RFC 9110 section 9.2.2). */
const idempotent = "GET HEAD OPTIONS PUT DELETE";

/** The lines of a backend whose requests are tried again under these conditions, as words. */
export function retryRules({ codes, attempts, only }: NamedRetry, limits: Limits): (string | number)[][] {
  const words = (text: string): string[] => text.split(" ");
  const asked = [
    ...only.failures.flatMap((failure) => words(reasons[failure])),
    ...codes.filter((code) => known.has(code)),
  ];
  const rules = [
    ["retries", attempts],
    ["retry-on", ...(asked.length === 0 || attempts === 0 ? ["none"] : asked)],
  ];
  if (attempts === 0) return rules;
  const small = `{ req.body_size gt 0 } { req.body_size le ${heldBodyBytes} } { req.hdr(content-length) -m found }`;
  const never = `http-request disable-l7-retry if`;
  return [
    ...rules,
    // What has not come as a whole cannot be sent again.
    words(`http-request wait-for-body time ${limits.clientIdle} if ${small}`),
    words(`${never} { req.body_size gt ${heldBodyBytes} }`),
    words(`${never} { req.hdr(transfer-encoding) -m found }`),
    ...(only.nonIdempotent ? [] : [words(`${never} !{ method ${idempotent} }`)]),
  ];
}
