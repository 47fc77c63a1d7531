import type { Retry, RetryFailure } from "../model.ts";
import { booleanOf, integerOf, ValueFault } from "./values.ts";

/** A value of an annotation, else that of a key of the ConfigMap. */
type Value = <T>(name: string, read: (text: string) => T, fallback: T, option: string) => T;

/** Tries of one request at most. ingress-nginx has no limit where 0 is said. */
export const mostTries = 20;

const failures: Readonly<Record<string, RetryFailure>> = {
  error: "error",
  timeout: "timeout",
  invalid_header: "invalid",
};

const codes: Readonly<Record<string, number>> = Object.fromEntries(
  [403, 404, 429, 500, 502, 503, 504].map((code) => [`http_${code}`, code]),
);

interface Conditions {
  readonly failures: readonly RetryFailure[];
  readonly codes: readonly number[];
  readonly nonIdempotent: boolean;
}

const none: Conditions = { failures: [], codes: [], nonIdempotent: false };
const usual: Conditions = { ...none, failures: ["error", "timeout"] };

/**
 * Reads `proxy-next-upstream*` and `retry-non-idempotent`; `undefined` where nothing of it is said. What one of them does not say is as there: `error timeout`,
 * three tries, no limit of time.
 */
export function readNextUpstream(value: Value): Retry | undefined {
  const [conditions, tries, within] = [
    value<Conditions | undefined>("proxy-next-upstream", conditionsOf, undefined, "proxy-next-upstream"),
    value<number | undefined>("proxy-next-upstream-tries", triesOf, undefined, "proxy-next-upstream-tries"),
    value<number | undefined>("proxy-next-upstream-timeout", timeOf, undefined, "proxy-next-upstream-timeout"),
  ];
  const always = value("", booleanOf, false, "retry-non-idempotent");
  if (conditions === undefined && tries === undefined && within === undefined && !always) return undefined;
  const { failures: failed, codes: answered, nonIdempotent } = conditions ?? usual;
  const asked = failed.length + answered.length > 0;
  const attempts = asked ? (tries ?? 3) - 1 : 0;
  return {
    codes: attempts === 0 ? [] : answered,
    attempts,
    backoff: 0,
    only: {
      failures: failed,
      nonIdempotent: asked && attempts > 0 && (nonIdempotent || always),
      within: attempts === 0 ? 0 : (within ?? 0),
    },
  };
}

/** As nginx reads it: `off` takes back all else. */
function conditionsOf(text: string): Conditions {
  const words = new Set(text.trim().split(/\s+/));
  for (const word of words)
    if (word !== "off" && word !== "non_idempotent" && !Object.hasOwn(failures, word) && !Object.hasOwn(codes, word))
      throw new ValueFault(
        `off, or some of ${[...Object.keys(failures), ...Object.keys(codes), "non_idempotent"].join(", ")} are needed`,
      );
  if (words.has("off")) return none;
  const said = <T>(of: Readonly<Record<string, T>>): T[] =>
    Object.entries(of).flatMap(([word, meaning]) => (words.has(word) ? [meaning] : []));
  return { failures: said(failures), codes: said(codes), nonIdempotent: words.has("non_idempotent") };
}

function triesOf(text: string): number {
  const tries = integerOf(text, 0, 1_000_000);
  return tries === 0 ? mostTries : Math.min(tries, mostTries);
}

/** Seconds, in milliseconds. */
function timeOf(text: string): number {
  return integerOf(text.trim().replace(/s$/, ""), 0, 31_536_000) * 1000;
}
