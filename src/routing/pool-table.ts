import type { EndpointSlice, Service } from "../kube/index.ts";
import { createClaims } from "./claims.ts";
import { derive } from "./derived.ts";
import type { ObjectRef, Pool } from "./model.ts";
import { type Absence, createPoolMemory, type poolOf, type PoolTarget } from "./pool.ts";
import type { Problem } from "./problem.ts";

/** What a route asks for: a Service port, or something that no Service is. */
export type Backend =
  | { readonly key: string; readonly field: string; readonly target: PoolTarget }
  | { readonly key: string; readonly field: string; readonly unsupported: Pool };

/** What one object asks for. The same object while it asks the same. */
export interface PoolSource {
  readonly object: ObjectRef;
  readonly backends: readonly Backend[];
}

/** Look-ups by `namespace/name`. */
export interface PoolWorld {
  readonly service: (key: string) => Service | undefined;
  readonly slices: (key: string) => readonly EndpointSlice[];
  /** The Services that may answer otherwise than the last time, their EndpointSlices too. Default: all. */
  readonly changed?: ReadonlySet<string>;
}

/** Both maps are the same objects as the last time when they say the same. */
export interface Pools {
  readonly pools: ReadonlyMap<string, Pool>;
  readonly targets: ReadonlyMap<string, PoolTarget>;
  readonly problems: readonly Problem[];
}

/** The pools that a list of objects asks for, one list after the other: it costs a look at each object, and work for what is another one. */
export interface PoolTable {
  read(sources: readonly PoolSource[], world: PoolWorld): Pools;
  /** Whether the Service was asked for, there or not. */
  uses(service: string): boolean;
  /** What is asked of a Service. */
  targetsOf(service: string): readonly PoolTarget[];
  /** For a pool whose endpoints have changed: what `read` would make of it. */
  readonly poolOf: typeof poolOf;
}

export function createPoolTable(): PoolTable {
  const memory = createPoolMemory();
  const claims = createClaims<PoolSource>(({ backends }) => new Set(backends.map(({ key }) => key)));
  /** Keys of the pools of each Service. */
  const byService = new Map<string, Set<string>>();
  const absences = new Map<string, Absence>();
  let pools: ReadonlyMap<string, Pool> = new Map();
  let targets: ReadonlyMap<string, PoolTarget> = new Map();

  /** What the first of those who ask for a pool asks for. */
  function wantedAs(key: string): Backend | undefined {
    return claims.of(key)[0]?.backends.find((backend) => backend.key === key);
  }

  function retarget(touched: ReadonlySet<string>): void {
    const changes: [string, PoolTarget | undefined][] = [];
    for (const key of touched) {
      const before = targets.get(key);
      if (before) forget(serviceOf(before), key);
      const backend = wantedAs(key);
      const target = backend && "target" in backend ? backend.target : undefined;
      changes.push([key, target]);
      if (!target) continue;
      const service = serviceOf(target);
      const keys = byService.get(service);
      if (keys) keys.add(key);
      else byService.set(service, new Set([key]));
    }
    targets = derive(targets, changes);
  }

  function forget(service: string, key: string): void {
    const keys = byService.get(service);
    keys?.delete(key);
    if (keys?.size === 0) byService.delete(service);
  }

  function make(key: string, { service, slices }: PoolWorld): Pool | undefined {
    absences.delete(key);
    const target = targets.get(key);
    if (!target) {
      memory.forget(key);
      const backend = wantedAs(key);
      return backend && "unsupported" in backend ? backend.unsupported : undefined;
    }
    const name = serviceOf(target);
    const { pool, absence } = memory.poolOf(target, service(name), slices(name));
    if (absence) absences.set(key, absence);
    return pool;
  }

  function* absent({ service }: PoolWorld): Generator<Problem> {
    for (const [key, absence] of absences) {
      const target = targets.get(key);
      if (!target) continue;
      const message = `${pools.get(key)?.absent ?? ""}; its requests get 503`;
      const remedy = remedyOf(absence, target, service(serviceOf(target)));
      for (const { object, backends } of claims.of(key))
        for (const backend of backends) {
          if (backend.key !== key) continue;
          const field = `${backend.field}.service${absence === "ServicePortNotFound" ? ".port" : ".name"}`;
          yield { object, field, reason: absence, message, remedy };
        }
    }
  }

  return {
    read(sources, world) {
      const touched = claims.follow(sources);
      if (touched.size > 0) retarget(touched);
      const { changed } = world;
      const others = changed ? [...changed].flatMap((service) => [...(byService.get(service) ?? [])]) : targets.keys();
      const keys = new Set([...touched, ...others]);
      pools = derive(
        pools,
        [...keys].map((key) => [key, make(key, world)] as const),
      );
      return { pools, targets, problems: [...absent(world)] };
    },
    uses: (service) => byService.has(service),
    targetsOf: (service) => [...(byService.get(service) ?? [])].flatMap((key) => targets.get(key) ?? []),
    poolOf: memory.poolOf,
  };
}

const serviceOf = ({ namespace, service }: PoolTarget): string => `${namespace}/${service}`;

function remedyOf(absence: Absence, target: PoolTarget, service: Service | undefined): string {
  const ports = (service?.spec.ports ?? []).map(({ name, port }) => (name ? `${name} (${port})` : String(port)));
  const remedies: Record<Absence, string> = {
    ServiceNotFound: `create Service ${target.service} in namespace ${target.namespace}, or correct the name`,
    ServicePortNotFound: ports.length === 0 ? "give the Service a port" : `name one of its ports: ${ports.join(", ")}`,
    UnsupportedService: "use a Service with endpoints that speak HTTP",
  };
  return remedies[absence];
}
