import { afterEach, beforeEach, expect, test } from "vitest";
import {
  type HorizontalPodAutoscalerSpec,
  type KubeObject,
  type Pod,
  type Resource,
  resources,
} from "../../kube/index.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { startAutoscaler } from "./controller.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = startCluster();
  startAutoscaler(cluster);
});
afterEach(() => cluster.stop());

const at = (name: string) => ({ namespace: "a", name });
const metrics: Resource<KubeObject & { containers: object[] }> = {
  group: "metrics.k8s.io",
  version: "v1beta1",
  kind: "PodMetrics",
  plural: "pods",
  singular: "",
  namespaced: true,
  shortNames: [],
  categories: [],
  subresources: [],
};

/** A Deployment `web` and its pods, ready for long, each of which asks for 100m of cpu. */
async function addDeployment(replicas: number): Promise<void> {
  const template = { metadata: { labels: { app: "web" } }, spec: { containers: [] } };
  cluster.client.put(resources.Deployment, {
    metadata: at("web"),
    spec: { replicas, selector: { matchLabels: { app: "web" } }, template },
    status: { replicas },
  });
  for (let i = 0; i < replicas; i++) addPod(i);
  await cluster.settle();
}
const ready = { type: "Ready", status: "True", lastTransitionTime: "2020-01-01T00:00:00Z" };
const addPod = (i: number, status: Partial<NonNullable<Pod["status"]>> = {}): Pod =>
  cluster.client.put(resources.Pod, {
    metadata: { ...at(`web-${i}`), labels: { app: "web" } },
    spec: { containers: [{ name: "c", resources: { requests: { cpu: "100m" } } }] },
    status: { phase: "Running", startTime: "2020-01-01T00:00:00Z", conditions: [ready], ...status },
  });
/** What the pods use of cpu, one after the other. */
function use(...amounts: readonly string[]): void {
  for (const [i, cpu] of amounts.entries())
    cluster.client.put(metrics, {
      metadata: { ...at(`web-${i}`), labels: { app: "web" } },
      containers: [{ name: "c", usage: { cpu, memory: "100Mi" } }],
    });
}
const add = async (spec: Partial<HorizontalPodAutoscalerSpec> = {}): Promise<void> => {
  await cluster.client.create(resources.HorizontalPodAutoscaler, {
    metadata: at("hpa"),
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
      minReplicas: 1,
      maxReplicas: 10,
      metrics: [
        { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 50 } } },
      ],
      ...spec,
    },
  });
  await cluster.settle();
};
const replicas = async () => (await cluster.client.get(resources.Deployment, at("web"))).spec.replicas;
const status = async () => (await cluster.client.get(resources.HorizontalPodAutoscaler, at("hpa"))).status;
const condition = async (type: string) => (await status())?.conditions?.find((one) => one.type === type);
const events = async () => (await cluster.client.list(resources.Event)).items.map(({ message }) => message);

test("more pods when they use more than asked, at once", async () => {
  await addDeployment(2);
  use("100m", "100m");
  await add();
  expect(await replicas()).toBe(4);
  expect(await status()).toMatchObject({
    currentReplicas: 2,
    desiredReplicas: 4,
    observedGeneration: 1,
    currentMetrics: [
      { type: "Resource", resource: { name: "cpu", current: { averageUtilization: 100, averageValue: "100m" } } },
    ],
  });
  expect(await condition("ScalingActive")).toMatchObject({ status: "True", reason: "ValidMetricFound" });
  expect(await condition("AbleToScale")).toMatchObject({ reason: "SucceededRescale" });
  expect(await events()).toContain(
    "New size: 4; reason: cpu resource utilization (percentage of request) above target",
  );
});

test("fewer only when it has been so for five minutes", async () => {
  await addDeployment(4);
  use("10m", "10m", "10m", "10m");
  await add();
  expect(await replicas()).toBe(4);
  expect(await condition("AbleToScale")).toMatchObject({ reason: "ScaleDownStabilized" });
  await cluster.clock.advance(320_000);
  await cluster.settle();
  expect(await replicas()).toBe(1);
});

test("nothing is done within a tenth, nor beyond what is allowed", async () => {
  await addDeployment(2);
  use("54m", "54m");
  await add();
  expect(await replicas()).toBe(2);
  expect(await condition("ScalingLimited")).toMatchObject({ status: "False", reason: "DesiredWithinRange" });
  use("400m", "400m");
  await cluster.client.patch(resources.HorizontalPodAutoscaler, at("hpa"), {
    type: "merge",
    body: { spec: { maxReplicas: 3 } },
  });
  await cluster.settle();
  expect(await replicas()).toBe(3);
  expect(await condition("ScalingLimited")).toMatchObject({ status: "True", reason: "TooManyReplicas" });
});

test("behavior: no faster than its policies", async () => {
  await addDeployment(2);
  use("400m", "400m");
  const policies = [{ type: "Pods", value: 1, periodSeconds: 60 }];
  await add({ behavior: { scaleUp: { policies, selectPolicy: "Max", stabilizationWindowSeconds: 0 } } });
  expect(await replicas()).toBe(3);
  expect(await condition("ScalingLimited")).toMatchObject({ reason: "ScaleUpLimit" });
  await cluster.clock.advance(20_000);
  await cluster.settle();
  expect(await replicas()).toBe(3);
  await cluster.clock.advance(60_000);
  await cluster.settle();
  expect(await replicas()).toBe(4);
});

test("pods that nothing is known of hold it back", async () => {
  await addDeployment(3);
  addPod(2, { phase: "Pending", conditions: [] });
  use("75m", "75m");
  // 150 % of what is wanted, but of three pods it is what is wanted.
  await add();
  expect(await replicas()).toBe(3);
});

test("without metrics, or requests, it says so", async () => {
  await addDeployment(2);
  await add();
  const text =
    "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API";
  expect(await condition("ScalingActive")).toMatchObject({
    status: "False",
    reason: "FailedGetResourceMetric",
    message: `the HPA was unable to compute the replica count: ${text}`,
  });
  expect(await events()).toContain(`invalid metrics (1 invalid out of 1), first error is: ${text}`);
  for (const i of [0, 1])
    cluster.client.put(resources.Pod, {
      metadata: { ...at(`web-${i}`), labels: { app: "web" } },
      spec: { containers: [{ name: "c" }] },
      status: { phase: "Running", startTime: "2020-01-01T00:00:00Z", conditions: [ready] },
    });
  use("1m", "1m");
  await cluster.clock.advance(16_000);
  await cluster.settle();
  expect((await condition("ScalingActive"))?.message).toContain("missing request for cpu in container c of Pod web-0");
});

test("what is scaled to none is left alone; what is not there can't be scaled", async () => {
  await add();
  expect(await condition("AbleToScale")).toMatchObject({ status: "False", reason: "FailedGetScale" });
  await addDeployment(0);
  await cluster.clock.advance(16_000);
  await cluster.settle();
  expect(await condition("ScalingActive")).toMatchObject({ status: "False", reason: "ScalingDisabled" });
  expect(await replicas()).toBe(0);
});
