import { changedKeys, derive, type Listener, type Pool, type Retry, routesOfHost } from "../../routing/index.ts";
import { gatherHosts } from "../hosts.ts";
import { type NamedRetry, retryName, retrySetsOf } from "../retry-sets.ts";
import type { SlotPool } from "./slots.ts";

/** The key of a pool as it is for requests that are tried again under these conditions: it has a backend of its own. */
export function slotPoolKey(pool: string, retry: Retry | undefined): string {
  const name = retryName(retry);
  return name === undefined ? pool : `${pool}\n${name}`;
}

/** The pool that has a `slotPoolKey`. */
export function poolOfSlotPool(key: string): string {
  const end = key.indexOf("\n");
  return end < 0 ? key : key.slice(0, end);
}

interface Wish {
  readonly key: string;
  readonly pool: string;
  readonly retry: NamedRetry;
}

/** Pools that routes of a host want under conditions of their own. */
const wishesOf = gatherHosts((host): readonly Wish[] | undefined => {
  const wishes = [...routesOfHost(host)].flatMap(({ rule }): Wish[] => {
    const { retry, backends, canary, fallbackPool } = rule;
    if (!retry?.only) return [];
    const named = { ...retry, only: retry.only };
    const pools = [...backends.map(({ pool }) => pool), canary?.pool, fallbackPool];
    return pools.flatMap((pool) => (pool === undefined ? [] : [{ key: slotPoolKey(pool, retry), pool, retry: named }]));
  });
  return wishes.length === 0 ? undefined : wishes;
});

/** Pools by the keys of their backends, for one model after the other. */
export interface SlotPools {
  /** Takes over the pools of a model whose listeners these are. */
  follow(pools: ReadonlyMap<string, Pool>, listeners: readonly Listener[]): ReadonlyMap<string, SlotPool>;
  /** The same where only pools have changed. */
  update(pools: ReadonlyMap<string, Pool>): ReadonlyMap<string, SlotPool>;
}

export function createSlotPools(): SlotPools {
  let last: ReadonlyMap<string, Pool> = new Map();
  let made: ReadonlyMap<string, SlotPool> = last;
  /** By pool. */
  let wanted = new Map<string, Wish[]>();
  let served: ReadonlySet<string> = new Set();
  const known = new WeakMap<Pool, Map<string, SlotPool>>();

  function variantOf(base: Pool, { key, retry }: Wish): SlotPool {
    const name = retryName(retry) ?? "";
    // Beyond the bound it is a pool like any other.
    const asked = served.has(name);
    const id = `${name} ${asked}`;
    let variants = known.get(base);
    if (!variants) known.set(base, (variants = new Map()));
    let variant = variants.get(id);
    if (!variant) variants.set(id, (variant = { ...base, key, ...(asked ? { retry } : {}) }));
    return variant;
  }

  /** A pool with all that there are of it. */
  function all(key: string, base: Pool | undefined): [key: string, pool: SlotPool | undefined][] {
    const wishes = wanted.get(key) ?? [];
    return [
      [key, base],
      ...wishes.map((wish): [string, SlotPool | undefined] => [wish.key, base && variantOf(base, wish)]),
    ];
  }

  return {
    follow(pools, listeners) {
      served = retrySetsOf(listeners).names;
      const before = [...wanted.values()].flat().map(({ key }) => [key, undefined] as const);
      wanted = new Map();
      for (const wish of listeners.flatMap((listener) => wishesOf(listener).flat())) {
        const others = wanted.get(wish.pool) ?? [];
        if (!others.some(({ key }) => key === wish.key)) wanted.set(wish.pool, [...others, wish]);
      }
      const changes = new Map<string, SlotPool | undefined>(before);
      for (const key of [...changedKeys(last, pools), ...wanted.keys()])
        for (const [each, pool] of all(key, pools.get(key))) changes.set(each, pool);
      last = pools;
      return (made = wanted.size === 0 ? pools : derive(made, changes));
    },
    update(pools) {
      const changed = changedKeys(last, pools);
      last = pools;
      if (wanted.size === 0) return (made = pools);
      return (made = derive(
        made,
        changed.flatMap((key) => all(key, pools.get(key))),
      ));
    },
  };
}
