import { createHostTable } from "./host-table.ts";
import type { HostRoutes, HostTable, Route } from "./model.ts";
import type { Problem } from "./problem.ts";
import type { Reading } from "./reading.ts";

/** What was made of the Ingresses that name a host. */
interface Known {
  readonly group: readonly Reading[];
  readonly routes: HostRoutes;
  readonly problems: readonly Problem[];
}

/** Makes the table of all hosts: a host whose Ingresses are the same as before keeps what was made of them. */
export interface IngressHosts {
  /** `readings` is oldest first. */
  table(readings: readonly Reading[], report: (problem: Problem) => void): HostTable;
}

export function createIngressHosts(): IngressHosts {
  let known = new Map<string, Known>();
  const byHost = new WeakMap<Reading, ReadonlyMap<string, readonly Route[]>>();

  function routesOn(reading: Reading, host: string): readonly Route[] {
    if (reading.hosts.length === 1) return reading.routes;
    let index = byHost.get(reading);
    if (!index) {
      const made = new Map<string, Route[]>();
      for (const route of reading.routes) {
        const list = made.get(route.host);
        if (list) list.push(route);
        else made.set(route.host, [route]);
      }
      byHost.set(reading, (index = made));
    }
    return index.get(host) ?? [];
  }

  function make(host: string, group: readonly Reading[]): Known {
    const problems: Problem[] = [];
    const builder = createHostTable("Ingress", (problem) => problems.push(problem));
    for (const reading of group) {
      builder.addHost(host, reading.mergeSlashes);
      for (const route of routesOn(reading, host)) builder.add(route);
      if (reading.fallback) builder.addDefault(reading.fallback, [host]);
    }
    const { exact, wildcard, any } = builder.finish();
    const routes = exact.get(host) ?? wildcard.get(host.slice(1)) ?? any;
    if (!routes) throw new Error(`host ${host} has no routes`);
    return { group, routes, problems };
  }

  return {
    table(readings, report) {
      const groups = new Map<string, Reading[]>();
      const whole = createHostTable("Ingress", report);
      for (const reading of readings) {
        for (const host of reading.hosts) {
          const group = groups.get(host);
          if (group) group.push(reading);
          else groups.set(host, [reading]);
        }
        if (reading.fallback && reading.hosts.length === 0) whole.addDefault(reading.fallback, []);
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
      const fallback = whole.finish().fallback ?? readings.find((reading) => reading.fallback)?.fallback;
      return { semantics: "Ingress", exact, wildcard, ...(any ? { any } : {}), ...(fallback ? { fallback } : {}) };
    },
  };
}

function isSame(a: readonly Reading[], b: readonly Reading[]): boolean {
  return a.length === b.length && a.every((reading, index) => reading === b[index]);
}
