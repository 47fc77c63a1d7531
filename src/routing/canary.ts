import { wholePattern } from "./expression.ts";
import type { Canary } from "./policies.ts";
import { cookieOf } from "./template.ts";

/** What the cookie of an affinity says: the text or the endpoint, and whether it is of a canary. */
export interface Stay {
  readonly token: string;
  readonly canary: boolean;
}

/** Behind the token of a cookie that came from a canary. */
export const canarySuffix = "-c";

/** Reads the cookie of an affinity. `undefined`: there is none, or it is none of ours. */
export function stayOf(value: string | undefined): Stay | undefined {
  const [, token, suffix] = /^([0-9a-f]{32})(-c)?$/.exec(value ?? "") ?? [];
  return token === undefined ? undefined : { token, canary: suffix !== undefined };
}

/**
 * The share (0 to 1) of requests with these header fields that a canary takes: by where their client has been before, by header, then by
 * cookie, then by weight (ingress-nginx's order).
 */
export function canaryShare(canary: Canary, headerOf: (name: string) => string | undefined): number {
  const { header, cookie, weight, total } = canary;
  const stay = canary.sticky === undefined ? undefined : stayOf(cookieOf(headerOf("cookie"), canary.sticky));
  if (stay) return stay.canary ? 1 : 0;
  const value = header && headerOf(header.name);
  if (header && value !== undefined) {
    if (header.value !== undefined) {
      if (value === header.value) return 1;
    } else if (header.pattern !== undefined) {
      if (wholePattern(`.*(?:${header.pattern}).*`)?.test(value)) return 1;
    } else if (value === "always") return 1;
    else if (value === "never") return 0;
  }
  if (cookie !== undefined) {
    const said = cookieOf(headerOf("cookie"), cookie);
    if (said === "always") return 1;
    if (said === "never") return 0;
  }
  return Math.min(1, weight / total);
}
