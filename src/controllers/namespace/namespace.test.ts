import { afterEach, beforeEach, expect, test } from "vitest";
import { findCondition, resources, type Resource } from "../../kube/index.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { conditionsOf } from "./content.ts";
import { startNamespaceController } from "./controller.ts";
import { startNamespaceDefaults } from "./defaults.ts";

let cluster: TestCluster;
beforeEach(() => (cluster = startCluster()));
afterEach(() => cluster.stop());

const addNamespace = (name: string) =>
  cluster.client.create(resources.Namespace, { metadata: { name }, spec: { finalizers: ["kubernetes"] } });
const addMap = (namespace: string, name: string, finalizers: string[] = []) =>
  cluster.client.create(resources.ConfigMap, { metadata: { namespace, name, finalizers } });
const namespaces = async () =>
  (await cluster.client.list(resources.Namespace)).items.map(({ metadata }) => metadata.name);

test("an empty namespace goes at once, a full one with its content, others keep theirs", async () => {
  startNamespaceController(cluster);
  for (const name of ["empty", "full", "other"]) await addNamespace(name);
  await addMap("full", "m");
  await addMap("other", "m");
  await cluster.client.delete(resources.Namespace, { name: "empty" });
  await cluster.client.delete(resources.Namespace, { name: "full" });
  await cluster.settle();
  expect(await namespaces()).toEqual(["other"]);
  expect((await cluster.client.list(resources.ConfigMap)).items.map(({ metadata }) => metadata.namespace)).toEqual([
    "other",
  ]);
});

test("what a finalizer holds is named, and the namespace waits for it", async () => {
  startNamespaceController(cluster);
  await addNamespace("a");
  await addMap("a", "held", ["held.example/x"]);
  await addMap("a", "free");
  await cluster.client.delete(resources.Namespace, { name: "a" });
  await cluster.settle();
  const { status } = await cluster.client.get(resources.Namespace, { name: "a" });
  expect(status?.phase).toBe("Terminating");
  expect(findCondition(status?.conditions, "NamespaceContentRemaining")).toMatchObject({
    status: "True",
    reason: "SomeResourcesRemain",
    message: "Some resources are remaining: configmaps. has 1 resource instances",
  });
  expect(findCondition(status?.conditions, "NamespaceFinalizersRemaining")?.message).toBe(
    "Some content in the namespace has finalizers remaining: held.example/x in 1 resource instances",
  );
  await cluster.client.patch(
    resources.ConfigMap,
    { namespace: "a", name: "held" },
    { type: "merge", body: { metadata: { finalizers: null } } },
  );
  await cluster.settle();
  expect(await namespaces()).toEqual([]);
});

test("objects of kinds that were defined go too", async () => {
  startNamespaceController(cluster);
  const names = { kind: "Widget", plural: "widgets", singular: "widget" };
  const lists = { shortNames: [], categories: [], subresources: [] };
  const widget: Resource = { group: "acme.io", version: "v1", namespaced: true, ...names, ...lists };
  await cluster.client.create(resources.CustomResourceDefinition, {
    metadata: { name: "widgets.acme.io" },
    spec: { group: "acme.io", scope: "Namespaced", names, versions: [{ name: "v1", served: true, storage: true }] },
    status: { conditions: [{ type: "Established", status: "True" }], acceptedNames: names },
  });
  await addNamespace("a");
  await cluster.client.create(widget, { metadata: { namespace: "a", name: "w" } });
  await cluster.client.delete(resources.Namespace, { name: "a" });
  await cluster.settle();
  expect((await cluster.client.list(widget)).items).toEqual([]);
  expect(await namespaces()).toEqual([]);
});

test("what can't be deleted is told", () => {
  const told = conditionsOf({ objects: new Map(), finalizers: new Map(), failures: ["secrets.: no"] });
  expect(told.find(({ type }) => type === "NamespaceDeletionContentFailure")).toMatchObject({
    status: "True",
    reason: "ContentDeletionFailed",
    message: "Failed to delete all resource types, 1 remaining: secrets.: no",
  });
});

test("each namespace has its ServiceAccount and the root CA, again when someone removes or changes them", async () => {
  startNamespaceDefaults({ ...cluster, rootCA: "the CA" });
  await addNamespace("a");
  await cluster.settle();
  const map = { namespace: "a", name: "kube-root-ca.crt" };
  const account = { namespace: "a", name: "default" };
  expect((await cluster.client.get(resources.ConfigMap, map)).data).toEqual({ "ca.crt": "the CA" });
  await cluster.client.delete(resources.ServiceAccount, account);
  await cluster.client.patch(resources.ConfigMap, map, { type: "merge", body: { data: { "ca.crt": "another" } } });
  await cluster.settle();
  expect((await cluster.client.get(resources.ServiceAccount, account)).metadata.name).toBe("default");
  expect((await cluster.client.get(resources.ConfigMap, map)).data).toEqual({ "ca.crt": "the CA" });
});
