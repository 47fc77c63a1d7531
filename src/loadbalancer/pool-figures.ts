import { parseIp } from "../kube/index.ts";
import type { Metrics } from "../system/index.ts";
import type { Claims } from "./allocate.ts";
import { poolOf, type AddressRange } from "./pools.ts";

/** Tells how many addresses of each pool are given and how many are free. `claims`: undefined while they are not known. */
export function tellOfPools(metrics: Metrics, pools: readonly AddressRange[], claims: () => Claims | undefined): void {
  const addresses = metrics.gauge(
    "fairlead_loadbalancer_addresses",
    "Addresses of a pool, by state: assigned to a Service, or free.",
    ["pool", "state"],
  );
  for (const pool of pools) {
    const size = Number(pool.last - pool.first + 1n);
    const assigned = (): number | undefined => {
      const known = claims();
      return known && assignedIn(pool, known);
    };
    addresses(pool.text, "assigned").from(assigned);
    addresses(pool.text, "free").from(() => {
      const taken = assigned();
      return taken === undefined ? undefined : size - taken;
    });
  }
}

function assignedIn(pool: AddressRange, claims: Claims): number {
  let count = 0;
  for (const address of claims.keys()) {
    const ip = parseIp(address);
    if (ip && poolOf([pool], ip)) count++;
  }
  return count;
}
