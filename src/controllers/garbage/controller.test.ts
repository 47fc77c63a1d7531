import { afterEach, beforeEach, expect, test } from "vitest";
import { type ConfigMap, type Resource, resources } from "../../kube/index.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { startGarbageCollector } from "./controller.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = startCluster();
  startGarbageCollector(cluster);
});
afterEach(() => cluster.stop());

const at = (name: string) => ({ namespace: "a", name });

/** A ConfigMap with owners; each owner blocks. */
async function add(
  name: string,
  owners: readonly ConfigMap[] = [],
  change: Partial<ConfigMap["metadata"]> = {},
): Promise<ConfigMap> {
  const ownerReferences = owners.map(({ metadata }) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    name: metadata.name,
    uid: metadata.uid ?? "",
    blockOwnerDeletion: true,
  }));
  return cluster.client.create(resources.ConfigMap, { metadata: { ...at(name), ownerReferences, ...change } });
}
const left = async () => (await cluster.client.list(resources.ConfigMap)).items.map(({ metadata }) => metadata.name);
const remove = (name: string, propagationPolicy: "Orphan" | "Background" | "Foreground") =>
  cluster.client.delete(resources.ConfigMap, at(name), { propagationPolicy });
const release = (name: string) =>
  cluster.client.patch(resources.ConfigMap, at(name), { type: "merge", body: { metadata: { finalizers: null } } });

test("Background: what is owned follows, level by level", async () => {
  const owner = await add("owner");
  const child = await add("child", [owner]);
  await add("grandchild", [child]);
  await add("other");
  await cluster.settle();
  await remove("owner", "Background");
  await cluster.settle();
  expect(await left()).toEqual(["other"]);
});

test("one of two owners goes: only the reference goes", async () => {
  const [one, two] = [await add("one"), await add("two")];
  await add("child", [one, two]);
  await cluster.settle();
  await remove("one", "Background");
  await cluster.settle();
  const child = await cluster.client.get(resources.ConfigMap, at("child"));
  expect(child.metadata.ownerReferences?.map(({ name }) => name)).toEqual(["two"]);
});

test("Foreground: the owner waits for those that block, through all levels", async () => {
  const owner = await add("owner");
  const child = await add("child", [owner]);
  await add("grandchild", [child], { finalizers: ["held.example/x"] });
  await cluster.settle();
  await remove("owner", "Foreground");
  await cluster.settle();
  expect(await left()).toEqual(["child", "grandchild", "owner"]);
  await release("grandchild");
  await cluster.settle();
  expect(await left()).toEqual([]);
});

test("Foreground: one that doesn't block is not waited for", async () => {
  const owner = await add("owner");
  const reference = { apiVersion: "v1", kind: "ConfigMap", name: "owner", uid: owner.metadata.uid ?? "" };
  await add("child", [], { ownerReferences: [reference], finalizers: ["held.example/x"] });
  await cluster.settle();
  await remove("owner", "Foreground");
  await cluster.settle();
  expect(await left()).toEqual(["child"]);
  expect((await cluster.client.get(resources.ConfigMap, at("child"))).metadata.deletionTimestamp).toBeDefined();
});

test("Foreground: a circle of owners does not wait for itself", async () => {
  const [one, two, three] = [await add("one"), await add("two"), await add("three")];
  const own = (object: ConfigMap, owner: ConfigMap) => {
    const { name, uid } = owner.metadata;
    const ownerReferences = [
      { apiVersion: "v1", kind: "ConfigMap", name, uid, controller: true, blockOwnerDeletion: true },
    ];
    const body = { metadata: { ownerReferences } };
    return cluster.client.patch(resources.ConfigMap, at(object.metadata.name), { type: "merge", body });
  };
  await own(one, three);
  await own(two, one);
  await own(three, two);
  await cluster.settle();
  expect(await left()).toEqual(["one", "three", "two"]);
  await remove("one", "Foreground");
  await cluster.settle();
  expect(await left()).toEqual([]);
});

test("Foreground: one with another, lasting owner stays", async () => {
  const [going, lasting] = [await add("going"), await add("lasting")];
  await add("child", [going, lasting]);
  await cluster.settle();
  await remove("going", "Foreground");
  await cluster.settle();
  expect(await left()).toEqual(["child", "lasting"]);
});

test("Orphan: what is owned stays, without the reference", async () => {
  const owner = await add("owner");
  await add("child", [owner]);
  await cluster.settle();
  await remove("owner", "Orphan");
  await cluster.settle();
  expect(await left()).toEqual(["child"]);
  expect((await cluster.client.get(resources.ConfigMap, at("child"))).metadata.ownerReferences).toEqual([]);
});

test("an owner that never was, or another of its name, owns nothing", async () => {
  const owner = await add("owner");
  await add("a", [{ ...owner, metadata: { ...owner.metadata, uid: "another" } }]);
  await add("b", [{ ...owner, metadata: { name: "nowhere", uid: "x" } }]);
  await add("c", [owner]);
  await cluster.settle();
  expect(await left()).toEqual(["c", "owner"]);
});

test("an owner in another namespace owns nothing, and that is said", async () => {
  const { metadata } = await add("owner");
  const ownerReferences = [{ apiVersion: "v1", kind: "ConfigMap", name: "owner", uid: metadata.uid ?? "" }];
  await cluster.client.create(resources.ConfigMap, {
    metadata: { namespace: "b", name: "stray", ownerReferences },
  });
  await cluster.client.create(resources.ClusterRole, { metadata: { name: "wide", ownerReferences }, rules: [] });
  await cluster.settle();
  expect(await left()).toEqual(["owner"]);
  expect((await cluster.client.list(resources.ClusterRole)).items).toHaveLength(1);
  const events = (await cluster.client.list(resources.Event)).items;
  expect(events.map(({ reason, message }) => `${reason}: ${message}`).sort()).toEqual([
    `OwnerRefInvalidNamespace: ownerRef [v1/ConfigMap, namespace: , name: owner, uid: ${metadata.uid}] does not exist in namespace ""`,
    `OwnerRefInvalidNamespace: ownerRef [v1/ConfigMap, namespace: b, name: owner, uid: ${metadata.uid}] does not exist in namespace "b"`,
  ]);
});

test("an owner of an unknown kind keeps its dependents; the API that can't say keeps them too", async () => {
  const unknown = [{ apiVersion: "example.com/v1", kind: "Widget", name: "w", uid: "1" }];
  await add("a", [], { ownerReferences: unknown });
  cluster.client.intercept = ({ verb }) => {
    if (verb === "get") throw new Error("away");
  };
  await add("b", [], { ownerReferences: [{ apiVersion: "v1", kind: "Secret", name: "s", uid: "2" }] });
  await cluster.settle();
  expect(await left()).toEqual(["a", "b"]);
  cluster.client.intercept = undefined;
  await cluster.clock.advance(5000);
  await cluster.settle();
  expect(await left()).toEqual(["a"]);
});

test("an owner that only the API knows yet is looked up before anything is deleted", async () => {
  const owner = await add("owner");
  await cluster.settle();
  const gets: string[] = [];
  cluster.client.intercept = ({ verb, key }) => void (verb === "get" && gets.push(key));
  await add("child", [{ ...owner, metadata: { ...owner.metadata, uid: "missing" } }]);
  await cluster.settle();
  expect(gets).toContain("a/owner");
});

test("objects of kinds that were defined meanwhile own, and are owned", async () => {
  const names = { kind: "Widget", plural: "widgets", singular: "widget" };
  const lists = { shortNames: [], categories: [], subresources: [] };
  const widget: Resource = { group: "acme.io", version: "v1", namespaced: true, ...names, ...lists };
  await cluster.client.create(resources.CustomResourceDefinition, {
    metadata: { name: "widgets.acme.io" },
    spec: { group: "acme.io", scope: "Namespaced", names, versions: [{ name: "v1", served: true, storage: true }] },
    status: { conditions: [{ type: "Established", status: "True" }], acceptedNames: names },
  });
  await cluster.settle();
  const owner = await cluster.client.create(widget, { metadata: at("w") });
  const reference = { apiVersion: "acme.io/v1", kind: "Widget", name: "w", uid: owner.metadata.uid ?? "" };
  const map = await add("owned", [], { ownerReferences: [reference] });
  const mapReference = { apiVersion: "v1", kind: "ConfigMap", name: "owned", uid: map.metadata.uid ?? "" };
  await cluster.client.create(widget, { metadata: { ...at("below"), ownerReferences: [mapReference] } });
  await cluster.settle();
  expect(await left()).toEqual(["owned"]);
  await cluster.client.delete(widget, at("w"));
  await cluster.settle();
  expect(await left()).toEqual([]);
  expect((await cluster.client.list(widget)).items).toEqual([]);
  // What goes with its definition is not followed any more.
  await cluster.client.delete(resources.CustomResourceDefinition, { name: "widgets.acme.io" });
  await cluster.settle();
});
