import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type EndpointSlice, type Pod, resources, type ServiceSpec } from "../../kube/index.ts";
import { startEndpointsController } from "../endpoints/controller.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { startEndpointSliceController } from "./controller.ts";
import { startEndpointSliceMirroring } from "./mirroring.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = startCluster();
  startEndpointSliceController(cluster);
  startEndpointsController(cluster);
  startEndpointSliceMirroring(cluster);
});
afterEach(() => cluster.stop());

const addService = (spec: Partial<ServiceSpec> = {}, labels: Record<string, string> = {}) =>
  cluster.client.create(resources.Service, {
    metadata: { name: "web", namespace: "a", labels },
    spec: {
      clusterIP: "10.96.0.5",
      selector: { app: "web" },
      ports: [{ port: 80, targetPort: 8080, name: "http" }],
      ...spec,
    },
  });

let serial = 0;
function addPod(
  name: string,
  change: { ready?: boolean; ip?: string; ports?: { name: string; containerPort: number }[]; hostname?: string } = {},
): Pod {
  const { ready = true, ip = `10.42.0.${(++serial % 250) + 1}`, ports = [], hostname } = change;
  return cluster.client.put(resources.Pod, {
    metadata: { name, namespace: "a", labels: { app: "web" } },
    spec: { nodeName: "n1", containers: [{ name: "c", ports }], ...(hostname ? { hostname, subdomain: "web" } : {}) },
    status: {
      phase: "Running",
      podIP: ip,
      podIPs: [{ ip }],
      conditions: [{ type: "Ready", status: ready ? "True" : "False" }],
    },
  });
}
const slices = async (): Promise<EndpointSlice[]> => [...(await cluster.client.list(resources.EndpointSlice)).items];
const names = (slice: EndpointSlice | undefined) => slice?.endpoints?.map(({ targetRef }) => targetRef?.name);
const endpoints = () => cluster.client.get(resources.Endpoints, { namespace: "a", name: "web" });

test("a slice names pods, ports, node, zone and conditions", async () => {
  cluster.client.put(resources.Node, {
    metadata: { name: "n1", labels: { "topology.kubernetes.io/zone": "z1" } },
    spec: {},
  });
  await addService({}, { team: "shop" });
  const pod = addPod("p1", { ip: "10.42.0.9" });
  addPod("p2", { ready: false });
  await cluster.settle();
  const [slice, ...others] = await slices();
  expect(others).toEqual([]);
  expect(slice).toMatchObject({
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080, protocol: "TCP" }],
    metadata: {
      labels: {
        team: "shop",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
      },
      ownerReferences: [{ apiVersion: "v1", kind: "Service", name: "web", controller: true }],
    },
  });
  expect(slice?.endpoints?.[0]).toEqual({
    addresses: ["10.42.0.9"],
    conditions: { ready: true, serving: true, terminating: false },
    nodeName: "n1",
    zone: "z1",
    targetRef: { kind: "Pod", namespace: "a", name: "p1", uid: pod.metadata.uid },
  });
  expect(slice?.endpoints?.[1]?.conditions).toEqual({ ready: false, serving: false, terminating: false });
  expect((await endpoints()).subsets).toEqual([
    {
      addresses: [
        {
          ip: "10.42.0.9",
          nodeName: "n1",
          targetRef: { kind: "Pod", namespace: "a", name: "p1", uid: pod.metadata.uid },
        },
      ],
      notReadyAddresses: [expect.objectContaining({ nodeName: "n1" })],
      ports: [{ name: "http", port: 8080, protocol: "TCP" }],
    },
  ]);
});

test("a Service without pods has one slice without endpoints, which is then used", async () => {
  await addService();
  await cluster.settle();
  const [empty] = await slices();
  expect(empty?.endpoints).toEqual([]);
  addPod("p1");
  await cluster.settle();
  const [slice] = await slices();
  expect(slice?.metadata.uid).toBe(empty?.metadata.uid);
  expect(names(slice)).toEqual(["p1"]);
});

test("a pod that leaves is serving but not ready, then gone", async () => {
  await addService();
  addPod("p1");
  await cluster.settle();
  await cluster.client.delete(resources.Pod, { namespace: "a", name: "p1" });
  await cluster.settle();
  expect((await slices())[0]?.endpoints?.[0]?.conditions).toEqual({ ready: false, serving: true, terminating: true });
  expect((await endpoints()).subsets).toEqual([]);
  await cluster.client.delete(resources.Pod, { namespace: "a", name: "p1" }, { gracePeriodSeconds: 0 });
  await cluster.settle();
  expect((await slices())[0]?.endpoints).toEqual([]);
});

test("named ports split slices by the numbers the pods have", async () => {
  await addService({ ports: [{ port: 80, targetPort: "http" }] });
  addPod("old", { ports: [{ name: "http", containerPort: 8080 }] });
  addPod("new", { ports: [{ name: "http", containerPort: 9090 }] });
  addPod("none");
  await cluster.settle();
  const found = (await slices()).map((slice) => [slice.ports?.[0]?.port, names(slice)]);
  expect(found.toSorted()).toEqual([
    [8080, ["old"]],
    [9090, ["new"]],
  ]);
});

describe("at most 100 endpoints are in a slice, and a change touches few", () => {
  test("fill, remove, add", async () => {
    for (let i = 0; i < 250; i++) addPod(`p${String(i).padStart(3, "0")}`, { ip: `10.42.${i >> 7}.${(i & 127) + 1}` });
    await cluster.settle();
    await addService();
    await cluster.settle();
    expect((await slices()).map((slice) => slice.endpoints?.length).toSorted()).toEqual([100, 100, 50]);
    const before = cluster.client.writes.length;
    cluster.client.remove(resources.Pod, { namespace: "a", name: "p000" });
    addPod("q", { ip: "10.42.9.9" });
    await cluster.settle();
    await cluster.clock.advance(100);
    await cluster.settle();
    const touched = cluster.client.writes.slice(before).filter(({ resource }) => resource.kind === "EndpointSlice");
    expect(new Set(touched.map(({ verb, key }) => `${verb} ${key}`)).size).toBe(1);
    expect(touched[0]?.verb).toBe("update");
    expect((await slices()).flatMap(names)).toHaveLength(250);
  });
});

test("publishNotReadyAddresses, headless label and host names", async () => {
  await addService({ clusterIP: "None", publishNotReadyAddresses: true });
  addPod("p1", { ready: false, hostname: "db-0" });
  await cluster.settle();
  const [slice] = await slices();
  expect(slice?.metadata.labels).toHaveProperty(["service.kubernetes.io/headless"], "");
  expect(slice?.endpoints?.[0]).toMatchObject({ hostname: "db-0", conditions: { ready: true, serving: false } });
  expect((await endpoints()).subsets?.[0]?.addresses?.[0]).toMatchObject({ hostname: "db-0" });
});

test("a slice that someone changed or deleted is put right", async () => {
  await addService();
  addPod("p1");
  await cluster.settle();
  const [slice] = await slices();
  await cluster.client.update(resources.EndpointSlice, { ...slice!, endpoints: [] });
  await cluster.settle();
  expect((await slices()).flatMap(names)).toEqual(["p1"]);
  await cluster.client.delete(resources.EndpointSlice, {
    namespace: "a",
    name: (await slices())[0]?.metadata.name ?? "",
  });
  await cluster.settle();
  expect((await slices()).flatMap(names)).toEqual(["p1"]);
});

test("an old cache does not lead to a second slice", async () => {
  await addService();
  await cluster.settle();
  // Several changes before the cache has seen the first write.
  for (let i = 0; i < 5; i++) {
    addPod(`p${i}`);
    await Promise.resolve();
  }
  await cluster.settle();
  expect(await slices()).toHaveLength(1);
});

test("the change that led to a version is told", async () => {
  await addService();
  await cluster.settle();
  await cluster.clock.advance(5000);
  addPod("p1");
  await cluster.settle();
  const at = (await slices())[0]?.metadata.annotations?.["endpoints.kubernetes.io/last-change-trigger-time"];
  expect(Date.parse(at ?? "")).toBeGreaterThanOrEqual(Date.UTC(2030, 0, 1) + 5000);
});

test("same zone and same node preferences become hints", async () => {
  cluster.client.put(resources.Node, {
    metadata: { name: "n1", labels: { "topology.kubernetes.io/zone": "z1" } },
    spec: {},
  });
  await addService({ trafficDistribution: "PreferSameNode" });
  addPod("p1");
  await cluster.settle();
  expect((await slices())[0]?.endpoints?.[0]?.hints).toEqual({
    forZones: [{ name: "z1" }],
    forNodes: [{ name: "n1" }],
  });
});

test("Endpoints made by hand for a Service without selector are mirrored, and the mirror goes with them", async () => {
  await cluster.client.create(resources.Service, {
    metadata: { name: "db", namespace: "a" },
    spec: { ports: [{ port: 5432 }] },
  });
  await cluster.client.create(resources.Endpoints, {
    metadata: { name: "db", namespace: "a", labels: { x: "y" } },
    subsets: [
      {
        addresses: [{ ip: "192.0.2.1" }],
        notReadyAddresses: [{ ip: "2001:db8::1" }],
        ports: [{ port: 5432, protocol: "TCP" }],
      },
    ],
  });
  await cluster.settle();
  const found = await slices();
  expect(found.map(({ addressType }) => addressType).toSorted()).toEqual(["IPv4", "IPv6"]);
  const [v4] = found.filter(({ addressType }) => addressType === "IPv4");
  expect(v4).toMatchObject({
    endpoints: [{ addresses: ["192.0.2.1"], conditions: { ready: true } }],
    metadata: {
      labels: { x: "y", "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io" },
    },
  });
  await cluster.client.delete(resources.Endpoints, { namespace: "a", name: "db" });
  await cluster.settle();
  expect(await slices()).toEqual([]);
});
