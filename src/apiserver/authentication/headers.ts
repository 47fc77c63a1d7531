/** All values of each header whose lower-case name `wanted` takes, in the order they came, by lower-case name. */
export function headerValues(
  rawHeaders: readonly string[],
  wanted: (name: string) => boolean,
): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? "").toLowerCase();
    if (!wanted(name)) continue;
    const value = rawHeaders[i + 1] ?? "";
    const values = found.get(name);
    if (values) values.push(value);
    else found.set(name, [value]);
  }
  return found;
}

/**
 * The `extra` of a user from headers that begin with `prefix`: the rest of the name, percent-decoded where that is possible, as
 * names of headers know no upper case and few characters.
 */
export function extraFrom(
  values: ReadonlyMap<string, readonly string[]>,
  prefix: string,
): Record<string, readonly string[]> {
  const extra = new Map<string, string[]>();
  for (const [name, list] of values) {
    if (!name.startsWith(prefix) || name.length === prefix.length) continue;
    const key = decoded(name.slice(prefix.length));
    extra.set(key, [...(extra.get(key) ?? []), ...list]);
  }
  return Object.fromEntries(extra);
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
