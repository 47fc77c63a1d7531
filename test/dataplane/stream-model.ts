import type { Listener, Owner, Pool, RoutingModel } from "../../src/routing/index.ts";

export const owner: Owner = { object: { kind: "Service", namespace: "a", name: "db" }, field: "data" };

/** A listener for each pool, which leads to that pool alone: `listenerOf` says by number where it is. */
export function streamModel(
  pools: readonly Partial<Pool>[],
  listenerOf: (index: number) => Pick<Listener, "address" | "port" | "bindPort" | "protocol">,
): RoutingModel {
  const made = pools.map((more, i): Pool => ({
    key: `p${i}`,
    service: { namespace: "a", name: "db" },
    port: "3306",
    protocol: "tcp",
    endpoints: [],
    ...more,
  }));
  const listeners = made.map(({ key }, i): Listener => {
    const rule = {
      id: key,
      filters: [],
      backends: [{ pool: key, weight: 1, filters: [], owner }],
      timeouts: {},
      owner,
    };
    const streams = { exact: new Map(), wildcard: new Map(), any: { id: key, host: "", rule, owner } };
    const servers = new Map([["", { kind: "stream" as const, hostname: "", streams, owner }]]);
    return { name: key, ...listenerOf(i), servers };
  });
  return { listeners, pools: new Map(made.map((pool) => [pool.key, pool])) };
}
