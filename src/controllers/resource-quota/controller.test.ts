import { afterEach, beforeEach, expect, test } from "vitest";
import { resources } from "../../kube/index.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { startResourceQuotaController } from "./controller.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = startCluster();
  startResourceQuotaController(cluster);
});
afterEach(() => cluster.stop());

const namespace = "default";
const quota = (hard: Record<string, string>) =>
  cluster.client.create(resources.ResourceQuota, { metadata: { name: "q", namespace }, spec: { hard } });
const map = (name: string) => cluster.client.create(resources.ConfigMap, { metadata: { name, namespace } });
const statusOf = async () => {
  await cluster.settle();
  return (await cluster.client.get(resources.ResourceQuota, { name: "q", namespace })).status;
};

test("a quota says what its namespace uses", async () => {
  await map("a");
  await quota({ "count/configmaps": "5", "requests.cpu": "2", pods: "3" });
  const containers = [{ name: "c", image: "i", resources: { requests: { cpu: "250m" } } }];
  await cluster.client.create(resources.Pod, { metadata: { name: "p", namespace }, spec: { containers } });
  expect(await statusOf()).toEqual({
    hard: { "count/configmaps": "5", "requests.cpu": "2", pods: "3" },
    used: { "count/configmaps": "1", "requests.cpu": "0", pods: "0" },
  });
  const { metadata } = await cluster.client.get(resources.ResourceQuota, { name: "q", namespace });
  await cluster.client.update(resources.ResourceQuota, {
    apiVersion: "v1",
    kind: "ResourceQuota",
    metadata,
    spec: { hard: { "requests.cpu": "4" } },
  });
  expect(await statusOf()).toEqual({ hard: { "requests.cpu": "4" }, used: { "requests.cpu": "250m" } });
});

test("what goes is given back, but not before the quota has been left alone", async () => {
  await map("a");
  await map("b");
  await quota({ configmaps: "5" });
  expect((await statusOf())?.used).toEqual({ configmaps: "2" });
  await cluster.client.delete(resources.ConfigMap, { name: "a", namespace });
  expect((await statusOf())?.used).toEqual({ configmaps: "2" });
  await cluster.clock.advance(500);
  expect((await statusOf())?.used).toEqual({ configmaps: "1" });
});

test("what a kind that is not built in uses stays as it was counted", async () => {
  const created = await quota({ "count/widgets.example.com": "5" });
  const status = { hard: { "count/widgets.example.com": "5" }, used: { "count/widgets.example.com": "3" } };
  await cluster.client.updateStatus(resources.ResourceQuota, { ...created, status });
  expect((await statusOf())?.used).toEqual({ "count/widgets.example.com": "3" });
});
