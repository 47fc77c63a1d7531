import { createHostTable } from "./host-table.ts";
import type { HostRoutes, HostSemantics, HostTable, Route } from "./model.ts";
import type { Problem } from "./problem.ts";

/** What one object says of hosts: an Ingress, or a route on a listener of a Gateway. The same object while it says the same. */
export interface HostSource {
  /** Those that it names; "" for any. */
  readonly hosts: readonly string[];
  /** Each with a path, on one of `hosts`. */
  readonly routes: readonly Route[];
  /** Its default backend. */
  readonly fallback?: Route;
  /** Empty segments of paths do not count on its hosts. */
  readonly mergeSlashes?: boolean;
}

/** What was made of the sources that name a host. */
interface Known {
  readonly group: readonly HostSource[];
  readonly routes: HostRoutes;
  readonly problems: readonly Problem[];
}

/** Makes the table of all hosts: a host whose sources are the same as before keeps what was made of them. */
export interface Hosts {
  /** `sources` is oldest first. */
  table(sources: readonly HostSource[], report: (problem: Problem) => void): HostTable;
}

export function createHosts(semantics: HostSemantics): Hosts {
  let known = new Map<string, Known>();
  const byHost = new WeakMap<HostSource, ReadonlyMap<string, readonly Route[]>>();

  function routesOn(source: HostSource, host: string): readonly Route[] {
    if (source.hosts.length === 1) return source.routes;
    let index = byHost.get(source);
    if (!index) {
      const made = new Map<string, Route[]>();
      for (const route of source.routes) {
        const list = made.get(route.host);
        if (list) list.push(route);
        else made.set(route.host, [route]);
      }
      byHost.set(source, (index = made));
    }
    return index.get(host) ?? [];
  }

  function make(host: string, group: readonly HostSource[]): Known {
    const problems: Problem[] = [];
    const builder = createHostTable(semantics, (problem) => problems.push(problem));
    for (const source of group) {
      builder.addHost(host, source.mergeSlashes);
      for (const route of routesOn(source, host)) builder.add(route);
      if (source.fallback) builder.addDefault(source.fallback, [host]);
    }
    const { exact, wildcard, any } = builder.finish();
    const routes = exact.get(host) ?? wildcard.get(host.slice(1)) ?? any;
    if (!routes) throw new Error(`host ${host} has no routes`);
    return { group, routes, problems };
  }

  return {
    table(sources, report) {
      const groups = new Map<string, HostSource[]>();
      const whole = createHostTable(semantics, report);
      for (const source of sources) {
        for (const host of source.hosts) {
          const group = groups.get(host);
          if (group) group.push(source);
          else groups.set(host, [source]);
        }
        if (source.fallback && source.hosts.length === 0) whole.addDefault(source.fallback, []);
      }
      const next = new Map<string, Known>();
      const exact = new Map<string, HostRoutes>();
      const wildcard = new Map<string, HostRoutes>();
      let any: HostRoutes | undefined;
      for (const [host, group] of groups) {
        const before = known.get(host);
        const made = before && isSame(before.group, group) ? before : make(host, group);
        next.set(host, made);
        for (const problem of made.problems) report(problem);
        if (host === "") any = made.routes;
        else if (host.startsWith("*.")) wildcard.set(host.slice(1), made.routes);
        else exact.set(host, made.routes);
      }
      known = next;
      // An Ingress with nothing but a default backend is meant for the whole class; one with rules comes after it.
      const fallback = whole.finish().fallback ?? sources.find((source) => source.fallback)?.fallback;
      return { semantics, exact, wildcard, ...(any ? { any } : {}), ...(fallback ? { fallback } : {}) };
    },
  };
}

function isSame(a: readonly HostSource[], b: readonly HostSource[]): boolean {
  return a.length === b.length && a.every((reading, index) => reading === b[index]);
}
