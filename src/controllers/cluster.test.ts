import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createApiServer } from "../apiserver/index.ts";
import { type Client, createInformers, createLocalClient } from "../client/index.ts";
import { findCondition, nameOfKey, keyOf, type Pod, type Resource, resources } from "../kube/index.ts";
import { startScheduler } from "../scheduler/index.ts";
import { createMemoryStore } from "../store/index.ts";
import { silentLogger as log, systemClock as clock } from "../system/index.ts";
import { startControllers } from "./index.ts";

// All controllers and the scheduler against the real API, with the identities and rights they have in a cluster.

let stop: AbortController;
let admin: Client;

beforeEach(async () => {
  stop = new AbortController();
  const { signal } = stop;
  const api = createApiServer({
    store: createMemoryStore(),
    clock,
    log,
    signal,
    serviceCidrs: ["10.96.0.0/16"],
    advertise: { address: "192.0.2.1", port: 6443 },
    kubelet: { open: () => Promise.reject(new Error("there is no kubelet")) },
  });
  await api.ready;
  const as = (name: string, group: string) => createLocalClient(api.handler, { name, groups: [group] });
  admin = as("admin", "system:masters");
  const client = as("system:kube-controller-manager", "system:authenticated");
  const informers = createInformers(client, { signal, log });
  const parts = [
    startControllers({ client, informers, signal, clock, log, clusterCIDRs: ["10.42.0.0/16"], rootCA: "the CA" }),
    startScheduler({ client: as("system:kube-scheduler", "system:authenticated"), informers, signal, clock, log }),
  ];
  await Promise.all(parts.map(({ ready }) => ready));
  await admin.create(resources.Node, { metadata: { name: "n1" }, spec: {} });
  const status = {
    allocatable: { cpu: "4", memory: "8Gi", pods: "110" },
    conditions: [{ type: "Ready", status: "True", lastHeartbeatTime: "2026-01-01T00:00:00Z" }],
  };
  await admin.patch(resources.Node, { name: "n1" }, { type: "merge", body: { status } }, { subresource: "status" });
});
afterEach(() => stop.abort());

const until = (check: () => Promise<void>) => vi.waitFor(check, { timeout: 15_000, interval: 5 });
const pods = async (namespace: string) => (await admin.list(resources.Pod, { namespace })).items;

async function run(pod: Pod, i: number): Promise<void> {
  const podIP = `10.42.0.${i + 2}`;
  const status = { phase: "Running", podIP, podIPs: [{ ip: podIP }], conditions: [{ type: "Ready", status: "True" }] };
  await admin.patch(
    resources.Pod,
    nameOfKey(keyOf(pod)),
    { type: "merge", body: { status } },
    { subresource: "status" },
  );
}

test("a namespace with a Deployment and a Service comes up, and goes without a trace", async () => {
  await admin.create(resources.Namespace, { metadata: { name: "shop" }, spec: {} });
  const name = { namespace: "shop", name: "web" };
  await admin.create(resources.Service, { metadata: name, spec: { selector: { app: "web" }, ports: [{ port: 80 }] } });
  await admin.create(resources.Deployment, {
    metadata: name,
    spec: {
      replicas: 3,
      selector: { matchLabels: { app: "web" } },
      template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "c", image: "x" }] } },
    },
  });
  await until(async () => {
    expect((await pods("shop")).map(({ spec }) => spec.nodeName)).toEqual(["n1", "n1", "n1"]);
    expect((await admin.get(resources.Node, { name: "n1" })).spec.podCIDR).toBe("10.42.0.0/24");
    expect(
      (await admin.get(resources.ServiceAccount, { namespace: "shop", name: "default" })).metadata.uid,
    ).toBeDefined();
    const map = await admin.get(resources.ConfigMap, { namespace: "shop", name: "kube-root-ca.crt" });
    expect(map.data).toEqual({ "ca.crt": "the CA" });
  });
  await Promise.all((await pods("shop")).map(run));
  await until(async () => {
    const { status } = await admin.get(resources.Deployment, name);
    expect(status).toMatchObject({ replicas: 3, availableReplicas: 3, updatedReplicas: 3 });
    expect(findCondition(status?.conditions, "Progressing")?.reason).toBe("NewReplicaSetAvailable");
    const slices = await admin.list(resources.EndpointSlice, { namespace: "shop" });
    expect(slices.items.flatMap(({ endpoints }) => endpoints).map((endpoint) => endpoint?.conditions?.ready)).toEqual([
      true,
      true,
      true,
    ]);
    expect((await admin.get(resources.Endpoints, name)).subsets?.[0]?.addresses).toHaveLength(3);
  });

  await admin.delete(resources.Namespace, { name: "shop" });
  await until(async () => {
    const found = await pods("shop");
    expect(found).toHaveLength(3);
    expect(found.every(({ metadata }) => metadata.deletionTimestamp)).toBe(true);
    const { status } = await admin.get(resources.Namespace, { name: "shop" });
    expect(findCondition(status?.conditions, "NamespaceContentRemaining")?.status).toBe("True");
  });
  // Pods go first: what they use is still there.
  expect((await admin.list(resources.Service, { namespace: "shop" })).items).toHaveLength(1);
  for (const pod of await pods("shop"))
    await admin.delete(resources.Pod, nameOfKey(keyOf(pod)), { gracePeriodSeconds: 0 });
  await until(async () => {
    await expect(admin.get(resources.Namespace, { name: "shop" })).rejects.toMatchObject({ reason: "NotFound" });
  });
  const kinds: Resource[] = Object.values(resources as Readonly<Record<string, Resource>>);
  for (const resource of kinds.filter(({ namespaced }) => namespaced)) {
    expect((await admin.list(resource, { namespace: "shop" })).items).toEqual([]);
  }
});
