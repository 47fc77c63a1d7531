import { afterEach, beforeEach, expect, test } from "vitest";
import { type Pod, resources } from "../../kube/index.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { startAttributesClassProtection } from "./attributes-class.ts";
import { startClaimProtection, startVolumeProtection } from "./controller.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = startCluster();
  startClaimProtection(cluster);
  startVolumeProtection(cluster);
  startAttributesClassProtection(cluster);
});
afterEach(() => cluster.stop());

const namespace = "default";
const finalizers = ["kubernetes.io/pvc-protection", "example.com/other"];
const claim = () =>
  cluster.client.create(resources.PersistentVolumeClaim, {
    metadata: { name: "c", namespace, finalizers },
    spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
  });
const pod = (): Promise<Pod> =>
  cluster.client.create(resources.Pod, {
    metadata: { name: "p", namespace },
    spec: {
      containers: [{ name: "c", image: "i" }],
      volumes: [{ name: "v", persistentVolumeClaim: { claimName: "c" } }],
    },
  });
const left = async () => {
  await cluster.settle();
  return (await cluster.client.get(resources.PersistentVolumeClaim, { name: "c", namespace })).metadata.finalizers;
};

test("a claim stays as long as a pod on a node uses it", async () => {
  await claim();
  const running = await cluster.run(await pod());
  await cluster.client.delete(resources.PersistentVolumeClaim, { name: "c", namespace });
  expect(await left()).toEqual(finalizers);
  await cluster.client.updateStatus(resources.Pod, { ...running, status: { ...running.status, phase: "Succeeded" } });
  expect(await left()).toEqual(["example.com/other"]);
});

test("a claim that no pod on a node uses goes", async () => {
  await claim();
  await pod();
  expect(await left()).toEqual(finalizers);
  await cluster.client.delete(resources.PersistentVolumeClaim, { name: "c", namespace });
  expect(await left()).toEqual(["example.com/other"]);
});

test("a volume stays as long as it is bound", async () => {
  const volume = await cluster.client.create(resources.PersistentVolume, {
    metadata: { name: "v", finalizers: ["kubernetes.io/pv-protection", "example.com/other"] },
    spec: { capacity: { storage: "1Gi" }, accessModes: ["ReadWriteOnce"], hostPath: { path: "/tmp" } },
  });
  const bound = await cluster.client.updateStatus(resources.PersistentVolume, {
    ...volume,
    status: { phase: "Bound" },
  });
  await cluster.client.delete(resources.PersistentVolume, { name: "v" });
  await cluster.settle();
  const read = () => cluster.client.get(resources.PersistentVolume, { name: "v" });
  const still = await read();
  expect(still.metadata.finalizers).toHaveLength(2);
  await cluster.client.updateStatus(resources.PersistentVolume, {
    ...still,
    status: { ...bound.status, phase: "Released" },
  });
  await cluster.settle();
  expect((await read()).metadata.finalizers).toEqual(["example.com/other"]);
});

test("a class of attributes stays as long as a claim wants it", async () => {
  const kind = resources.VolumeAttributesClass;
  await cluster.client.create(kind, {
    metadata: { name: "gold", finalizers: ["kubernetes.io/vac-protection", "example.com/other"] },
    driverName: "example.com",
    parameters: { iops: "1" },
  });
  await cluster.client.create(resources.PersistentVolumeClaim, {
    metadata: { name: "c", namespace },
    spec: {
      accessModes: ["ReadWriteOnce"],
      resources: { requests: { storage: "1Gi" } },
      volumeAttributesClassName: "gold",
    },
  });
  await cluster.client.delete(kind, { name: "gold" });
  await cluster.settle();
  expect((await cluster.client.get(kind, { name: "gold" })).metadata.finalizers).toHaveLength(2);
  await cluster.client.delete(resources.PersistentVolumeClaim, { name: "c", namespace });
  await cluster.settle();
  expect((await cluster.client.get(kind, { name: "gold" })).metadata.finalizers).toEqual(["example.com/other"]);
});
