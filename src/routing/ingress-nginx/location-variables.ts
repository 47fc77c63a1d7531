import type { Template } from "../template.ts";
import type { locationVariables } from "./values.ts";

export type LocationVariables = Readonly<Record<(typeof locationVariables)[number], string>>;

/** The variables of a path. `pool`: key of the one that it leads to, `NAMESPACE/SERVICE:PORT`. */
export function locationVariablesOf(
  namespace: string,
  ingress: string,
  path: string,
  pool: string | undefined,
): LocationVariables {
  const [, service = "", port = ""] = /^[^/]*\/([^:]*):([^/@]*)/.exec(pool ?? "") ?? [];
  const upstream = `${namespace}-${service}-${port}`;
  return {
    namespace,
    ingress_name: ingress,
    service_name: service,
    service_port: port,
    proxy_upstream_name: upstream,
    proxy_host: upstream,
    // No path brings a line end into a header field.
    location_path: /^[\x21-\x7e]*$/.test(path) ? path : "",
  };
}

/** Puts the variables of a path into all templates of a value. The same value when it has none of them. */
export function bound<T>(value: T, variables: LocationVariables): T {
  const known = new Map<unknown, string>(Object.entries(variables));
  const visit = (each: unknown): unknown => {
    if (typeof each !== "object" || each === null) return each;
    if ("variable" in each && known.has(each.variable)) return known.get(each.variable);
    const before: readonly (readonly [string, unknown])[] = Object.entries(each);
    const after = before.map(([name, inner]) => [name, visit(inner)] as const);
    if (after.every(([, inner], index) => inner === before[index]?.[1])) return each;
    return Array.isArray(each) ? after.map(([, inner]) => inner) : Object.fromEntries(after);
  };
  return visit(value) as T;
}

/** A template as a text; `undefined` when it needs a request. */
export function textOf(template: Template): string | undefined {
  const texts = template.filter((part) => typeof part === "string");
  return texts.length === template.length ? texts.join("") : undefined;
}
