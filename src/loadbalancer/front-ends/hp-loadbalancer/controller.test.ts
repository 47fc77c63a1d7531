import { afterEach, beforeEach, expect, test } from "vitest";
import { createFakeClient, createInformers, type FakeClient } from "../../../client/index.ts";
import { resources, type Service } from "../../../kube/index.ts";
import { FakeClock, silentLogger } from "../../../system/index.ts";
import { addressClaims } from "../../definitions.ts";
import { cleanupFinalizer } from "../../load-balancer.ts";
import { assignedCondition } from "../../status.ts";
import { frontEndLabel } from "../twin.ts";
import { startHpLoadBalancer } from "./controller.ts";

let client: FakeClient;
let clock: FakeClock;
let stop: AbortController;

beforeEach(() => {
  clock = new FakeClock();
  client = createFakeClient({ clock });
  stop = new AbortController();
});
afterEach(() => stop.abort());

async function quiet(): Promise<void> {
  for (let i = 0; i < 12; i++) await clock.advance(500);
}

async function start(addresses = "10.0.0.10-10.0.0.11", more: { namespace?: string } = {}): Promise<void> {
  const { signal } = stop;
  const controller = startHpLoadBalancer({
    client,
    informers: createInformers(client, { signal, log: silentLogger }),
    backend: "loadbalancer-daemon",
    addresses,
    ...more,
    cluster: "test",
    signal,
    clock,
    log: silentLogger,
  });
  await controller.ready;
  await quiet();
}

function service(namespace: string, name: string, port = 80): void {
  client.put(resources.Service, {
    metadata: { namespace, name },
    spec: { type: "NodePort", selector: { app: name }, ports: [{ port, protocol: "TCP", nodePort: 30_000 + port }] },
  });
}

function configMap(name: string, data: Record<string, string>, labels = { app: "loadbalancer" }): void {
  client.put(resources.ConfigMap, { metadata: { namespace: "default", name, labels }, data });
}

const dataOf = async (name: string) =>
  (await client.get(resources.ConfigMap, { namespace: "default", name })).data ?? {};

async function twins(): Promise<Service[]> {
  const { items } = await client.list(resources.Service);
  return items.filter(({ metadata }) => metadata.labels?.[frontEndLabel] === "hp-loadbalancer");
}

test("the documented example: a ConfigMap in, bind-ip and status out", async () => {
  service("default", "coffee-svc");
  await start();
  configMap("configmap-coffee-svc", { namespace: "default", "target-service-name": "coffee-svc" });
  await quiet();
  expect(await dataOf("configmap-coffee-svc")).toEqual({
    namespace: "default",
    "target-service-name": "coffee-svc",
    "bind-ip": "10.0.0.10",
    status: "SUCCESS",
  });
});

test("two Services on port 3306, in two namespaces and of one name, have addresses of their own", async () => {
  service("a", "mysql", 3306);
  service("b", "mysql", 3306);
  await start();
  configMap("one", { namespace: "a", "target-service-name": "mysql" });
  configMap("two", { namespace: "b", "target-service-name": "mysql" });
  await quiet();
  const given = [(await dataOf("one"))["bind-ip"], (await dataOf("two"))["bind-ip"]];
  expect(given.sort()).toEqual(["10.0.0.10", "10.0.0.11"]);
});

test("no address is left: the ConfigMap is told, and gets the first that becomes free", async () => {
  service("default", "web");
  await start("10.0.0.10-10.0.0.10");
  configMap("first", { "target-service-name": "web" });
  await quiet();
  configMap("second", { "target-service-name": "web" });
  await quiet();
  expect((await dataOf("second"))["status"]).toMatch(/^ERROR : /);
  client.remove(resources.ConfigMap, { namespace: "default", name: "first" });
  await quiet();
  expect(await dataOf("second")).toMatchObject({ "bind-ip": "10.0.0.10", status: "SUCCESS" });
});

test("an address that is in bind-ip from before is kept, and one that cannot be had is told", async () => {
  service("default", "web");
  service("default", "mail", 25);
  await start();
  configMap("web", { "target-service-name": "web", "bind-ip": "10.0.0.11" });
  await quiet();
  configMap("mail", { "target-service-name": "mail", "bind-ip": "10.0.0.11" });
  configMap("far", { "target-service-name": "mail", "bind-ip": "192.0.2.1" });
  await quiet();
  expect(await dataOf("web")).toMatchObject({ "bind-ip": "10.0.0.11", status: "SUCCESS" });
  expect((await dataOf("mail"))["status"]).toMatch(/^ERROR : .*10\.0\.0\.11/);
  expect((await dataOf("far"))["status"]).toMatch(/^ERROR : .*192\.0\.2\.1/);
});

test("a port of the Service that changes is followed; a Service that goes is told, and takes its twin along", async () => {
  service("default", "web");
  await start();
  configMap("web", { "target-service-name": "web" });
  await quiet();
  const found = await client.get(resources.Service, { namespace: "default", name: "web" });
  await client.update(resources.Service, { ...found, spec: { ...found.spec, ports: [{ port: 81, protocol: "TCP" }] } });
  await quiet();
  expect((await twins()).map(({ spec }) => spec.ports?.[0]?.port)).toEqual([81]);
  client.remove(resources.Service, { namespace: "default", name: "web" });
  await quiet();
  expect((await dataOf("web"))["status"]).toBe("ERROR : Service default/web does not exist");
  expect(await twins()).toEqual([]);
  // The address is kept for it.
  expect((await client.list(addressClaims)).items[0]?.spec.reservedFor).toBeDefined();
});

test.each([
  [{}, "target-service-name"],
  [{ "target-service-name": "../x" }, "no Service's name"],
  [{ "target-service-name": "web", namespace: "A B" }, "no namespace's name"],
  [{ "target-service-name": "web", "bind-ip": "10.0.0.300" }, "not an address"],
  [{ "target-service-name": "gone" }, "does not exist"],
])("%j is told, and others go on", async (data, words) => {
  service("default", "web");
  await start();
  configMap("bad", data);
  configMap("good", { "target-service-name": "web" });
  configMap("foreign", { "target-service-name": "web" }, { app: "else" });
  await quiet();
  expect((await dataOf("bad"))["status"]).toContain(`ERROR : `);
  expect((await dataOf("bad"))["status"]).toContain(words);
  expect((await dataOf("good"))["status"]).toBe("SUCCESS");
  expect((await dataOf("foreign"))["status"]).toBeUndefined();
});

test("two that look after a namespace each: neither removes the other's twins", async () => {
  const range = "10.0.0.10-10.0.0.19";
  service("default", "web");
  service("shop", "web");
  configMap("one", { "target-service-name": "web" });
  client.put(resources.ConfigMap, {
    metadata: { namespace: "shop", name: "two", labels: { app: "loadbalancer" } },
    data: { "target-service-name": "web" },
  });
  await start(range, { namespace: "default" });
  await start(range, { namespace: "shop" });
  await quiet();
  const before = (await twins()).map(({ metadata }) => metadata.uid).sort();
  expect(before).toHaveLength(2);
  configMap("three", { "target-service-name": "web" });
  await quiet();
  await client.delete(resources.ConfigMap, { namespace: "default", name: "three" });
  await quiet();
  expect((await twins()).map(({ metadata }) => metadata.uid).sort()).toEqual(before);
});

test("a range of IPv6, for a Service of IPv6", async () => {
  const ports = [{ port: 80, protocol: "TCP" as const }];
  client.put(resources.Service, {
    metadata: { namespace: "default", name: "six" },
    spec: { type: "ClusterIP", ipFamilies: ["IPv6"], selector: { app: "six" }, ports },
  });
  await start("fd00::10-fd00::11");
  configMap("six", { "target-service-name": "six", "bind-ip": "fd00:0::11" });
  await quiet();
  expect(await dataOf("six")).toMatchObject({ "bind-ip": "fd00::11", status: "SUCCESS" });
});

test("what is wrong is an event as well, once", async () => {
  await start();
  configMap("lost", { "target-service-name": "absent" });
  await quiet();
  await quiet();
  const { items } = await client.list(resources.Event, { namespace: "default" });
  expect(items.map(({ involvedObject, type, message }) => [involvedObject.name, type, message])).toEqual([
    ["lost", "Warning", "Service default/absent does not exist"],
  ]);
});

test("a Service without a class is another controller's, with what it has and with what it was told", async () => {
  await start();
  const condition = { type: assignedCondition, status: "False", reason: "NoPool", message: "a" };
  const before = client.put(resources.Service, {
    metadata: { namespace: "default", name: "web", finalizers: [cleanupFinalizer] },
    spec: { type: "LoadBalancer", ports: [{ port: 80, protocol: "TCP" }] },
    status: { loadBalancer: { ingress: [{ ip: "10.0.0.10" }] }, conditions: [condition] },
  });
  await quiet();
  const after = await client.get(resources.Service, { namespace: "default", name: "web" });
  expect(after).toEqual(before);
});
