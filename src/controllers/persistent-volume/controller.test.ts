import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type PersistentVolume, type PersistentVolumeClaim, resources } from "../../kube/index.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { startClaimBinding } from "./claims.ts";
import { startVolumePhases } from "./volumes.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = startCluster();
  startClaimBinding(cluster);
  startVolumePhases(cluster);
});
afterEach(() => cluster.stop());

const namespace = "a";

function putVolume(
  name: string,
  storage: string,
  spec: Partial<PersistentVolume["spec"]> = {},
  metadata: Partial<PersistentVolume["metadata"]> = {},
) {
  return cluster.client.create(resources.PersistentVolume, {
    metadata: { name, ...metadata },
    spec: {
      capacity: { storage },
      accessModes: ["ReadWriteOnce"],
      persistentVolumeReclaimPolicy: "Retain",
      hostPath: { path: `/srv/${name}` },
      ...spec,
    },
  });
}
function putClaim(name: string, storage: string, spec: Partial<PersistentVolumeClaim["spec"]> = {}) {
  return cluster.client.create(resources.PersistentVolumeClaim, {
    metadata: { name, namespace },
    spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage } }, ...spec },
  });
}
const putClass = (name: string, volumeBindingMode: string, provisioner: string, annotations = {}) =>
  cluster.client.create(resources.StorageClass, { metadata: { name, annotations }, provisioner, volumeBindingMode });
const claimOf = (name: string) => cluster.client.get(resources.PersistentVolumeClaim, { namespace, name });
const volumeOf = (name: string) => cluster.client.get(resources.PersistentVolume, { name });
const eventsOf = async (name: string) =>
  (await cluster.client.list(resources.Event)).items
    .filter(({ involvedObject }) => involvedObject.name === name)
    .map(({ reason, message }) => `${reason}: ${message}`);
const patchVolume = (name: string, body: object) =>
  cluster.client.patch(resources.PersistentVolume, { name }, { type: "merge", body });

test("a claim gets the smallest volume that will do, and each knows of the other", async () => {
  await putVolume("big", "10Gi");
  await putVolume("small", "1Gi");
  await putVolume("right", "5Gi");
  await cluster.settle();
  const { metadata } = await putClaim("c", "2Gi");
  await cluster.settle();
  const claim = await claimOf("c");
  expect(claim.spec.volumeName).toBe("right");
  expect(claim.status).toMatchObject({ phase: "Bound", accessModes: ["ReadWriteOnce"], capacity: { storage: "5Gi" } });
  expect(claim.metadata.annotations).toEqual({
    "pv.kubernetes.io/bind-completed": "yes",
    "pv.kubernetes.io/bound-by-controller": "yes",
  });
  const volume = await volumeOf("right");
  expect(volume.spec.claimRef).toMatchObject({
    kind: "PersistentVolumeClaim",
    namespace,
    name: "c",
    uid: metadata.uid,
  });
  expect(volume.status?.phase).toBe("Bound");
  expect(await Promise.all(["big", "small"].map(async (name) => (await volumeOf(name)).status?.phase))).toEqual([
    "Available",
    "Available",
  ]);
});

test("many claims at once get a volume each, and no volume two claims", async () => {
  const names = Array.from({ length: 8 }, (_, i) => `${i}`);
  await Promise.all([
    ...names.map((name) => putClaim(name, "1Gi")),
    ...names.slice(1).map((name) => putVolume(name, "1Gi")),
  ]);
  await cluster.settle();
  const claims = await Promise.all(names.map(claimOf));
  const bound = claims.filter(({ status }) => status?.phase === "Bound");
  expect(bound).toHaveLength(7);
  expect(new Set(bound.map(({ spec }) => spec.volumeName)).size).toBe(7);
  for (const { metadata, spec } of bound) {
    expect((await volumeOf(spec.volumeName ?? "")).spec.claimRef?.uid).toBe(metadata.uid);
  }
});

describe("a claim gets no volume that is not what it asks for", () => {
  const selector = { matchLabels: { disk: "ssd" } };
  test.each<[string, Partial<PersistentVolume["spec"]>, Partial<PersistentVolumeClaim["spec"]>]>([
    ["too small", { capacity: { storage: "1Gi" } }, {}],
    ["another class", { storageClassName: "x" }, {}],
    ["another access mode", { accessModes: ["ReadOnlyMany"] }, {}],
    ["another volume mode", { volumeMode: "Block" }, { volumeMode: "Filesystem" }],
    ["other labels", {}, { selector }],
    ["kept for another claim", { claimRef: { namespace, name: "other" } }, {}],
  ])("%s", async (_title, offered, asked) => {
    await putVolume("v", "3Gi", offered);
    await putClaim("c", "2Gi", asked);
    await cluster.settle();
    expect((await claimOf("c")).spec.volumeName).toBeUndefined();
    expect(await eventsOf("c")).toEqual([
      "FailedBinding: no persistent volumes available for this claim and no storage class is set",
    ]);
    // A volume that comes later is enough.
    await putVolume("w", "2Gi", {}, { labels: { disk: "ssd" } });
    await cluster.settle();
    expect((await claimOf("c")).spec.volumeName).toBe("w");
  });
});

test("a claim that names its volume waits for that one", async () => {
  await putVolume("other", "5Gi");
  await putVolume("small", "1Gi");
  await putClaim("c", "2Gi", { volumeName: "v" });
  await putClaim("d", "2Gi", { volumeName: "small" });
  await cluster.settle();
  expect((await claimOf("c")).status?.phase ?? "Pending").toBe("Pending");
  expect(await eventsOf("d")).toEqual([
    'VolumeMismatch: Cannot bind to requested volume "small": requested PV is too small',
  ]);
  await putVolume("v", "5Gi");
  await cluster.settle();
  expect((await claimOf("c")).status?.phase).toBe("Bound");
  // Who named it themselves keeps it that way.
  expect((await claimOf("c")).metadata.annotations).toEqual({ "pv.kubernetes.io/bind-completed": "yes" });
});

test("a volume that names its claim is that claim's, and stays so when the claim comes again", async () => {
  await putVolume("v", "5Gi", { claimRef: { namespace, name: "c" } });
  await putVolume("better", "2Gi");
  await cluster.settle();
  expect((await volumeOf("v")).status?.phase).toBe("Available");
  await putClaim("c", "2Gi");
  await cluster.settle();
  expect((await claimOf("c")).spec.volumeName).toBe("v");
  expect((await volumeOf("v")).metadata.annotations?.["pv.kubernetes.io/bound-by-controller"]).toBeUndefined();
});

test("what is left of a claim is kept, and is free when its volume is told so", async () => {
  await putVolume("v", "2Gi");
  await cluster.settle();
  await putClaim("c", "2Gi");
  await cluster.settle();
  await cluster.client.delete(resources.PersistentVolumeClaim, { namespace, name: "c" });
  await cluster.settle();
  expect((await volumeOf("v")).status?.phase).toBe("Released");
  // A new claim of that name is another claim.
  await putClaim("c", "2Gi");
  await cluster.settle();
  expect((await claimOf("c")).spec.volumeName).toBeUndefined();
  await patchVolume("v", { spec: { claimRef: null } });
  await cluster.settle();
  expect((await claimOf("c")).spec.volumeName).toBe("v");
});

test("a volume that nobody here can delete says so; what a provisioner made is left to it", async () => {
  await putVolume("v", "2Gi", { persistentVolumeReclaimPolicy: "Delete" });
  await putVolume("w", "2Gi", { persistentVolumeReclaimPolicy: "Delete", storageClassName: "x" });
  await patchVolume("w", { metadata: { annotations: { "pv.kubernetes.io/provisioned-by": "example.com/x" } } });
  await putClaim("c", "2Gi");
  await putClaim("d", "2Gi", { storageClassName: "x" });
  await cluster.settle();
  for (const name of ["c", "d"]) await cluster.client.delete(resources.PersistentVolumeClaim, { namespace, name });
  await cluster.settle();
  expect((await volumeOf("v")).status).toMatchObject({
    phase: "Failed",
    message: expect.stringContaining("no deletable"),
  });
  expect(await eventsOf("v")).toHaveLength(1);
  expect((await volumeOf("w")).status?.phase).toBe("Released");
});

test("a claim whose volume is gone is lost, and is told so", async () => {
  await putVolume("v", "2Gi");
  await cluster.settle();
  await putClaim("c", "2Gi");
  await cluster.settle();
  await cluster.client.delete(resources.PersistentVolume, { name: "v" });
  await cluster.settle();
  expect((await claimOf("c")).status?.phase).toBe("Lost");
  expect(await eventsOf("c")).toEqual([
    "ClaimLost: Bound claim has lost its PersistentVolume. Any data on the volume is lost!",
  ]);
});

test("of two volumes that name one claim the second is let go", async () => {
  const claim = await putClaim("c", "2Gi");
  await cluster.settle();
  const claimRef = { namespace, name: "c", uid: claim.metadata.uid ?? "" };
  await putVolume("v", "2Gi", { claimRef });
  await cluster.settle();
  await putVolume("w", "2Gi", { claimRef }, { annotations: { "pv.kubernetes.io/bound-by-controller": "yes" } });
  await cluster.settle();
  expect((await claimOf("c")).spec.volumeName).toBe("v");
  expect((await volumeOf("w")).spec.claimRef).toBeUndefined();
  expect((await volumeOf("w")).status?.phase).toBe("Available");
});

describe("classes", () => {
  test("a provisioner is asked, once there is a class", async () => {
    await putClaim("c", "2Gi", { storageClassName: "fast" });
    await cluster.settle();
    expect(await eventsOf("c")).toEqual(['ProvisioningFailed: storageclass.storage.k8s.io "fast" not found']);
    await putClass("fast", "Immediate", "example.com/disks");
    await cluster.settle();
    expect((await claimOf("c")).metadata.annotations).toEqual({
      "volume.kubernetes.io/storage-provisioner": "example.com/disks",
      "volume.beta.kubernetes.io/storage-provisioner": "example.com/disks",
    });
    expect(await eventsOf("c")).toContainEqual(expect.stringContaining("ExternalProvisioning: Waiting for a volume"));
  });

  test("a claim that waits for its consumer takes no volume by itself", async () => {
    await putClass("local", "WaitForFirstConsumer", "kubernetes.io/no-provisioner");
    await putVolume("v", "2Gi", { storageClassName: "local" });
    await putClaim("c", "2Gi", { storageClassName: "local" });
    await cluster.settle();
    expect((await claimOf("c")).spec.volumeName).toBeUndefined();
    expect(await eventsOf("c")).toEqual([
      "WaitForFirstConsumer: waiting for first consumer to be created before binding",
    ]);
    // The scheduler decides.
    await patchVolume("v", { spec: { claimRef: { namespace, name: "c" } } });
    await cluster.settle();
    expect((await claimOf("c")).spec.volumeName).toBe("v");
  });

  test("a claim that was there before the default class gets it; one that wants none does not", async () => {
    await putClaim("c", "2Gi");
    await putClaim("none", "2Gi", { storageClassName: "" });
    await cluster.settle();
    await putClass("usual", "Immediate", "example.com/disks", {
      "storageclass.kubernetes.io/is-default-class": "true",
    });
    await cluster.settle();
    expect((await claimOf("c")).spec.storageClassName).toBe("usual");
    expect((await claimOf("none")).spec.storageClassName).toBe("");
  });
});
