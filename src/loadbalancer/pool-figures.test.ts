import { expect, test } from "vitest";
import { createMetrics } from "../system/index.ts";
import { createClaimBook } from "./claim-book.ts";
import { tellOfPools } from "./pool-figures.ts";
import { flagPool } from "./pools.ts";

test("addresses are counted by pool and state", async () => {
  const metrics = createMetrics();
  const book = createClaimBook();
  const tell = tellOfPools(metrics, book);
  const told = async () =>
    (await metrics.text()).split("\n").filter((line) => line.startsWith("fairlead_loadbalancer"));
  expect(await told()).toEqual([]);
  const small = flagPool(["10.98.0.1-10.98.0.2"], "small");
  tell([flagPool(["10.97.0.0/24"]), small]);
  const owners = [{ kind: "Service", namespace: "shop", name: "web", uid: "1", ports: [] }];
  // The last is of a pool that is no longer there.
  for (const address of ["10.97.0.1", "10.97.0.7", "10.98.0.2", "192.0.2.1"]) book.set({ address, owners });
  book.set({ address: "10.97.0.9", reservedFor: { kind: "Service", namespace: "shop", name: "old" } });
  expect(await told()).toEqual([
    'fairlead_loadbalancer_addresses{pool="default",state="assigned"} 2',
    'fairlead_loadbalancer_addresses{pool="default",state="reserved"} 1',
    'fairlead_loadbalancer_addresses{pool="default",state="free"} 251',
    'fairlead_loadbalancer_addresses{pool="small",state="assigned"} 1',
    'fairlead_loadbalancer_addresses{pool="small",state="reserved"} 0',
    'fairlead_loadbalancer_addresses{pool="small",state="free"} 1',
  ]);
  tell([small]);
  expect((await told()).length).toBe(3);
});
