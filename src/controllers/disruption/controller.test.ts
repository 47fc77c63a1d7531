import { afterEach, beforeEach, expect, test } from "vitest";
import { type PodDisruptionBudgetSpec, resources } from "../../kube/index.ts";
import { startReplicaSetController } from "../replica-set/controller.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { startDisruptionController } from "./controller.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = startCluster();
  startReplicaSetController(cluster);
  startDisruptionController(cluster);
});
afterEach(() => cluster.stop());

const name = { namespace: "a", name: "b" };
const selector = { matchLabels: { app: "x" } };
const add = (spec: PodDisruptionBudgetSpec) =>
  cluster.client.create(resources.PodDisruptionBudget, { metadata: name, spec: { selector, ...spec } });
const status = async () => (await cluster.client.get(resources.PodDisruptionBudget, name)).status;
/** A ReplicaSet, with so many of its pods ready. */
async function addSet(replicas: number, ready: number): Promise<void> {
  await cluster.client.create(resources.ReplicaSet, {
    metadata: { namespace: "a", name: "rs" },
    spec: { replicas, selector, template: { metadata: { labels: { app: "x" } }, spec: { containers: [] } } },
  });
  await cluster.settle();
  for (const pod of (await cluster.pods()).slice(0, ready)) await cluster.run(pod);
  await cluster.settle();
}

test.each([
  [{ minAvailable: 2 }, { expectedPods: 5, desiredHealthy: 2, currentHealthy: 4, disruptionsAllowed: 2 }],
  [{ minAvailable: "50%" }, { expectedPods: 5, desiredHealthy: 3, currentHealthy: 4, disruptionsAllowed: 1 }],
  [{ maxUnavailable: 1 }, { expectedPods: 5, desiredHealthy: 4, currentHealthy: 4, disruptionsAllowed: 0 }],
  [{ maxUnavailable: "30%" }, { expectedPods: 5, desiredHealthy: 3, currentHealthy: 4, disruptionsAllowed: 1 }],
  [{ maxUnavailable: "100%" }, { expectedPods: 5, desiredHealthy: 0, currentHealthy: 4, disruptionsAllowed: 4 }],
])("%j of five pods, of which four are ready", async (spec, expected) => {
  await addSet(5, 4);
  await add(spec);
  await cluster.settle();
  expect(await status()).toMatchObject({ ...expected, observedGeneration: 1 });
  const allowed = expected.disruptionsAllowed > 0;
  expect((await status())?.conditions).toMatchObject([
    {
      type: "DisruptionAllowed",
      status: allowed ? "True" : "False",
      reason: allowed ? "SufficientPods" : "InsufficientPods",
    },
  ]);
});

test("an eviction that nothing comes of counts for two minutes", async () => {
  await addSet(2, 2);
  const [pod] = await cluster.pods();
  const disruptedPods = { [pod?.metadata.name ?? ""]: new Date(cluster.clock.now()).toISOString().slice(0, 19) + "Z" };
  await add({ minAvailable: 1 });
  await cluster.settle();
  const budget = await cluster.client.get(resources.PodDisruptionBudget, name);
  await cluster.client.updateStatus(resources.PodDisruptionBudget, {
    ...budget,
    status: { ...budget.status!, disruptionsAllowed: 0, disruptedPods },
  });
  await cluster.settle();
  expect(await status()).toMatchObject({ currentHealthy: 1, disruptionsAllowed: 0, disruptedPods });
  await cluster.clock.advance(121_000);
  await cluster.settle();
  expect(await status()).toMatchObject({ currentHealthy: 2, disruptionsAllowed: 1 });
  expect((await status())?.disruptedPods).toBeUndefined();
});

test("what nobody manages has no number to take a percentage of", async () => {
  await cluster.client.create(resources.Pod, {
    metadata: { namespace: "a", name: "alone", labels: { app: "x" } },
    spec: { containers: [] },
  });
  await add({ maxUnavailable: 1 });
  await cluster.settle();
  expect(await status()).toMatchObject({ expectedPods: 0, disruptionsAllowed: 0 });
  const events = (await cluster.client.list(resources.Event)).items.map(({ reason }) => reason);
  expect(events).toContain("UnmanagedPods");
});
