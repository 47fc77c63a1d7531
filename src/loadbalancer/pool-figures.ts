import type { Metrics } from "../system/index.ts";
import type { ClaimBook } from "./claim-book.ts";
import { sizeOf, type Pool } from "./pools.ts";

/** Tells how many addresses of each pool are given, kept for who had them, and free. Call it again when the pools have changed. */
export function tellOfPools(metrics: Metrics, book: ClaimBook): (pools: readonly Pool[]) => void {
  const addresses = metrics.gauge(
    "fairlead_loadbalancer_addresses",
    "Addresses of a pool, by state: assigned to a Service, reserved for one that is gone, or free.",
    ["pool", "state"],
  );
  /** By name, as it is now; a pool that is gone tells nothing. */
  const current = new Map<string, Pool>();
  const known = new Set<string>();
  return (pools) => {
    current.clear();
    for (const pool of pools) current.set(pool.name, pool);
    for (const { name } of pools) {
      if (known.has(name)) continue;
      known.add(name);
      const count = () => {
        const pool = current.get(name);
        return pool && book.count(pool.ranges);
      };
      addresses(name, "assigned").from(() => count()?.assigned);
      addresses(name, "reserved").from(() => count()?.reserved);
      addresses(name, "free").from(() => {
        const pool = current.get(name);
        const found = count();
        if (!pool || !found) return undefined;
        const size = pool.ranges.reduce((sum, range) => sum + sizeOf(range), 0n);
        return Number(size) - found.assigned - found.reserved;
      });
    }
  };
}
