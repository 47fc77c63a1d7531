import { expect, test } from "vitest";
import { createMetrics } from "../system/index.ts";
import type { Claims } from "./allocate.ts";
import { parsePools } from "./pools.ts";
import { tellOfPools } from "./pool-figures.ts";

test("addresses are counted by pool and state once it is known who has which", async () => {
  const metrics = createMetrics();
  let claims: Claims | undefined;
  tellOfPools(metrics, parsePools(["10.97.0.0/24", "10.98.0.1-10.98.0.2"]), () => claims);
  const told = async () =>
    (await metrics.text()).split("\n").filter((line) => line.startsWith("fairlead_loadbalancer"));
  expect(await told()).toEqual([]);
  const owner = { service: "shop/web", uid: "1" };
  // The last is of a pool that is no longer configured.
  claims = new Map(["10.97.0.1", "10.97.0.7", "10.98.0.2", "192.0.2.1"].map((address) => [address, owner]));
  expect(await told()).toEqual([
    'fairlead_loadbalancer_addresses{pool="10.97.0.0/24",state="assigned"} 2',
    'fairlead_loadbalancer_addresses{pool="10.97.0.0/24",state="free"} 252',
    'fairlead_loadbalancer_addresses{pool="10.98.0.1-10.98.0.2",state="assigned"} 1',
    'fairlead_loadbalancer_addresses{pool="10.98.0.1-10.98.0.2",state="free"} 1',
  ]);
});
