import {
  formatTime,
  resources,
  semanticEqual,
  setCondition,
  type Condition,
  type CustomResourceDefinition,
  type KubeObject,
  type LabelSelector,
  type Resource,
} from "../kube/index.ts";
import { messageOf, type Client, type Informers } from "../client/index.ts";
import type { Clock, Logger } from "../system/index.ts";
import type { ClaimBook } from "./claim-book.ts";
import { addressPools, type AddressPool, type AddressPoolSpec, type AddressPoolStatus } from "./definitions.ts";
import { overlapOf, PoolError, readPool, sizeOf, type Pool } from "./pools.ts";

/** The pools that are in force: those of flags, AddressPools, and MetalLB's IPAddressPools where their definition is there. */
export interface PoolSource {
  /** Settles when all that exist have been read. */
  readonly ready: Promise<void>;
  pools(): readonly Pool[];
  onChange(listener: () => void): void;
  /** Writes into the statuses of AddressPools what has changed: how many addresses are given, and whether the pool can be read. */
  report(book: ClaimBook): Promise<void>;
}

export interface PoolSourceOptions {
  readonly client: Client;
  readonly informers: Informers;
  /** Of the command's flags: they come first. */
  readonly flags: readonly Pool[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** `metallb.io/v1beta1`. */
interface MetalLbPool extends KubeObject {
  readonly spec?: {
    readonly addresses?: readonly string[];
    readonly autoAssign?: boolean;
    readonly avoidBuggyIPs?: boolean;
    readonly serviceAllocation?: {
      readonly priority?: number;
      readonly namespaces?: readonly string[];
      readonly namespaceSelectors?: readonly LabelSelector[];
      readonly serviceSelectors?: readonly LabelSelector[];
    };
  };
}

const metalLbPools: Resource<MetalLbPool> = {
  group: "metallb.io",
  version: "v1beta1",
  kind: "IPAddressPool",
  plural: "ipaddresspools",
  singular: "ipaddresspool",
  namespaced: true,
  shortNames: [],
  categories: [],
  subresources: ["status"],
};

interface Source {
  readonly name: string;
  readonly created: string;
  readonly spec: AddressPoolSpec;
  readonly whole: boolean;
}

export function startPoolSource({ client, informers, flags, clock, log }: PoolSourceOptions): PoolSource {
  const own = informers.of(addressPools);
  const definitions = informers.of(resources.CustomResourceDefinition);
  let theirs: { list(): readonly MetalLbPool[]; readonly synced: Promise<void> } | undefined;
  const listeners: (() => void)[] = [];
  /** By name: why a pool is not in force. */
  let faults = new Map<string, string>();
  let current: readonly Pool[] | undefined;

  const changed = () => {
    current = undefined;
    for (const listener of listeners) listener();
  };
  own.onChange(({ before, after }) => {
    if (!semanticEqual(before?.spec, after?.spec)) changed();
  });
  const watchTheirs = (definition: CustomResourceDefinition | undefined) => {
    if (theirs || definition?.metadata.name !== "ipaddresspools.metallb.io" || !servesBeta(definition)) return;
    const informer = informers.of(metalLbPools);
    theirs = informer;
    informer.onChange(({ before, after }) => {
      if (!semanticEqual(before?.spec, after?.spec)) changed();
    });
  };
  definitions.onChange(({ after }) => watchTheirs(after));

  const sources = (): Source[] => {
    const mine = own.list().map(({ metadata, spec }): Source => ({
      name: metadata.name,
      created: metadata.creationTimestamp ?? "",
      spec: spec ?? {},
      whole: false,
    }));
    const metalLb = (theirs?.list() ?? []).map(({ metadata, spec = {} }): Source => {
      const { addresses, autoAssign, avoidBuggyIPs, serviceAllocation } = spec;
      return {
        name: metadata.name,
        created: metadata.creationTimestamp ?? "",
        whole: true,
        spec: {
          ...(addresses ? { addresses } : {}),
          ...(autoAssign === undefined ? {} : { autoAssign }),
          ...(avoidBuggyIPs === undefined ? {} : { avoidBuggyIPs }),
          ...serviceAllocation,
        },
      };
    });
    return [...mine, ...metalLb].sort((a, b) =>
      a.created === b.created ? (a.name < b.name ? -1 : 1) : a.created < b.created ? -1 : 1,
    );
  };

  const read = (): readonly Pool[] => {
    const pools = [...flags];
    const before = faults;
    faults = new Map();
    for (const { name, spec, whole } of sources()) {
      try {
        const pool = readPool(name, spec, { whole });
        for (const other of pools) {
          if (other.name === name) throw new PoolError(`another pool is called ${name}; give this one another name`);
          const shared = overlapOf(pool.ranges, other.ranges);
          if (shared) {
            throw new PoolError(`spec.addresses: ${shared.text} shares addresses with the older pool ${other.name}`);
          }
        }
        pools.push(pool);
      } catch (error) {
        if (!(error instanceof PoolError)) throw error;
        faults.set(name, error.message);
        if (before.get(name) !== error.message)
          log.warn({ pool: name, error: error.message }, "an address pool is not in force");
      }
    }
    return pools;
  };
  const pools = () => (current ??= read());

  const ready = Promise.all([own.synced, definitions.synced]).then(async () => {
    for (const definition of definitions.list()) watchTheirs(definition);
    await theirs?.synced;
  });
  ready.catch(() => {});

  return {
    ready,
    pools,
    onChange: (listener) => void listeners.push(listener),
    async report(book) {
      const inForce = new Map(pools().map((pool) => [pool.name, pool]));
      for (const object of own.list()) {
        const status = statusOf(
          object,
          faults.get(object.metadata.name),
          inForce.get(object.metadata.name),
          book,
          clock,
        );
        if (semanticEqual(status, object.status)) continue;
        await client.updateStatus(addressPools, { ...object, status }).catch((error: unknown) => {
          log.debug({ pool: object.metadata.name, error: messageOf(error) }, "the pool's status was not written");
        });
      }
    },
  };
}

function servesBeta({ spec, status }: CustomResourceDefinition): boolean {
  const established = status?.conditions?.some(({ type, status: is }) => type === "Established" && is === "True");
  return Boolean(established) && spec.versions.some(({ name, served }) => name === "v1beta1" && served);
}

function statusOf(
  object: AddressPool,
  fault: string | undefined,
  pool: Pool | undefined,
  book: ClaimBook,
  clock: Clock,
): AddressPoolStatus {
  const condition = {
    type: "Valid",
    status: fault === undefined ? "True" : "False",
    reason: fault === undefined ? "Valid" : "Invalid",
    message: fault ?? "addresses are given from this pool",
    ...(object.metadata.generation === undefined ? {} : { observedGeneration: object.metadata.generation }),
  };
  const conditions = setCondition<Condition>(object.status?.conditions, condition, formatTime(clock.now()));
  if (!pool || fault !== undefined) return { conditions };
  const { assigned, reserved } = book.count(pool.ranges);
  const size = pool.ranges.reduce((sum, range) => sum + sizeOf(range), 0n);
  return { assigned, reserved, free: String(size - BigInt(assigned + reserved)), conditions };
}
