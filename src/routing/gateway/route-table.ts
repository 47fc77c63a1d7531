import { keyOf, type Service } from "../../kube/index.ts";
import { createClaims } from "../claims.ts";
import { derive } from "../derived.ts";
import type { HostSource } from "../hosts.ts";
import type { StreamRoute } from "../model.ts";
import { createOldestFirst } from "../owner.ts";
import type { PoolSource } from "../pool-table.ts";
import { type Ask, createRecallTable, type Doubts } from "../recall.ts";
import type { BackendUse } from "./backends.ts";
import { observed, yes } from "./conditions.ts";
import { type AnyRoute, type GatewayCondition, type ParentStatus, type RouteKindName, routeKinds } from "./types.ts";

export interface RouteReport {
  readonly kind: RouteKindName;
  readonly route: AnyRoute;
  /** For the parents that are ours, in the order of the object. */
  readonly parents: readonly ParentStatus[];
}

/** What a route is on one listener. */
export interface RouteAt {
  /** Indices among the report's parents. */
  readonly parents: readonly number[];
  readonly source: HostSource;
  readonly streams: readonly StreamRoute[];
}

/** What one route object means, beside the endpoints that it leads to. */
export interface RouteReading extends PoolSource {
  /** Absent when no parent is ours. */
  readonly report?: RouteReport;
  /** It only leads proofs of names. */
  readonly isProof: boolean;
  /** By listener: `entryKey`. */
  readonly at: ReadonlyMap<string, RouteAt>;
  readonly backends: readonly BackendUse[];
}

/** What a route may ask for, beside its surroundings. */
export interface RouteWorld {
  /** By `namespace/name`. */
  service: Service | undefined;
  /** Of a namespace. */
  labels: Readonly<Record<string, string>> | undefined;
}

/** Why a match is never asked on a listener (`entryKey`). */
export interface Shadow {
  readonly entry: string;
  readonly why: string;
}

/** What is attached to a listener, oldest route first. The same object while it is the same. */
export interface Attached {
  /** Routes, but for those that lead proofs. */
  readonly count: number;
  readonly sources: readonly HostSource[];
  readonly streams: readonly StreamRoute[];
  readonly proofs: readonly StreamRoute[];
}

/** All routes, one translation after the other: it costs a look at each route, and work for what is another one. */
export interface RouteTable {
  /** What the routes mean, each kind oldest first: worked out anew for other surroundings, or when what was asked for is answered otherwise. */
  read(
    routes: Readonly<Record<RouteKindName, readonly AnyRoute[]>>,
    surroundings: object,
    ask: Ask<RouteWorld>,
    make: (kind: RouteKindName, route: AnyRoute, ask: Ask<RouteWorld>) => RouteReading,
    doubts?: Doubts<RouteWorld>,
  ): readonly RouteReading[];
  /** What was read, on one listener (`entryKey`). */
  attachedTo(entry: string): Attached;
  /** The Gateways by which requests come to what a BackendTLSPolicy has as its target. */
  gatewaysTo(target: string): ReadonlySet<string>;
  /** What became of those that were read, by `kind namespace/name`; `shadows` by the same. The same map, and the same reports, while they say the same. */
  reports(shadows: ReadonlyMap<string, readonly Shadow[]>): ReadonlyMap<string, RouteReport>;
  asks(what: keyof RouteWorld, key: string): boolean;
}

const nothing: Attached = { count: 0, sources: [], streams: [], proofs: [] };

const at = "at ";
const to = "to ";

/** Its name, the listeners that it is on, and the targets of policies that it leads to. */
function* keysOf(reading: RouteReading): Generator<string> {
  if (reading.report) yield `${reading.report.kind} ${keyOf(reading.report.route)}`;
  for (const entry of reading.at.keys()) yield at + entry;
  for (const { policy } of reading.backends) if (policy !== undefined) yield to + policy;
}

export function createRouteTable(): RouteTable {
  const kinds = routeKinds.map((kind) => ({
    kind,
    inOrder: createOldestFirst<AnyRoute>(),
    meanings: createRecallTable<RouteWorld, AnyRoute, RouteReading>(),
  }));
  const claims = createClaims<RouteReading>(keysOf);
  const attached = new Map<string, Attached>();
  const told = new WeakMap<RouteReport, { readonly text: string; readonly report: RouteReport }>();
  let around = {};
  let parts: readonly (readonly RouteReading[])[] = [];
  let readings: readonly RouteReading[] = [];
  /** Names of routes whose reports are to be looked at: those of others, and those that had shadows. */
  const touched = new Set<string>();
  let reports: ReadonlyMap<string, RouteReport> = new Map();

  function attach(entry: string): Attached {
    const sources: HostSource[] = [];
    const streams: StreamRoute[] = [];
    const proofs: StreamRoute[] = [];
    for (const reading of claims.of(at + entry)) {
      const here = reading.at.get(entry);
      if (!here) continue;
      if (!reading.isProof) sources.push(here.source);
      for (const stream of here.streams) (reading.isProof ? proofs : streams).push(stream);
    }
    return { count: sources.length, sources, streams, proofs };
  }

  function reportOf(name: string, shadows: readonly Shadow[] | undefined): RouteReport | undefined {
    const [reading] = claims.of(name);
    const report = reading?.report;
    if (!report || !shadows) return report;
    const found = new Map<number, string[]>();
    for (const { entry, why } of shadows)
      for (const parent of reading.at.get(entry)?.parents ?? []) found.set(parent, [...(found.get(parent) ?? []), why]);
    const text = JSON.stringify([...found]);
    const known = told.get(report);
    if (known?.text === text) return known.report;
    const made = withShadows(report, found);
    told.set(report, { text, report: made });
    return made;
  }

  return {
    read(routes, surroundings, ask, make, doubts) {
      if (surroundings !== around) for (const { meanings } of kinds) meanings.forget();
      around = surroundings;
      const now = kinds.map(({ kind, inOrder, meanings }) =>
        meanings.read(inOrder(routes[kind]), ask, (route, asked) => make(kind, route, asked), doubts),
      );
      if (now.some((part, index) => part !== parts[index])) readings = now.flat();
      parts = now;
      for (const key of claims.follow(readings)) {
        if (key.startsWith(at)) attached.delete(key);
        else if (!key.startsWith(to)) touched.add(key);
      }
      return readings;
    },
    attachedTo(entry) {
      const key = at + entry;
      if (!claims.has(key)) return nothing;
      let known = attached.get(key);
      if (!known) attached.set(key, (known = attach(entry)));
      return known;
    },
    gatewaysTo(target) {
      const found = new Set<string>();
      for (const { backends } of claims.of(to + target))
        for (const { policy, gateway } of backends) if (policy === target) found.add(gateway);
      return found;
    },
    reports(shadows) {
      for (const name of shadows.keys()) touched.add(name);
      reports = derive(
        reports,
        [...touched].map((name) => [name, reportOf(name, shadows.get(name))] as const),
      );
      touched.clear();
      for (const name of shadows.keys()) touched.add(name);
      return reports;
    },
    asks: (what, key) => kinds.some(({ meanings }) => meanings.asks(what, key)),
  };
}

/** A match that another route has in the same form and that comes first is never asked: the condition says so. */
export const shadowedCondition = "fairlead.dev/Shadowed";

/** `shadows`: sentences, by index of the parent. */
function withShadows(report: RouteReport, shadows: ReadonlyMap<number, readonly string[]>): RouteReport {
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
