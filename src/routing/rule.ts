import type { Owner, Rule } from "./model.ts";

/** A rule that sends all its requests to one pool, and does nothing else. */
export function plainRule(id: string, pool: string, owner: Owner): Rule {
  return { id, filters: [], backends: [{ pool, weight: 1, filters: [], owner }], timeouts: {}, owner };
}
