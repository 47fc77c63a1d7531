const reg = /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/;
const bracketed = /^\[[0-9a-f:.]+\]$/;

/**
 * A Host header or URL authority as it is matched: lower case, without port and without a dot at its end. `undefined`
 * when it is no host name and no address (RFC 9110 section 7.2). "" stays "": it matches only rules for any host.
 */
export function canonicalHost(authority: string): string | undefined {
  if (authority === "") return "";
  const lower = authority.toLowerCase();
  const port = /:\d{0,5}$/.exec(lower);
  let host = port && !lower.endsWith("]") ? lower.slice(0, port.index) : lower;
  if (host.endsWith(".")) host = host.slice(0, -1);
  if (host.length > 253) return undefined;
  return reg.test(host) || bracketed.test(host) ? host : undefined;
}

/** The key under which a wildcard for `host` would stand: `.example.com` for `www.example.com`. */
export function wildcardKey(host: string): string | undefined {
  const dot = host.indexOf(".");
  return dot > 0 ? host.slice(dot) : undefined;
}

const label = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const ruleHost = new RegExp(`^(?:\\*\\.)?${label}(?:\\.${label})*$`);

/** True for a host that a rule may have: an RFC 1123 subdomain, perhaps with `*.` before it. */
export function isRuleHost(host: string): boolean {
  return host.length <= 253 && ruleHost.test(host);
}
