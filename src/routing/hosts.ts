import { createClaims } from "./claims.ts";
import { derive } from "./derived.ts";
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
  /** That is for its hosts alone, if it names any. */
  readonly ownFallback?: boolean;
  /** Empty segments of paths do not count on its hosts. */
  readonly mergeSlashes?: boolean;
}

/** Makes the table of all hosts: a host whose sources are the same as before keeps what was made of them. */
export interface Hosts {
  /** `sources` is oldest first. The same object as the last time when it says the same. */
  table(sources: readonly HostSource[], report: (problem: Problem) => void): HostTable;
}

/** What sources with a default backend have beside their hosts: no host has this name. */
const byDefault = Symbol("default backend");

export function createHosts(semantics: HostSemantics): Hosts {
  const claims = createClaims<HostSource, string | typeof byDefault>(({ hosts, fallback, ownFallback }) =>
    fallback && !(ownFallback && hosts.length > 0) ? [...hosts, byDefault] : hosts,
  );
  const byHost = new WeakMap<HostSource, ReadonlyMap<string, readonly Route[]>>();
  /** What is wrong with hosts; those of which nothing is have none. */
  const faults = new Map<string | typeof byDefault, readonly Problem[]>();
  let current: HostTable = { semantics, exact: new Map(), wildcard: new Map() };

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

  /** Keeps what a builder reports for `key`. */
  function build<T>(key: string | typeof byDefault, make: (report: (problem: Problem) => void) => T): T {
    const problems: Problem[] = [];
    const made = make((problem) => problems.push(problem));
    if (problems.length > 0) faults.set(key, problems);
    else faults.delete(key);
    return made;
  }

  /** `undefined`: nobody names it. */
  function hostRoutes(host: string): HostRoutes | undefined {
    return build(host, (report) => {
      const group = claims.of(host);
      if (group.length === 0) return undefined;
      const builder = createHostTable(semantics, report);
      for (const source of group) {
        builder.addHost(host, source.mergeSlashes);
        for (const route of routesOn(source, host)) builder.add(route);
        if (source.fallback) builder.addDefault(source.fallback, [host]);
      }
      const { exact, wildcard, any } = builder.finish();
      return exact.get(host) ?? wildcard.get(host.slice(1)) ?? any;
    });
  }

  /** An Ingress with nothing but a default backend is meant for the whole class; one with rules comes after it. */
  function fallbackOf(): Route | undefined {
    return build(byDefault, (report) => {
      const builder = createHostTable(semantics, report);
      const group = claims.of(byDefault);
      for (const { fallback, hosts } of group) if (fallback && hosts.length === 0) builder.addDefault(fallback, []);
      return builder.finish().fallback ?? group[0]?.fallback;
    });
  }

  function change(touched: ReadonlySet<string | typeof byDefault>): HostTable {
    let { any, fallback } = current;
    const names = [...touched].filter((key): key is string => key !== byDefault);
    const exact: [string, HostRoutes | undefined][] = [];
    const wildcard: [string, HostRoutes | undefined][] = [];
    for (const host of names) {
      const made = hostRoutes(host);
      if (host === "") any = made;
      else if (host.startsWith("*.")) wildcard.push([host.slice(1), made]);
      else exact.push([host, made]);
    }
    if (touched.has(byDefault)) fallback = fallbackOf();
    return {
      semantics,
      exact: derive(current.exact, exact),
      wildcard: derive(current.wildcard, wildcard),
      ...(any ? { any } : {}),
      ...(fallback ? { fallback } : {}),
    };
  }

  return {
    table(sources, report) {
      const touched = claims.follow(sources);
      if (touched.size > 0) current = change(touched);
      for (const problems of faults.values()) for (const problem of problems) report(problem);
      return current;
    },
  };
}
