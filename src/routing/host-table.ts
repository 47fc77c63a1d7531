import type { HostRoutes, HostSemantics, HostTable, Route } from "./model.ts";
import { textOf } from "./owner.ts";
import type { Problem } from "./problem.ts";

interface Draft {
  exact: Map<string, Route[]>;
  regex: Route[];
  prefix: Map<string, Route[]>;
  longestPrefix: number;
  fallback?: Route;
  mergeSlashes?: boolean;
}

/** Collects routes into a table. Routes come oldest object first: the first keeps what both match, later ones get a problem. */
export interface HostTableBuilder {
  /** `host` has a rule: of an Ingress, what its paths do not match goes to a default backend, not to a less specific host. */
  addHost(host: string, mergeSlashes?: boolean): void;
  /** `route` has a path. */
  add(route: Route): void;
  /** A default backend: for `hosts`, which its object names, and if no better one is found for all that is unmatched. */
  addDefault(route: Route, hosts: readonly string[]): void;
  finish(): HostTable;
}

export function createHostTable(semantics: HostSemantics, report: (problem: Problem) => void): HostTableBuilder {
  const hosts = new Map<string, Draft>();
  const defaults: { route: Route; hosts: readonly string[] }[] = [];

  function draftOf(host: string): Draft {
    let draft = hosts.get(host);
    if (!draft) hosts.set(host, (draft = { exact: new Map(), regex: [], prefix: new Map(), longestPrefix: 0 }));
    return draft;
  }

  function add(route: Route): void {
    const { path } = route;
    if (!path) return;
    const draft = draftOf(route.host);
    if (path.type === "RegularExpression") {
      insert(draft.regex, route, byExpression);
      return;
    }
    const table = path.type === "Exact" ? draft.exact : draft.prefix;
    const list = table.get(path.value);
    if (list) insert(list, route, byConditions);
    else table.set(path.value, [route]);
    if (path.type === "Prefix") draft.longestPrefix = Math.max(draft.longestPrefix, path.value.length);
  }

  /** Behind those that come first: the lists are short, one route nearly always. */
  function insert(list: Route[], route: Route, compare: (a: Route, b: Route) => number): void {
    let at = list.length;
    for (; at > 0; at--) {
      const before = list[at - 1] as Route;
      if (compare(before, route) <= 0) break;
    }
    const same = list.find((other) => conditionsOf(other) === conditionsOf(route));
    if (same) {
      conflict(route, same);
      if (semantics === "Ingress") return;
    }
    list.splice(at, 0, route);
  }

  function conflict(route: Route, winner: Route): void {
    // Saying the same thing twice harms nobody.
    if (sameBackends(route, winner)) return;
    const what = route.path ? `host ${route.host || "*"} path ${route.path.value || "/"}` : "the default backend";
    report({
      object: route.owner.object,
      field: route.owner.field,
      reason: "Conflict",
      message: `${textOf(winner.owner.object)} (${winner.owner.field}) comes first and already serves ${what}`,
      remedy: "change host or path, or remove one of the two",
    });
  }

  function finish(): HostTable {
    for (const { route, hosts: named } of defaults) {
      for (const host of named) {
        const draft = draftOf(host);
        if (draft.fallback) conflict(route, draft.fallback);
        else draft.fallback = route;
      }
    }
    // An Ingress with nothing but a default backend is meant for the whole class; one with rules comes after it.
    const whole = defaults.filter((each) => each.hosts.length === 0);
    const fallback = (whole[0] ?? defaults[0])?.route;
    for (const { route } of whole.slice(1)) if (whole[0]) conflict(route, whole[0].route);

    const exact = new Map<string, HostRoutes>();
    const wildcard = new Map<string, HostRoutes>();
    let any: HostRoutes | undefined;
    for (const [host, draft] of hosts) {
      if (host === "") any = draft;
      else if (host.startsWith("*.")) wildcard.set(host.slice(1), draft);
      else exact.set(host, draft);
    }
    return { semantics, exact, wildcard, ...(any ? { any } : {}), ...(fallback ? { fallback } : {}) };
  }

  return {
    add,
    addHost(host, mergeSlashes = false) {
      const draft = draftOf(host);
      if (mergeSlashes) draft.mergeSlashes = true;
    },
    addDefault: (route, named) => void defaults.push({ route, hosts: named }),
    finish,
  };
}

/** Precedence among routes of one path (HTTPRouteRule `matches`); equal ones stay in the order of their objects. */
function byConditions(a: Route, b: Route): number {
  const method = (route: Route): number => (route.method === undefined ? 1 : 0);
  return method(a) - method(b) || b.headers.length - a.headers.length || b.query.length - a.query.length;
}

function byExpression(a: Route, b: Route): number {
  return (b.path?.value.length ?? 0) - (a.path?.value.length ?? 0) || byConditions(a, b);
}

/** The same for two routes that match the same requests. */
function conditionsOf({ path, method, headers, query }: Route): string {
  if (method === undefined && headers.length === 0 && query.length === 0) return path?.value ?? "";
  const fields = (list: Route["headers"]): string[] =>
    list.map(({ type, name, value }) => `${type} ${name}=${value}`).sort();
  return JSON.stringify([path?.value, method, fields(headers), fields(query)]);
}

function sameBackends({ rule: a }: Route, { rule: b }: Route): boolean {
  return (
    a.filters.length + b.filters.length === 0 &&
    a.backends.length === b.backends.length &&
    a.backends.every((backend, i) => backend.pool === b.backends[i]?.pool && backend.weight === b.backends[i]?.weight)
  );
}
