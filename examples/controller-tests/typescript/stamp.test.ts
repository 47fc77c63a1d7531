import * as k8s from "@kubernetes/client-node";
import { startTestCluster, type TestCluster } from "fairlead/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startStamping } from "./stamp.ts";

let cluster: TestCluster;
let core: k8s.CoreV1Api;
let stamping: { stop(): Promise<void> };

beforeAll(async () => {
  cluster = await startTestCluster();
  const config = new k8s.KubeConfig();
  config.loadFromString(cluster.kubeconfig);
  core = config.makeApiClient(k8s.CoreV1Api);
  stamping = await startStamping(config);
});

afterAll(async () => {
  await stamping.stop();
  await cluster.stop();
});

const annotationsOf = async (name: string) =>
  (await core.readNamespacedConfigMap({ name, namespace: "default" })).metadata?.annotations;

it("stamps what asks for it", async () => {
  const labels = { stamp: "" };
  await core.createNamespacedConfigMap({ namespace: "default", body: { metadata: { name: "a", labels } } });
  await expect.poll(() => annotationsOf("a")).toEqual({ stamped: "yes" });
});

it("leaves the others alone", async () => {
  await core.createNamespacedConfigMap({ namespace: "default", body: { metadata: { name: "b" } } });
  await core.createNamespacedConfigMap({
    namespace: "default",
    body: { metadata: { name: "c", labels: { stamp: "" } } },
  });
  await expect.poll(() => annotationsOf("c")).toEqual({ stamped: "yes" });
  expect(await annotationsOf("b")).toBeUndefined();
});
