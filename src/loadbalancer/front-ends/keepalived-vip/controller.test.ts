import { afterEach, beforeEach, expect, test } from "vitest";
import { createFakeClient, createInformers, type FakeClient } from "../../../client/index.ts";
import { resources, type Service } from "../../../kube/index.ts";
import { FakeClock, silentLogger } from "../../../system/index.ts";
import { addressClaims, addressPools } from "../../definitions.ts";
import type { AddressProbe } from "../../probe.ts";
import { frontEndLabel } from "../twin.ts";
import { startKeepalivedVip, statusAnnotation } from "./controller.ts";

let client: FakeClient;
let clock: FakeClock;
let stop: AbortController;
const configMap = { namespace: "default", name: "vips" };

beforeEach(() => {
  clock = new FakeClock();
  client = createFakeClient({ clock });
  stop = new AbortController();
});
afterEach(() => stop.abort());

async function quiet(): Promise<void> {
  for (let i = 0; i < 12; i++) await clock.advance(500);
}

async function start(
  more: { proxyMode?: boolean; withdraw?: boolean; probe?: AddressProbe; configMap?: typeof configMap } = {},
): Promise<void> {
  const { signal } = stop;
  const informers = createInformers(client, { signal, log: silentLogger });
  const controller = startKeepalivedVip({
    client,
    informers,
    configMap,
    proxyMode: false,
    announce: { protocol: "VRRP" },
    firstGroup: 50,
    ...more,
    signal,
    clock,
    log: silentLogger,
  });
  await controller.ready;
  await quiet();
}

function service(namespace: string, name: string, port = 80, spec: object = {}): void {
  client.put(resources.Service, {
    metadata: { namespace, name },
    spec: { type: "ClusterIP", selector: { app: name }, ports: [{ port, protocol: "TCP", targetPort: 8080 }], ...spec },
  });
}

async function vips(data: Record<string, string>): Promise<void> {
  const found = await client.get(resources.ConfigMap, configMap).catch(() => undefined);
  if (found) await client.update(resources.ConfigMap, { ...found, data });
  else await client.create(resources.ConfigMap, { metadata: configMap, data });
  await quiet();
}

async function twins(): Promise<Service[]> {
  const { items } = await client.list(resources.Service);
  return items.filter(({ metadata }) => metadata.labels?.[frontEndLabel] === "keepalived-vip");
}

async function states(): Promise<Record<string, { state: string; reason?: string; message?: string }>> {
  const { metadata } = await client.get(resources.ConfigMap, configMap);
  return JSON.parse(metadata.annotations?.[statusAnnotation] ?? "{}") as never;
}

const addressOf = ({ status }: Service) => status?.loadBalancer?.ingress?.[0]?.ip;

test("a ConfigMap that is made after the start counts, and each key gets its address", async () => {
  service("default", "echoheaders");
  await start();
  await vips({ "10.4.0.50": "default/echoheaders", "10.4.0.52": "" });
  const [twin] = await twins();
  expect(twin && addressOf(twin)).toBe("10.4.0.50");
  expect(twin?.spec).toMatchObject({ selector: { app: "echoheaders" }, ports: [{ port: 80, targetPort: 8080 }] });
  expect(await states()).toEqual({
    "10.4.0.50": { state: "Serving", address: "10.4.0.50" },
    "10.4.0.52": { state: "Held", address: "10.4.0.52" },
  });
  const pool = await client.get(addressPools, { name: "keepalived-vip-default-vips" });
  expect(pool.spec).toMatchObject({ addresses: ["10.4.0.50", "10.4.0.52"], announce: { protocol: "VRRP" } });
  // Each address has a VRRP instance of its own, so that they can be spread; --vrid says where they begin.
  const { items } = await client.list(addressClaims);
  expect(items.map(({ spec }) => spec.group).sort()).toEqual([50, 51]);
});

test("what is wrong is told at its key and in events, and harms no other", async () => {
  service("default", "echoheaders");
  await start();
  await vips({
    "10.4.0.50": "default/echoheaders",
    "10.4.0.51": "default/gone",
    "10.4.0.53": "default/x:DR",
    vip: "a/b",
  });
  expect(await states()).toMatchObject({
    "10.4.0.50": { state: "Serving" },
    "10.4.0.51": { state: "Waiting", reason: "ServiceNotFound", message: "Service default/gone does not exist" },
    "10.4.0.53": { state: "Invalid", reason: "UnsupportedMethod" },
    vip: { state: "Invalid", reason: "InvalidAddress" },
  });
  const { items } = await client.list(resources.Event);
  expect(items.map(({ reason }) => reason)).toContain("UnsupportedMethod");
  // It is held already, so that nothing flaps when the Service comes.
  expect((await client.get(addressClaims, { name: "10.4.0.51" })).spec.owners).toHaveLength(1);
  service("default", "gone");
  await quiet();
  expect((await states())["10.4.0.51"]).toEqual({ state: "Serving", address: "10.4.0.51" });
});

test("the same port at two addresses, two Services at one address, the same name in two namespaces", async () => {
  service("a", "db", 3306);
  service("b", "db", 3306);
  service("a", "web", 80);
  await start();
  await vips({ "10.4.0.50": "a/db,a/web", "10.4.0.51": "b/db" });
  const all = await twins();
  expect(all.map((one) => [one.metadata.namespace, addressOf(one), one.spec.ports?.[0]?.port]).sort()).toEqual([
    ["a", "10.4.0.50", 3306],
    ["a", "10.4.0.50", 80],
    ["b", "10.4.0.51", 3306],
  ]);
});

test("two Services that want the same port of one address: the second is told why not", async () => {
  service("a", "db", 3306);
  service("b", "db", 3306);
  await start();
  await vips({ "10.4.0.50": "a/db b/db" });
  expect((await states())["10.4.0.50"]).toMatchObject({ state: "Waiting", reason: "AddressTaken" });
  expect((await twins()).map(addressOf).filter(Boolean)).toEqual(["10.4.0.50"]);
});

test("a key that goes takes its twin and its claim along; and a deleted ConfigMap all of them", async () => {
  service("default", "a");
  service("default", "b");
  await start();
  await vips({ "10.4.0.50": "default/a", "10.4.0.51": "default/b", "10.4.0.52": "" });
  await vips({ "10.4.0.51": "default/b" });
  expect((await twins()).map(addressOf)).toEqual(["10.4.0.51"]);
  expect((await client.list(addressClaims)).items.map(({ metadata }) => metadata.name)).toEqual(["10.4.0.51"]);
  await client.delete(resources.ConfigMap, configMap);
  await quiet();
  expect(await twins()).toEqual([]);
  expect((await client.list(addressClaims)).items).toEqual([]);
});

test("an address stays while its Service is away or has no endpoint, and its stickiness is the Service's own", async () => {
  service("default", "a", 80, { sessionAffinity: "ClientIP" });
  service("default", "b", 80, { sessionAffinity: "None" });
  await start();
  await vips({ "10.4.0.50": "default/a", "10.4.0.51": "default/b" });
  expect((await twins()).map(({ spec }) => spec.sessionAffinity).sort()).toEqual(["ClientIP", undefined]);
  await client.delete(resources.Service, { namespace: "default", name: "a" });
  await quiet();
  expect((await client.get(addressClaims, { name: "10.4.0.50" })).spec.owners).toMatchObject([{ kind: "ConfigMap" }]);
});

test("what runs already costs no write, and a Service of the user's is never touched", async () => {
  service("default", "a");
  await start();
  await vips({ "10.4.0.50": "default/a" });
  const before = await client.get(resources.Service, { namespace: "default", name: "a" });
  const writes = () => client.writes.length;
  const count = writes();
  stop.abort();
  stop = new AbortController();
  await start();
  expect(writes()).toBe(count);
  expect(await client.get(resources.Service, { namespace: "default", name: "a" })).toEqual(before);
});

test("a Service without a selector: its slices are copied", async () => {
  service("default", "a", 80, { selector: undefined });
  client.put(resources.EndpointSlice, {
    metadata: { namespace: "default", name: "a-1", labels: { "kubernetes.io/service-name": "a" } },
    addressType: "IPv4",
    ports: [{ name: "", port: 8080, protocol: "TCP" }],
    endpoints: [{ addresses: ["10.9.9.9"] }],
  });
  await start();
  await vips({ "10.4.0.50": "default/a" });
  const [twin] = await twins();
  const copies = async () =>
    (await client.list(resources.EndpointSlice)).items.filter(
      ({ metadata }) => metadata.labels?.["kubernetes.io/service-name"] === twin?.metadata.name,
    );
  expect(await copies()).toMatchObject([{ endpoints: [{ addresses: ["10.9.9.9"] }], ports: [{ port: 8080 }] }]);
  await client.delete(resources.EndpointSlice, { namespace: "default", name: "a-1" });
  await quiet();
  expect(await copies()).toEqual([]);
});

test("an address that somebody on the network has is not taken, and tried again; our own answer is no stranger's", async () => {
  service("default", "a");
  service("default", "b");
  let stranger: string | undefined = "answers ARP";
  const asked: string[] = [];
  // Whatever a node holds answers at once, before anybody is told of it.
  const inUse = async (address: string): Promise<string | undefined> => {
    asked.push(address);
    if (address === "10.4.0.50") return stranger;
    return client.get(addressClaims, { name: address }).then(
      () => "answers ARP",
      () => undefined,
    );
  };
  await start({ probe: { inUse } });
  await vips({ "10.4.0.50": "default/a", "10.4.0.51": "default/b" });
  expect(await states()).toMatchObject({
    "10.4.0.50": { state: "Waiting", reason: "AddressTaken", message: expect.stringContaining("someone else") },
    "10.4.0.51": { state: "Serving" },
  });
  expect(asked).toEqual(["10.4.0.50", "10.4.0.51"]);
  stranger = undefined;
  for (let i = 0; i < 130; i++) await clock.advance(500);
  expect((await states())["10.4.0.50"]).toMatchObject({ state: "Serving" });
});

test("two ConfigMaps, each with a program of its own: neither touches what the other has made", async () => {
  service("default", "web");
  client.put(resources.EndpointSlice, {
    metadata: { namespace: "default", name: "bare-1", labels: { "kubernetes.io/service-name": "bare" } },
    addressType: "IPv4",
    endpoints: [{ addresses: ["10.1.1.1"] }],
  });
  service("default", "bare", 81, { selector: {} });
  await start();
  await start({ configMap: { namespace: "default", name: "more" } });
  await client.create(resources.ConfigMap, {
    metadata: { namespace: "default", name: "more" },
    data: { "10.4.0.61": "default/web", "10.4.0.62": "default/bare" },
  });
  await vips({ "10.4.0.51": "default/web", "10.4.0.52": "default/bare" });
  const before = (await twins()).map(({ metadata }) => metadata.uid).sort();
  expect(before).toHaveLength(4);
  const addressesOf = async (pool: string) => (await client.get(addressPools, { name: pool })).spec?.addresses;
  expect(await addressesOf("keepalived-vip-default-more")).toEqual(["10.4.0.61", "10.4.0.62"]);
  await vips({ "10.4.0.51": "default/web", "10.4.0.52": "default/bare", "10.4.0.53": "default/web" });
  expect(await addressesOf("keepalived-vip-default-vips")).toEqual(["10.4.0.51", "10.4.0.52", "10.4.0.53"]);
  await vips({ "10.4.0.51": "default/web" });
  const after = await twins();
  expect(after).toHaveLength(3);
  expect(after.every(({ metadata }) => before.includes(metadata.uid))).toBe(true);
  const { items } = await client.list(resources.EndpointSlice);
  expect(items.filter(({ metadata }) => metadata.labels?.[frontEndLabel] !== undefined)).toHaveLength(1);
});
