import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createFakeClient, createInformers, type FakeClient } from "../client/index.ts";
import { findCondition, resources, statusError, type Service } from "../kube/index.ts";
import { FakeClock, silentLogger, type Component } from "../system/index.ts";
import { addressClaims, addressPools, type AddressPoolSpec } from "./definitions.ts";
import { cleanupFinalizer, startLoadBalancer } from "./load-balancer.ts";
import { assignedCondition } from "./status.ts";

let client: FakeClient;
let clock: FakeClock;
let stop: AbortController;
let running: Component | undefined;

beforeEach(() => {
  clock = new FakeClock();
  foreign.clear();
  client = createFakeClient({ clock });
  stop = new AbortController();
});
afterEach(() => stop.abort());

/** What the network says about addresses. */
const foreign = new Map<string, string>();

function putPool(name: string, spec: AddressPoolSpec): void {
  client.put(addressPools, { metadata: { name }, spec });
}

const pool = "10.97.0.1-10.97.0.3";

async function start(...pools: string[]): Promise<void> {
  stop = new AbortController();
  const { signal } = stop;
  const informers = createInformers(client, { signal, log: silentLogger });
  running = startLoadBalancer({
    client,
    informers,
    pools: pools.length > 0 ? pools : [pool],
    probe: { inUse: (address) => Promise.resolve(foreign.get(address)) },
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
  const { items } = await client.list(addressClaims);
  const held = items.flatMap(({ spec }) =>
    (spec.owners ?? []).map(({ namespace, name }) => [spec.address, `${namespace}/${name}`] as const),
  );
  return Object.fromEntries(held);
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
      .filter(({ verb, resource }) => verb !== "create" || resource.kind === "AddressClaim")
      .map(({ resource, subresource }) => `${resource.kind}${subresource ? `/${subresource}` : ""}`);
    expect(order.slice(0, 3)).toEqual(["Service", "AddressClaim", "Service/status"]);
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
    // What one had that is gone is kept for it as long as there are others.
    expect([await ipOf("b"), await ipOf("c")]).toEqual(["10.97.0.2", "10.97.0.3"]);
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
    expect(await ipOf("web")).toBe("10.97.0.3");
    expect(await claims()).toEqual({ "10.97.0.3": "shop/web" });
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

describe("an address that was given back", () => {
  test("is its Service's again when that comes back under its name, also after a new start", async () => {
    await start();
    for (const name of ["a", "b"]) await create(name);
    await quiet();
    for (const name of ["a", "b"]) await client.delete(resources.Service, where(name));
    await quiet();
    await crash();
    await start();
    for (const name of ["c", "b", "a"]) {
      await create(name);
      await quiet();
    }
    expect([await ipOf("a"), await ipOf("b"), await ipOf("c")]).toEqual(["10.97.0.1", "10.97.0.2", "10.97.0.3"]);
  });

  test("goes to another when there is no other, the one that was given back first", async () => {
    await start();
    for (const name of ["a", "b", "c"]) await create(name);
    await quiet();
    for (const name of ["c", "a"]) {
      await client.delete(resources.Service, where(name));
      await clock.advance(5_000);
      await quiet();
    }
    await create("d");
    await quiet();
    expect(await ipOf("d")).toBe("10.97.0.3");
  });

  test("goes to nobody else in a strict pool, and is free at once in one that keeps nothing", async () => {
    await start("10.99.0.1");
    putPool("strict", { addresses: ["10.98.0.1"], reservation: "Strict" });
    putPool("loose", { addresses: ["10.98.1.1-10.98.1.9"], reservation: "None", autoAssign: false });
    await quiet();
    const from = (pool: string) => ({ "fairlead.dev/address-pool": pool });
    await create("a", {}, from("strict"));
    await create("x", {}, from("loose"));
    await quiet();
    expect([await ipOf("a"), await ipOf("x")]).toEqual(["10.98.0.1", "10.98.1.1"]);
    for (const name of ["a", "x"]) await client.delete(resources.Service, where(name));
    await quiet();
    await create("b", {}, from("strict"));
    await create("y", {}, from("loose"));
    await quiet();
    expect([await ipOf("b"), await ipOf("y")]).toEqual([undefined, "10.98.1.1"]);
    await create("a", {}, from("strict"));
    await quiet();
    expect(await ipOf("a")).toBe("10.98.0.1");
  });

  test("is free for others when its claim is deleted, and a claim in use is made again", async () => {
    await start("10.97.0.1");
    await create("a");
    await quiet();
    await client.delete(addressClaims, { name: "10.97.0.1" });
    await quiet();
    expect(await claims()).toEqual({ "10.97.0.1": "shop/a" });
  });
});

describe("pools of the API", () => {
  test("serve whom they select; one without a name for it is asked by name only", async () => {
    client.put(resources.Namespace, { metadata: { name: "shop", labels: { tier: "gold" } }, spec: {} });
    await start("10.97.0.1");
    putPool("gold", {
      addresses: ["10.98.0.1-10.98.0.9"],
      namespaceSelectors: [{ matchLabels: { tier: "gold" } }],
      serviceSelectors: [{ matchLabels: { app: "web" } }],
    });
    putPool("spare", { addresses: ["10.99.0.0/24"], autoAssign: false });
    await quiet();
    const metadata = { name: "web", namespace: "shop", labels: { app: "web" } };
    await client.create(resources.Service, { metadata, spec: { type: "LoadBalancer" } });
    await create("plain");
    await create("asks", {}, { "metallb.io/address-pool": "spare" });
    await create("may-not", {}, { "metallb.universe.tf/address-pool": "gold" });
    await create("none", {}, { "fairlead.dev/address-pool": "unknown" });
    await quiet();
    expect([await ipOf("web"), await ipOf("plain"), await ipOf("asks")]).toEqual([
      "10.98.0.1",
      "10.97.0.1",
      "10.99.0.1",
    ]);
    expect((await look("may-not")).condition).toContain("PoolNotAllowed");
    expect((await look("none")).condition).toContain('there is no pool "unknown"');
  });

  test("serve those who wait as soon as they are there; what is wrong with one is said in its status", async () => {
    await start("10.97.0.1");
    for (const name of ["a", "b"]) {
      await create(name);
      await quiet();
    }
    expect(await ipOf("b")).toBeUndefined();
    putPool("overlapping", { addresses: ["10.97.0.0/24"] });
    putPool("unreadable", { addresses: ["10.97.0.0/33"] });
    putPool("more", { addresses: ["10.98.0.0/24"] });
    await clock.advance(5_000);
    await quiet();
    expect(await ipOf("b")).toBe("10.98.0.1");
    const said = async (name: string) => {
      const { status } = await client.get(addressPools, { name });
      const valid = findCondition(status?.conditions, "Valid");
      return [valid?.status, valid?.message, status?.assigned, status?.free];
    };
    expect(await said("more")).toEqual(["True", "addresses are given from this pool", 1, "253"]);
    expect((await said("overlapping"))[1]).toContain("shares addresses with the older pool default");
    expect((await said("unreadable"))[1]).toContain('spec.addresses: not an address pool: "10.97.0.0/33"');
  });
});

describe("an address that is shared", () => {
  const shares = (port: number, key = "one", spec: object = {}, more: Record<string, string> = {}) =>
    [
      { ports: [{ port }], ...spec },
      { "metallb.io/allow-shared-ip": key, ...more },
    ] as const;

  test("has every Service of the key whose ports are others", async () => {
    await start();
    await create("http", ...shares(80));
    await create("https", ...shares(443));
    await create("again", ...shares(80));
    await create("other", ...shares(81, "two"));
    await create("alone", { ports: [{ port: 82 }] });
    await quiet();
    expect([await ipOf("http"), await ipOf("https"), await ipOf("again"), await ipOf("other")]).toEqual([
      "10.97.0.1",
      "10.97.0.1",
      "10.97.0.2",
      "10.97.0.3",
    ]);
    expect(await ipOf("alone")).toBeUndefined();
    await client.delete(resources.Service, where("http"));
    await quiet();
    expect((await client.get(addressClaims, { name: "10.97.0.1" })).spec.owners?.map(({ name }) => name)).toEqual([
      "https",
    ]);
  });

  test("is refused by name where ports or policy do not allow it", async () => {
    await start();
    await create("first", ...shares(80));
    await quiet();
    const wish = { "fairlead.dev/address": "10.97.0.1" };
    await create("same-port", ...shares(80, "one", {}, wish));
    await create("other-policy", ...shares(81, "one", { externalTrafficPolicy: "Local" }, wish));
    await create("no-key", { ports: [{ port: 82 }] }, wish);
    await quiet();
    for (const name of ["same-port", "other-policy", "no-key"]) {
      expect((await look(name)).condition).toContain("10.97.0.1 is held by Service shop/first");
    }
  });

  test("is left by the one whose new port another has", async () => {
    await start();
    await create("http", ...shares(80));
    await create("https", ...shares(443));
    await quiet();
    await change("https", (service) => (service.spec.ports = [{ port: 80 }]));
    await quiet();
    expect([await ipOf("http"), await ipOf("https")]).toEqual(["10.97.0.1", "10.97.0.2"]);
  });
});

describe("an address that someone else has", () => {
  test("is passed over, or refused by name, with what was seen", async () => {
    foreign.set("10.97.0.1", "is in use by another machine: it answers as 02:00:00:00:00:01 on eth0");
    client.put(resources.Node, {
      metadata: { name: "node-1" },
      spec: {},
      status: { addresses: [{ type: "InternalIP", address: "10.97.0.2" }] },
    });
    await start();
    await create("any");
    await create("wants", {}, { "fairlead.dev/address": "10.97.0.1" });
    await create("wants-node", {}, { "fairlead.dev/address": "10.97.0.2" });
    await quiet();
    expect(await ipOf("any")).toBe("10.97.0.3");
    expect((await look("wants")).condition).toMatch(
      /AddressInUse: .*10.97.0.1 is in use by another machine: it answers/,
    );
    expect((await look("wants-node")).condition).toContain("10.97.0.2 is an address of node node-1");
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
    for (const { metadata } of (await client.list(addressClaims)).items) client.remove(addressClaims, metadata);
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
    const owners = [{ kind: "Service", namespace: "else", name: "where", uid: "1", ports: [] }];
    await client.create(addressClaims, {
      metadata: { name: "10.97.0.2" },
      spec: { address: "10.97.0.2", owners },
    });
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
        const isWrite = verb === "update" || (verb === "create" && resource.kind === "AddressClaim");
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
