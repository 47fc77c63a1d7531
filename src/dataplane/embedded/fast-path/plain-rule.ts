import type { Filter, Rule } from "../../../routing/index.ts";

const known = new WeakMap<Rule, boolean>();

/** What a rule asks for is decided at once and by its request alone, so that the shortest way serves it. `longestConnect`: milliseconds for a connection, as all rules have them. */
export function isPlainRule(rule: Rule, longestConnect: number): boolean {
  let is = known.get(rule);
  if (is === undefined) known.set(rule, (is = look(rule, longestConnect)));
  return is;
}

function look({ filters, backends, timeouts, retry, affinity, fallbackPool }: Rule, longestConnect: number): boolean {
  const { request, backendRequest, connect = longestConnect } = timeouts;
  if (
    request !== undefined ||
    backendRequest !== undefined ||
    connect < longestConnect ||
    retry ||
    affinity ||
    fallbackPool !== undefined
  )
    return false;
  return [...filters, ...backends.flatMap((backend) => backend.filters)].every(isPlain);
}

function isPlain(filter: Filter): boolean {
  switch (filter.type) {
    case "RequestHeaders":
    case "ResponseHeaders":
    case "Rewrite":
    case "RegexRewrite":
    case "TemplateHeaders":
    case "StrictTransport":
    case "Tracing":
    case "BodyLimit":
      return true;
    default:
      return false;
  }
}
