import type { Service } from "../../kube/index.ts";
import { createHosts, type Hosts, type HostSource } from "../hosts.ts";
import type { StreamRoute } from "../model.ts";
import { createPoolMemory, type poolOf } from "../pool.ts";
import { type Ask, recall, type Remembered } from "../recall.ts";
import type { BackendUse } from "./backends.ts";
import { observed, yes } from "./conditions.ts";
import type { AnyRoute, GatewayCondition, ParentStatus, RouteKindName } from "./types.ts";

export interface RouteReport {
  readonly kind: RouteKindName;
  readonly route: AnyRoute;
  /** For the parents that are ours, in the order of the object. */
  readonly parents: readonly ParentStatus[];
}

/** What a route is on one listener. */
export interface RouteAt {
  /** Index among the report's parents. */
  readonly parent: number;
  /** Of the listener: `entryKey`. */
  readonly entry: string;
  readonly source: HostSource;
  readonly streams: readonly StreamRoute[];
}

/** What one route object means, beside the endpoints that it leads to. */
export interface RouteReading {
  /** Absent when no parent is ours. */
  readonly report?: RouteReport;
  readonly at: readonly RouteAt[];
  readonly uses: readonly BackendUse[];
}

/** What a route may ask for, beside its surroundings. */
export interface RouteWorld {
  /** By `namespace/name`. */
  service: Service | undefined;
  /** Of a namespace. */
  labels: Readonly<Record<string, string>> | undefined;
}

/** Why a route is never asked on some parents: sentences, by index of the parent. */
export type Shadows = ReadonlyMap<number, readonly string[]>;

/** What was worked out before. Objects that mean the same must be the same objects, or they are read anew. */
export interface GatewayMemory {
  readonly poolOf: typeof poolOf;
  /** The table of hosts of a listener, by `entryKey`. */
  hosts(entry: string): Hosts;
  /** A mark of what all routes depend on: the same while `parts` are the same, one by one. */
  surroundings(parts: readonly unknown[]): object;
  /** What `route` means: worked out anew for other surroundings, or when what it asked for is answered otherwise. */
  route(
    route: AnyRoute,
    surroundings: object,
    ask: Ask<RouteWorld>,
    make: (ask: Ask<RouteWorld>) => RouteReading,
  ): RouteReading;
  /** The report with its shadows; the same object while both say the same. */
  shadowed(report: RouteReport, shadows: Shadows | undefined): RouteReport;
  /** Forgets what was not used; routes are forgotten with their objects. */
  keep(used: { readonly pools: { has(key: string): boolean }; readonly tables: { has(key: string): boolean } }): void;
}

export function createGatewayMemory(): GatewayMemory {
  const pools = createPoolMemory();
  const tables = new Map<string, Hosts>();
  const routes = new WeakMap<AnyRoute, { surroundings: object; remembered: Remembered<RouteWorld, RouteReading> }>();
  const told = new WeakMap<RouteReport, { readonly text: string; readonly report: RouteReport }>();
  let parts: readonly unknown[] = [];
  let mark = {};
  return {
    poolOf: (...args) => pools.poolOf(...args),
    hosts(entry) {
      let table = tables.get(entry);
      if (!table) tables.set(entry, (table = createHosts("Gateway")));
      return table;
    },
    surroundings(now) {
      if (now.length !== parts.length || now.some((part, index) => part !== parts[index])) mark = {};
      parts = now;
      return mark;
    },
    route(route, surroundings, ask, make) {
      const known = routes.get(route);
      const before = known?.surroundings === surroundings ? known.remembered : undefined;
      const remembered = recall(before, ask, make);
      if (remembered !== before) routes.set(route, { surroundings, remembered });
      return remembered.value;
    },
    shadowed(report, shadows) {
      if (!shadows) return report;
      const text = JSON.stringify([...shadows]);
      const known = told.get(report);
      if (known?.text === text) return known.report;
      const made = withShadows(report, shadows);
      told.set(report, { text, report: made });
      return made;
    },
    keep(used) {
      pools.keep(used.pools);
      for (const key of tables.keys()) if (!used.tables.has(key)) tables.delete(key);
    },
  };
}

/** A match that another route has in the same form and that comes first is never asked: the condition says so. */
export const shadowedCondition = "fairlead.dev/Shadowed";

function withShadows(report: RouteReport, shadows: Shadows): RouteReport {
  const parents = report.parents.map((parent, index) => {
    const why = shadows.get(index);
    if (!why) return parent;
    const condition: GatewayCondition = yes(shadowedCondition, "Conflict", why.join("; ").slice(0, 1024));
    return {
      ...parent,
      conditions: [...parent.conditions, ...observed([condition], report.route.metadata.generation)],
    };
  });
  return { ...report, parents };
}
