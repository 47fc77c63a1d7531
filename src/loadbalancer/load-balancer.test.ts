import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createFakeClient, createInformers, type FakeClient } from "../client/index.ts";
import { findCondition, isStatus, resources, statusError, type Service } from "../kube/index.ts";
import { FakeClock, silentLogger, type Component } from "../system/index.ts";
import { cleanupFinalizer, startLoadBalancer } from "./load-balancer.ts";
import { assignedCondition } from "./status.ts";

let client: FakeClient;
let clock: FakeClock;
let stop: AbortController;
let running: Component | undefined;

beforeEach(() => {
  clock = new FakeClock();
  client = createFakeClient({ clock });
  stop = new AbortController();
});
afterEach(() => stop.abort());

const pool = "10.97.0.1-10.97.0.3";

async function start(...pools: string[]): Promise<void> {
  stop = new AbortController();
  const { signal } = stop;
  const informers = createInformers(client, { signal, log: silentLogger });
  running = startLoadBalancer({
    client,
    informers,
    pools: pools.length > 0 ? pools : [pool],
    signal,
    clock,
    log: silentLogger,
  });
  await running.ready;
}

async function crash(): Promise<void> {
  stop.abort();
  await running?.stopped;
}

/** Lets the controller work off what it has to do, retries included. */
async function quiet(): Promise<void> {
  for (let i = 0; i < 8; i++) await clock.advance(500);
}

const where = (name: string) => ({ namespace: "shop", name });

function create(name: string, spec: object = {}, annotations: Record<string, string> = {}): Promise<Service> {
  const metadata = { name, namespace: "shop", annotations };
  return client.create(resources.Service, { metadata, spec: { type: "LoadBalancer", ...spec } });
}

async function look(name: string) {
  const { metadata, spec, status } = await client.get(resources.Service, where(name));
  const condition = findCondition(status?.conditions, assignedCondition);
  return {
    type: spec.type,
    finalizers: metadata.finalizers ?? [],
    ips: (status?.loadBalancer?.ingress ?? []).map(({ ip, ipMode }) => `${ip} ${ipMode}`),
    condition: condition && `${condition.status} ${condition.reason}: ${condition.message}`,
  };
}

async function ipOf(name: string): Promise<string | undefined> {
  return (await look(name)).ips[0]?.split(" ")[0];
}

async function change(name: string, edit: (service: Service) => void): Promise<void> {
  const copy = structuredClone(await client.get(resources.Service, where(name)));
  edit(copy);
  await client.update(resources.Service, copy);
}

async function claims(): Promise<Record<string, string>> {
  try {
    const map = await client.get(resources.ConfigMap, { namespace: "kube-system", name: "fairlead-addresses" });
    return Object.fromEntries(Object.entries(map.data ?? {}).map(([key, value]) => [key, value.split(" ")[0] ?? ""]));
  } catch (error) {
    if (isStatus(error, "NotFound")) return {};
    throw error;
  }
}

async function eventsOf(name: string): Promise<string[]> {
  const { items } = await client.list(resources.Event, { namespace: "shop" });
  return items
    .filter((one) => one.involvedObject.name === name)
    .map((one) => `${one.type} ${one.reason}: ${one.message}`);
}

describe("an address", () => {
  test("is given with finalizer, claim, status, condition and event", async () => {
    await start();
    await create("web");
    await quiet();
    expect(await look("web")).toMatchObject({
      finalizers: [cleanupFinalizer],
      ips: ["10.97.0.1 VIP"],
      condition: "True Assigned: has 10.97.0.1",
    });
    expect(await claims()).toEqual({ "10.97.0.1": "shop/web" });
    expect(await eventsOf("web")).toEqual(["Normal AddressAssigned: has 10.97.0.1"]);
  });

  test("is written down before anyone sees it", async () => {
    await start();
    await create("web");
    await quiet();
    const order = client.writes
      .filter(({ verb, resource }) => verb !== "create" || resource.kind === "ConfigMap")
      .map(({ resource, subresource }) => `${resource.kind}${subresource ? `/${subresource}` : ""}`);
    expect(order.slice(0, 3)).toEqual(["Service", "ConfigMap", "Service/status"]);
  });

  test("is given to no Service of another type or class", async () => {
    await start();
    await create("inside", { type: "ClusterIP" });
    await create("theirs", { loadBalancerClass: "example.com/other" });
    await create("ours", { loadBalancerClass: "fairlead.dev/pool" });
    await quiet();
    expect([await ipOf("inside"), await ipOf("theirs"), await ipOf("ours")]).toEqual([
      undefined,
      undefined,
      "10.97.0.1",
    ]);
    expect(await look("theirs")).toMatchObject({ finalizers: [], condition: undefined });
  });

  test("stays when the Service changes and when the program starts again", async () => {
    await start();
    for (const name of ["a", "b"]) await create(name);
    await quiet();
    await client.delete(resources.Service, where("a"));
    await quiet();
    await change("b", (service) => (service.metadata.labels = { changed: "true" }));
    await quiet();
    expect(await ipOf("b")).toBe("10.97.0.2");
    await crash();
    await start("10.97.0.1-10.97.0.3", "10.98.0.0/24");
    await create("c");
    await quiet();
    expect([await ipOf("b"), await ipOf("c")]).toEqual(["10.97.0.2", "10.97.0.1"]);
  });

  test("comes back when someone takes it out of the status", async () => {
    await start();
    await create("web");
    await quiet();
    const service = await client.get(resources.Service, where("web"));
    await client.updateStatus(resources.Service, { ...service, status: {} });
    await quiet();
    expect(await look("web")).toMatchObject({ ips: ["10.97.0.1 VIP"], condition: "True Assigned: has 10.97.0.1" });
  });
});

describe("an address is given back", () => {
  test("when the Service is deleted, which waits for that", async () => {
    await start();
    await create("web");
    await quiet();
    await client.delete(resources.Service, where("web"));
    await quiet();
    await expect(client.get(resources.Service, where("web"))).rejects.toMatchObject({ reason: "NotFound" });
    expect(await claims()).toEqual({});
  });

  test("when the Service is of another type", async () => {
    await start();
    await create("web");
    await quiet();
    await change("web", (service) => (service.spec.type = "ClusterIP"));
    await quiet();
    expect(await look("web")).toEqual({ type: "ClusterIP", finalizers: [], ips: [], condition: undefined });
    expect(await claims()).toEqual({});
  });

  test("when the Service goes by force, and its name is used again", async () => {
    await start();
    await create("web", {}, { "fairlead.dev/address": "10.97.0.3" });
    await quiet();
    client.remove(resources.Service, where("web"));
    await create("web");
    await quiet();
    expect(await ipOf("web")).toBe("10.97.0.1");
    expect(await claims()).toEqual({ "10.97.0.1": "shop/web" });
  });

  test("when the Service went, or changed its type, while nobody looked", async () => {
    await start();
    for (const name of ["a", "b", "c"]) await create(name);
    await quiet();
    await crash();
    client.remove(resources.Service, where("a"));
    await change("b", (service) => (service.spec.type = "ClusterIP"));
    await client.delete(resources.Service, where("c"));
    await start();
    await quiet();
    expect(await claims()).toEqual({});
    expect(await look("b")).toMatchObject({ finalizers: [], ips: [] });
    await expect(client.get(resources.Service, where("c"))).rejects.toMatchObject({ reason: "NotFound" });
  });

  test("while the finalizer of another load balancer is left alone", async () => {
    await start();
    const theirs = {
      metadata: { name: "theirs", namespace: "shop", finalizers: [cleanupFinalizer] },
      spec: { type: "ClusterIP" },
    };
    await client.create(resources.Service, theirs);
    await quiet();
    expect((await look("theirs")).finalizers).toEqual([cleanupFinalizer]);
  });
});

describe("a Service that gets none", () => {
  test("says why in a condition and in one event, and gets the next one that is free", async () => {
    await start("10.97.0.1");
    await create("first");
    await quiet();
    await create("second");
    await quiet();
    await create("third");
    await quiet();
    const why = "all IPv4 addresses of 10.97.0.1 are taken; the Service waits for one to become free";
    expect(await look("second")).toMatchObject({ ips: [], condition: `False PoolExhausted: ${why}` });
    expect(await eventsOf("second")).toEqual([`Warning PoolExhausted: ${why}`]);
    await client.delete(resources.Service, where("first"));
    await quiet();
    expect([await ipOf("second"), await ipOf("third")]).toEqual(["10.97.0.1", undefined]);
    expect(await eventsOf("second")).toContain("Normal AddressAssigned: has 10.97.0.1");
  });

  test("comes before those who came later, also after a new start", async () => {
    await start("10.97.0.1");
    await create("holder");
    await quiet();
    for (const name of ["z", "y", "x"]) {
      await create(name);
      await quiet();
    }
    await crash();
    await start("10.97.0.1");
    await client.delete(resources.Service, where("holder"));
    await create("a");
    await quiet();
    expect(await ipOf("z")).toBe("10.97.0.1");
    await client.delete(resources.Service, where("z"));
    await quiet();
    expect(await ipOf("y")).toBe("10.97.0.1");
  });

  test("does not hold up one that asks for something else", async () => {
    await start("10.97.0.1-10.97.0.2");
    await create("holder", {}, { "fairlead.dev/address": "10.97.0.1" });
    await create("picky", {}, { "fairlead.dev/address": "10.97.0.1" });
    await create("bad", {}, { "metallb.io/loadBalancerIPs": "nonsense" });
    await create("easy");
    await quiet();
    expect(await ipOf("easy")).toBe("10.97.0.2");
    const field = (name: string) => `metadata.annotations[${name}]`;
    expect((await look("picky")).condition).toBe(
      `False AddressTaken: ${field("fairlead.dev/address")}: 10.97.0.1 is held by Service shop/holder`,
    );
    expect((await look("bad")).condition).toBe(
      `False InvalidRequest: ${field("metallb.io/loadBalancerIPs")}: "nonsense" is not an IP address`,
    );
    await client.delete(resources.Service, where("holder"));
    await quiet();
    expect(await ipOf("picky")).toBe("10.97.0.1");
  });

  test("of what it asks for keeps what it has until it can have that", async () => {
    await start();
    await create("holder", {}, { "fairlead.dev/address": "10.97.0.2" });
    await create("web");
    await quiet();
    await change("web", (service) => (service.metadata.annotations = { "fairlead.dev/address": "10.97.0.2" }));
    await quiet();
    expect(await look("web")).toMatchObject({
      ips: ["10.97.0.1 VIP"],
      condition: expect.stringMatching(
        /^True AddressTaken: .* is held by Service shop\/holder; keeps 10.97.0.1$/,
      ) as string,
    });
    await client.delete(resources.Service, where("holder"));
    await quiet();
    expect(await look("web")).toMatchObject({ ips: ["10.97.0.2 VIP"], condition: "True Assigned: has 10.97.0.2" });
    expect(await claims()).toEqual({ "10.97.0.2": "shop/web" });
  });
});

describe("what goes wrong", () => {
  test("a lost record is made again from the statuses before anything is given", async () => {
    await start();
    await create("a");
    await create("b");
    await quiet();
    await client.delete(resources.Service, where("a"));
    await quiet();
    await crash();
    client.remove(resources.ConfigMap, { namespace: "kube-system", name: "fairlead-addresses" });
    await create("c", {}, { "fairlead.dev/address": "10.97.0.2" });
    await start();
    await quiet();
    expect(await ipOf("b")).toBe("10.97.0.2");
    expect((await look("c")).condition).toContain("10.97.0.2 is held by Service shop/b");
    expect(await claims()).toEqual({ "10.97.0.2": "shop/b" });
  });

  test("a record that another wrote meanwhile is read again, and nothing is given twice", async () => {
    await start();
    await create("a");
    await quiet();
    const name = { namespace: "kube-system", name: "fairlead-addresses" };
    const record = await client.get(resources.ConfigMap, name);
    await client.update(resources.ConfigMap, { ...record, data: { ...record.data, "10.97.0.2": "else/where 1" } });
    await create("b");
    await quiet();
    expect(await ipOf("b")).toBe("10.97.0.3");
  });

  test("a former address is nobody else's as long as a status shows it", async () => {
    await start();
    await create("web");
    await quiet();
    client.intercept = ({ subresource, key }) => {
      if (subresource === "status" && key === "shop/web") throw statusError("ServiceUnavailable", "try again");
    };
    await change("web", (service) => (service.metadata.annotations = { "fairlead.dev/address": "10.97.0.2" }));
    await quiet();
    await create("next", {}, { "fairlead.dev/address": "10.97.0.1" });
    await quiet();
    expect([await ipOf("web"), await ipOf("next")]).toEqual(["10.97.0.1", undefined]);
    client.intercept = undefined;
    for (let i = 0; i < 10; i++) await clock.advance(60_000);
    expect([await ipOf("web"), await ipOf("next")]).toEqual(["10.97.0.2", "10.97.0.1"]);
  });

  test.each(Array.from({ length: 12 }, (_, i) => i + 1))(
    "with failing writes and crashes no address is ever shown twice: random run %i",
    async (seed) => {
      let state = seed;
      const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
      const names = ["a", "b", "c", "d", "e"];
      let failing = true;
      client.intercept = ({ verb, resource }) => {
        const isWrite = verb === "update" || (verb === "create" && resource.kind === "ConfigMap");
        if (failing && isWrite && random() < 0.2) throw statusError("ServiceUnavailable", "try again");
      };
      await start();
      for (let step = 0; step < 60; step++) {
        const name = names[Math.floor(random() * names.length)] as string;
        const action = random();
        const wish = random() < 0.4 ? { "fairlead.dev/address": `10.97.0.${1 + Math.floor(random() * 4)}` } : {};
        failing = false;
        if (action < 0.5) await create(name, {}, wish).catch(() => {});
        else if (action < 0.75) await client.delete(resources.Service, where(name)).catch(() => {});
        else if (action < 0.85) await change(name, (service) => (service.metadata.annotations = wish)).catch(() => {});
        failing = true;
        if (action > 0.93) {
          await crash();
          await start();
        }
        await clock.advance(random() * 50);
        const { items } = await client.list(resources.Service);
        const shown = items.flatMap((service) => (service.status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip));
        expect(new Set(shown).size, `step ${step}`).toBe(shown.length);
        const recorded = await claims();
        for (const service of items) {
          for (const { ip = "" } of service.status?.loadBalancer?.ingress ?? []) {
            expect(recorded[ip]).toBe(`shop/${service.metadata.name}`);
          }
        }
      }
      failing = false;
      for (let i = 0; i < 40; i++) await clock.advance(60_000);
      const { items } = await client.list(resources.Service);
      const given = items.flatMap((service) => (service.status?.loadBalancer?.ingress ?? []).map(({ ip = "" }) => ip));
      expect(Object.keys(await claims()).sort()).toEqual(given.sort());
      const wanting = items.filter((service) => !service.metadata.annotations?.["fairlead.dev/address"]);
      const served = wanting.filter((service) => service.status?.loadBalancer?.ingress?.length);
      expect(served.length === wanting.length || given.length === 3).toBe(true);
    },
  );
});
