import { wholePattern } from "./expression.ts";
import type { Canary } from "./policies.ts";
import { cookieOf } from "./template.ts";

/** The share (0 to 1) of requests with these header fields that a canary takes: by header, then by cookie, then by weight (ingress-nginx's order). */
export function canaryShare(canary: Canary, headerOf: (name: string) => string | undefined): number {
  const { header, cookie, weight, total } = canary;
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
