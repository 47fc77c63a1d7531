import type { HostRoutes, HostTable, Route } from "./model.ts";
import { textOf } from "./owner.ts";
import type { Problem } from "./problem.ts";

interface Draft {
  exact: Map<string, Route>;
  prefix: Map<string, Route>;
  longestPrefix: number;
  fallback?: Route;
}

/** Collects routes into a table. Routes come oldest object first: the first keeps a host and path, later ones a problem. */
export interface HostTableBuilder {
  /** `host` has a rule: what its paths do not match goes to a default backend, not to a less specific host. */
  addHost(host: string): void;
  /** `route` has a path. */
  add(route: Route): void;
  /** A default backend: for `hosts`, which its object names, and if no better one is found for all that is unmatched. */
  addDefault(route: Route, hosts: readonly string[]): void;
  finish(): HostTable;
}

export function createHostTable(report: (problem: Problem) => void): HostTableBuilder {
  const hosts = new Map<string, Draft>();
  const defaults: { route: Route; hosts: readonly string[] }[] = [];

  function draftOf(host: string): Draft {
    let draft = hosts.get(host);
    if (!draft) hosts.set(host, (draft = { exact: new Map(), prefix: new Map(), longestPrefix: 0 }));
    return draft;
  }

  function add(route: Route): void {
    const { path } = route;
    if (!path) return;
    const draft = draftOf(route.host);
    const table = path.type === "Exact" ? draft.exact : draft.prefix;
    const before = table.get(path.value);
    if (before) return conflict(route, before);
    table.set(path.value, route);
    if (path.type === "Prefix") draft.longestPrefix = Math.max(draft.longestPrefix, path.value.length);
  }

  function conflict(route: Route, winner: Route): void {
    // Saying the same thing twice harms nobody.
    if (route.pool === winner.pool) return;
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
    return { exact, wildcard, ...(any ? { any } : {}), ...(fallback ? { fallback } : {}) };
  }

  return {
    add,
    addHost: (host) => void draftOf(host),
    addDefault: (route, named) => void defaults.push({ route, hosts: named }),
    finish,
  };
}
