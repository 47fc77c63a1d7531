/** True when `pattern` (`*.example.com` covers one or more labels) covers all that `name`, perhaps a pattern too, stands for. */
function covers(pattern: string, name: string): boolean {
  if (pattern === "" || pattern === name) return true;
  return pattern.startsWith("*.") && name.replace(/^\*/, "").endsWith(pattern.slice(1)) && name !== pattern.slice(2);
}

/** What two host names have in common, either of which may be "" (any) or a wildcard; `undefined` when nothing. */
export function intersection(a: string, b: string): string | undefined {
  if (covers(a, b)) return b;
  return covers(b, a) ? a : undefined;
}

/** Host names of a route on a listener: what both name; "" stands for any. Empty when they have nothing in common. */
export function hostnamesOn(listener: string, route: readonly string[]): string[] {
  const names = route.length === 0 ? [""] : route;
  const common = names.flatMap((name) => intersection(listener, name.toLowerCase()) ?? []);
  return [...new Set(common)];
}
