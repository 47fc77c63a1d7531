import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createFakeClient, createInformers, type FakeClient } from "../../client/index.ts";
import { startControllers } from "../../controllers/index.ts";
import { findCondition, type PersistentVolumeClaim, resources } from "../../kube/index.ts";
import { startScheduler } from "../../scheduler/index.ts";
import { FakeClock, silentLogger } from "../../system/index.ts";
import { startLocalPathProvisioner } from "./provisioner.ts";

let client: FakeClient;
let clock: FakeClock;
let stop: AbortController;
let root: string;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "fairlead-local-path-"));
  clock = new FakeClock();
  client = createFakeClient({ clock });
  stop = new AbortController();
  const { signal } = stop;
  const informers = createInformers(client, { signal, log: silentLogger, clock });
  const context = { client, informers, clock, log: silentLogger, signal };
  startControllers({ ...context, clusterCIDRs: ["10.42.0.0/16"], rootCA: "" });
  startScheduler(context);
  const nodes = new Map(["n1", "n2"].map((name) => [name, join(root, name)]));
  startLocalPathProvisioner({ ...context, nodes });
  for (const name of ["n1", "n2"]) {
    client.put(resources.Node, {
      metadata: { name, labels: { "kubernetes.io/hostname": name } },
      spec: {},
      status: { allocatable: { cpu: "1", pods: "10" }, conditions: [{ type: "Ready", status: "True" }] },
    });
  }
  await settle();
});
afterEach(() => {
  stop.abort();
  rmSync(root, { recursive: true, force: true });
});

const namespace = "a";
async function settle(): Promise<void> {
  let before = -1;
  for (let quiet = 0; quiet < 4; before = client.writes.length) {
    await clock.advance(100);
    quiet = client.writes.length === before ? quiet + 1 : 0;
  }
}
const putClaim = (name: string, spec: Partial<PersistentVolumeClaim["spec"]> = {}) =>
  client.create(resources.PersistentVolumeClaim, {
    metadata: { name, namespace, finalizers: ["kubernetes.io/pvc-protection"] },
    spec: {
      accessModes: ["ReadWriteOnce"],
      resources: { requests: { storage: "1Gi" } },
      storageClassName: "local-path",
      ...spec,
    },
  });
const putPod = (name: string, claimName: string, more = {}) =>
  client.create(resources.Pod, {
    metadata: { name, namespace },
    spec: {
      containers: [{ name: "c", image: "i", resources: { requests: { cpu: "600m" } } }],
      volumes: [{ name: "data", persistentVolumeClaim: { claimName } }],
      ...more,
    },
  });
const claimOf = (name: string) => client.get(resources.PersistentVolumeClaim, { namespace, name });
const podOf = (name: string) => client.get(resources.Pod, { namespace, name });
const volumes = async () => (await client.list(resources.PersistentVolume)).items;
const eventsOf = async (name: string) =>
  (await client.list(resources.Event)).items.filter(({ involvedObject }) => involvedObject.name === name);
const endPod = async (name: string) => {
  await client.delete(resources.Pod, { namespace, name }, { gracePeriodSeconds: 0 });
  await settle();
};

test("a claim waits for its pod, gets a directory of the pod's node, and goes with it", async () => {
  const { metadata } = await putClaim("c");
  await settle();
  expect(await volumes()).toEqual([]);
  await putPod("p", "c");
  await settle();
  const { nodeName = "" } = (await podOf("p")).spec;
  expect(["n1", "n2"]).toContain(nodeName);
  const path = join(root, nodeName, `pvc-${metadata.uid}_a_c`);
  expect(statSync(path).mode & 0o777).toBe(0o777);
  expect((await claimOf("c")).status).toMatchObject({ phase: "Bound", capacity: { storage: "1Gi" } });
  const [volume] = await volumes();
  expect(volume).toMatchObject({
    status: { phase: "Bound" },
    spec: { local: { path }, storageClassName: "local-path" },
  });

  // A later pod has to go where the volume is, also when there is more room elsewhere.
  await endPod("p");
  await putPod("q", "c");
  await settle();
  expect((await podOf("q")).spec.nodeName).toBe(nodeName);

  const outside = join(root, "outside");
  writeFileSync(outside, "kept");
  symlinkSync(outside, join(path, "link"));
  writeFileSync(join(path, "file"), "x");
  await client.delete(resources.PersistentVolumeClaim, { namespace, name: "c" });
  await settle();
  // As long as a pod uses it, it stays.
  expect(existsSync(join(path, "file"))).toBe(true);
  await endPod("q");
  expect(await volumes()).toEqual([]);
  expect(readdirSync(join(root, nodeName))).toEqual([]);
  expect(existsSync(outside)).toBe(true);
});

test("a volume that is to be retained stays, and its directory too", async () => {
  await putClaim("c");
  await putPod("p", "c");
  await settle();
  const [volume] = await volumes();
  const { name = "" } = volume?.metadata ?? {};
  const body = { spec: { persistentVolumeReclaimPolicy: "Retain" } };
  await client.patch(resources.PersistentVolume, { name }, { type: "merge", body });
  await endPod("p");
  await client.delete(resources.PersistentVolumeClaim, { namespace, name: "c" });
  await settle();
  expect((await volumes())[0]?.status?.phase).toBe("Released");
  await client.delete(resources.PersistentVolume, { name });
  await settle();
  expect(await volumes()).toEqual([]);
  expect(existsSync(volume?.spec.local?.path ?? "")).toBe(true);
});

test("no volume whose path is not one that was made here is removed", async () => {
  const path = join(root, "outside");
  writeFileSync(path, "kept");
  const claimRef = { namespace, name: "../outside", uid: "u" };
  for (const at of [path, `${root}/n1/pvc-u_a_../outside`, join(root, "n1")]) {
    await client.create(resources.PersistentVolume, {
      metadata: { name: "pvc-u", finalizers: ["fairlead.dev/local-path"] },
      spec: {
        capacity: { storage: "1Gi" },
        accessModes: ["ReadWriteOnce"],
        persistentVolumeReclaimPolicy: "Delete",
        local: { path: at },
        claimRef,
      },
    });
    await settle();
    await client.delete(resources.PersistentVolume, { name: "pvc-u" });
    await settle();
    expect(existsSync(path)).toBe(true);
    await client.patch(
      resources.PersistentVolume,
      { name: "pvc-u" },
      { type: "merge", body: { metadata: { finalizers: null } } },
    );
    await settle();
  }
});

test("what it can't make is told, and the pod goes on waiting", async () => {
  await putClaim("c", { accessModes: ["ReadWriteMany"] });
  await putPod("p", "c");
  await settle();
  expect((await podOf("p")).spec.nodeName).toBeUndefined();
  expect((await eventsOf("c")).map(({ reason }) => reason)).toContain("ProvisioningFailed");
  expect(await volumes()).toEqual([]);
});

test("a pod waits for a claim that is missing, and says so", async () => {
  await putPod("p", "c");
  await settle();
  const message =
    '0/2 nodes are available: persistentvolumeclaim "c" not found. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.';
  expect(findCondition((await podOf("p")).status?.conditions, "PodScheduled")).toMatchObject({
    reason: "Unschedulable",
    message,
  });
  await putClaim("c");
  await settle();
  expect((await podOf("p")).spec.nodeName).toBeDefined();
});

test("an unbound claim that waits for nobody holds its pod back", async () => {
  await putClaim("c", { storageClassName: "" });
  await putPod("p", "c");
  await settle();
  const waits = findCondition((await podOf("p")).status?.conditions, "PodScheduled")?.message;
  expect(waits).toContain("0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption:");
  await client.create(resources.PersistentVolume, {
    metadata: { name: "v" },
    spec: {
      capacity: { storage: "1Gi" },
      accessModes: ["ReadWriteOnce"],
      hostPath: { path: "/srv" },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: ["n2"] }] },
          ],
        },
      },
    },
  });
  await settle();
  expect((await podOf("p")).spec.nodeName).toBe("n2");
});

test("a pod goes to the node that has a local volume, and two never get the same one", async () => {
  await client.create(resources.StorageClass, {
    metadata: { name: "local" },
    provisioner: "kubernetes.io/no-provisioner",
    volumeBindingMode: "WaitForFirstConsumer",
  });
  const claims = ["c", "d", "e"];
  await Promise.all(claims.map((name) => putClaim(name, { storageClassName: "local" })));
  await Promise.all(claims.map((name) => putPod(name, name, { containers: [{ name: "c", image: "i" }] })));
  await settle();
  expect((await podOf("c")).spec.nodeName).toBeUndefined();
  for (const name of ["v", "w"]) {
    await client.create(resources.PersistentVolume, {
      metadata: { name },
      spec: {
        capacity: { storage: "2Gi" },
        accessModes: ["ReadWriteOnce"],
        storageClassName: "local",
        local: { path: `/srv/${name}` },
        nodeAffinity: {
          required: {
            nodeSelectorTerms: [
              { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: ["n2"] }] },
            ],
          },
        },
      },
    });
  }
  for (let i = 0; i < 20; i++) await settle();
  const placed = (await Promise.all(claims.map(podOf))).filter(({ spec }) => spec.nodeName === "n2");
  const bound = (await Promise.all(claims.map(claimOf))).map(({ spec }) => spec.volumeName);
  expect(placed).toHaveLength(2);
  expect(bound.filter((name) => name !== undefined).sort()).toEqual(["v", "w"]);
  const [left] = (await Promise.all(claims.map(podOf))).filter(({ spec }) => !spec.nodeName);
  expect(findCondition(left?.status?.conditions, "PodScheduled")?.message).toContain(
    "2 node(s) didn't find available persistent volumes to bind",
  );
});

test("a claim that one pod at a time may use keeps the others away", async () => {
  await putClaim("c", { accessModes: ["ReadWriteOncePod"] });
  await putPod("p", "c");
  await settle();
  await putPod("q", "c", { containers: [{ name: "c", image: "i" }] });
  await settle();
  expect((await podOf("q")).spec.nodeName).toBeUndefined();
  await endPod("p");
  for (let i = 0; i < 10; i++) await settle();
  expect((await podOf("q")).spec.nodeName).toBeDefined();
});

test("a pod's ephemeral volume is a claim of its own, which goes with it", async () => {
  const spec = {
    accessModes: ["ReadWriteOnce"],
    resources: { requests: { storage: "1Gi" } },
    storageClassName: "local-path",
  };
  await putPod("p", "", {
    volumes: [{ name: "scratch", ephemeral: { volumeClaimTemplate: { metadata: { labels: { a: "b" } }, spec } } }],
  });
  await settle();
  expect((await podOf("p")).spec.nodeName).toBeDefined();
  const claim = await claimOf("p-scratch");
  expect(claim.metadata).toMatchObject({
    labels: { a: "b" },
    ownerReferences: [{ kind: "Pod", name: "p", controller: true }],
  });
  expect(claim.status?.phase).toBe("Bound");
});
