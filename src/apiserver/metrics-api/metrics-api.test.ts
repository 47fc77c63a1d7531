import { afterEach, beforeEach, expect, test } from "vitest";
import type { KubeletClient } from "../resources/index.ts";
import { startTestApi, type TestApi } from "../test-api.ts";

let api: TestApi;
let asked: number;
let uid: string;

const amounts = (nanoCores: number, bytes: number) => ({
  cpu: { time: "2030-01-01T00:00:00.123Z", usageNanoCores: nanoCores },
  memory: { workingSetBytes: bytes },
});

const kubelet: KubeletClient = {
  async open(_, path) {
    asked++;
    expect(path).toBe("/stats/summary");
    const summary = {
      node: amounts(1.5e9, 2 << 20),
      pods: [{ podRef: { uid }, containers: [{ name: "app", ...amounts(2.5e8, 4 << 20) }] }],
    };
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(JSON.stringify(summary));
    }
    return { status: 200, chunks: chunks() };
  },
};

beforeEach(async () => {
  asked = 0;
  api = await startTestApi({ kubelet });
  await api.call("POST", "/api/v1/nodes", {
    metadata: { name: "n1", labels: { zone: "a" } },
    status: {
      addresses: [{ type: "InternalIP", address: "192.0.2.7" }],
      daemonEndpoints: { kubeletEndpoint: { Port: 10_250 } },
    },
  });
  await api.call("POST", "/api/v1/nodes", { metadata: { name: "silent" } });
  await api.call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
  const pods = "/api/v1/namespaces/default/pods";
  const created = await api.call("POST", pods, {
    metadata: { name: "web", labels: { app: "web" } },
    spec: { nodeName: "n1", containers: [{ name: "app", image: "i" }] },
  });
  ({ uid } = created.body.metadata);
  await api.call(
    "PATCH",
    `${pods}/web/status`,
    { status: { phase: "Running" } },
    {
      headers: { "content-type": "application/merge-patch+json" },
    },
  );
});
afterEach(() => api.stop());

const group = "/apis/metrics.k8s.io/v1beta1";

test("nodes: those that answer, chosen by labels", async () => {
  const { body } = await api.call("GET", `${group}/nodes`);
  expect(body).toMatchObject({ kind: "NodeMetricsList", apiVersion: "metrics.k8s.io/v1beta1" });
  expect(body.items).toMatchObject([
    {
      metadata: { name: "n1", labels: { zone: "a" } },
      timestamp: "2030-01-01T00:00:00Z",
      usage: { cpu: "1500000000n", memory: "2048Ki" },
    },
  ]);
  expect((await api.call("GET", `${group}/nodes?labelSelector=zone%3Db`)).body.items).toEqual([]);
});

test("pods: one, a namespace, all; a kubelet is asked once in a while", async () => {
  const one = await api.call("GET", `${group}/namespaces/default/pods/web`);
  expect(one.body).toMatchObject({
    kind: "PodMetrics",
    metadata: { name: "web", namespace: "default" },
    containers: [{ name: "app", usage: { cpu: "250000000n", memory: "4096Ki" } }],
  });
  for (const path of [`${group}/pods`, `${group}/namespaces/default/pods?labelSelector=app%3Dweb`])
    expect((await api.call("GET", path)).body.items).toHaveLength(1);
  expect(asked).toBe(1);
});

test.each([
  ["GET", `${group}/namespaces/default/pods/none`, 404, 'podmetrics.metrics.k8s.io "default/none" not found'],
  ["GET", `${group}/nodes/silent`, 404, 'nodemetrics.metrics.k8s.io "silent" not found'],
  ["GET", `${group}/services`, 404, "the server could not find the requested resource"],
] as const)("%s %s is answered with %i", async (method, path, status, message) => {
  const answer = await api.call(method, path);
  expect([answer.status, answer.body.message]).toEqual([status, message]);
});

test("discovery has the group", async () => {
  const { body } = await api.call("GET", group);
  expect(body.resources).toMatchObject([
    { name: "nodes", kind: "NodeMetrics", namespaced: false, verbs: ["get", "list"] },
    { name: "pods", kind: "PodMetrics", namespaced: true, verbs: ["get", "list"] },
  ]);
});
