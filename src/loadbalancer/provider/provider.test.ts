import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createFakeClient, createInformers, type FakeClient } from "../../client/index.ts";
import { findCondition, isStatus, resources } from "../../kube/index.ts";
import { FakeClock, silentLogger, type Component } from "../../system/index.ts";
import { ProviderFailure, type LoadBalancerProvider } from "./contract.ts";
import { providerCondition, startProviderController } from "./controller.ts";
import { createFakeCloud, type FakeCloud } from "./fake-provider.ts";
import { loadProvider } from "./load.ts";
import { runContract } from "./suite.ts";

const signal = new AbortController().signal;
const contract = async (create: () => Promise<LoadBalancerProvider>) => {
  const results = await runContract({ create, sleep: () => Promise.resolve(), signal });
  return results.filter(({ ok }) => !ok).map(({ rule, message }) => `${rule}: ${message}`);
};

describe("the contract", () => {
  test("is kept by a provider that keeps it", async () => {
    const cloud = createFakeCloud();
    expect(await contract(() => Promise.resolve(cloud.provider()))).toEqual([]);
    expect(cloud.balancers.size).toBe(0);
  });

  test("is kept by the example", async () => {
    const folder = await mkdtemp(join(tmpdir(), "fairlead-provider-"));
    try {
      expect(await contract(() => loadProvider("examples/provider/files.mjs", { folder }))).toEqual([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test.each<[string, (cloud: FakeCloud) => () => Partial<LoadBalancerProvider>, RegExp]>([
    [
      "keeps what it made in memory",
      (cloud) => () => {
        const mine = new Set<string>();
        const one = cloud.provider();
        return {
          observe: async (key, abort) => (mine.has(key.uid) ? one.observe(key, abort) : undefined),
          apply: (step, abort) => {
            mine.add((step.input as { key: { uid: string } }).key.uid);
            return one.apply(step, abort);
          },
        };
      },
      /another instance sees the same/,
    ],
    [
      "always finds something to do",
      (cloud) => () => {
        const one = cloud.provider();
        return {
          plan: (desired, observed) => [...one.plan(desired, observed), ...one.plan(desired, undefined).slice(1, 2)],
        };
      },
      /does not come to an end/,
    ],
    [
      "leaves something behind",
      (cloud) => () => {
        const one = cloud.provider();
        return { planRemoval: (observed) => one.planRemoval(observed).slice(0, -1) };
      },
      /no step|does not come to an end|see/,
    ],
    [
      "changes what it is given",
      (cloud) => () => {
        const one = cloud.provider();
        return {
          plan: (desired, observed) => {
            (desired.ports as unknown[]).push({ name: "x", protocol: "TCP", port: 1, nodePort: 2 });
            return one.plan(desired, observed);
          },
        };
      },
      /plan is pure/,
    ],
    ["does not name what it made", () => () => ({ list: () => Promise.resolve([]) }), /list does not name it/],
  ])("is not kept by one that %s", async (_name, change, message) => {
    const cloud = createFakeCloud();
    const make = change(cloud);
    const failed = await contract(() => Promise.resolve(cloud.provider(make())));
    expect(failed.join("\n")).toMatch(message);
  });
});

describe("a module", () => {
  test.each([
    ["examples/provider/none.mjs", "there is no file"],
    ["scripts/prepare.mjs", "does not export a function createProvider"],
  ])("%s: %s", async (path, message) => {
    await expect(loadProvider(path, {})).rejects.toThrow(message);
  });
});

describe("the controller", () => {
  let client: FakeClient;
  let clock: FakeClock;
  let cloud: FakeCloud;
  let stop: AbortController;
  let running: Component;

  const start = async () => {
    stop = new AbortController();
    const options = { signal: stop.signal, log: silentLogger, clock };
    const informers = createInformers(client, options);
    running = startProviderController({ client, informers, provider: cloud.provider(), cluster: "c", ...options });
    await running.ready;
  };
  const crash = async () => {
    stop.abort();
    await running.stopped;
  };
  beforeEach(async () => {
    clock = new FakeClock();
    client = createFakeClient({ clock });
    cloud = createFakeCloud();
    client.put(resources.Node, {
      metadata: { name: "node-1" },
      spec: {},
      status: { addresses: [{ type: "InternalIP", address: "10.0.0.1" }] },
    });
    await start();
  });
  afterEach(() => stop.abort());

  const where = { namespace: "shop", name: "web" };
  const create = (spec: object = {}) =>
    client.create(resources.Service, {
      metadata: where,
      spec: {
        type: "LoadBalancer",
        loadBalancerClass: "example.com/fake",
        ports: [{ port: 80, nodePort: 30_080 }],
        ...spec,
      },
    });
  const quiet = async () => {
    for (let i = 0; i < 10; i++) await clock.advance(500);
  };
  const look = async () => {
    const { status, metadata } = await client.get(resources.Service, where);
    const found = findCondition(status?.conditions, providerCondition);
    return {
      ips: (status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip),
      condition: found && `${found.status} ${found.reason}: ${found.message}`,
      finalizers: metadata.finalizers ?? [],
    };
  };

  test("makes what a Service asks for, and removes it with the Service", async () => {
    await create();
    await quiet();
    expect(await look()).toEqual({
      ips: ["192.0.2.1"],
      condition: "True Ready: the load balancer is as it is asked for",
      finalizers: ["fairlead.dev/fake-load-balancer"],
    });
    const { writes } = cloud;
    await clock.advance(600_000);
    expect(cloud.writes).toBe(writes);
    await client.delete(resources.Service, where);
    await quiet();
    expect(cloud.balancers.size).toBe(0);
    expect(await client.get(resources.Service, where).catch((error: unknown) => isStatus(error, "NotFound"))).toBe(
      true,
    );
  });

  test("refuses what the provider cannot, and makes nothing", async () => {
    await create({ loadBalancerSourceRanges: ["10.0.0.0/8"] });
    await quiet();
    expect(await look()).toMatchObject({
      ips: [],
      condition: "False Refused: spec.loadBalancerSourceRanges is not supported; remove it",
      finalizers: [],
    });
    expect(cloud.balancers.size).toBe(0);
  });

  test("cannot ask the other side when it starts: who waits is told, and served when it can", async () => {
    await crash();
    let away = true;
    const provider = cloud.provider();
    const list: typeof provider.list = (...args) =>
      away ? Promise.reject(new ProviderFailure("Unavailable", "GET /: refused")) : provider.list(...args);
    stop = new AbortController();
    const options = { signal: stop.signal, log: silentLogger, clock };
    const informers = createInformers(client, options);
    running = startProviderController({ client, informers, provider: { ...provider, list }, cluster: "c", ...options });
    await create();
    await quiet();
    expect(await look()).toMatchObject({ ips: [], condition: "False Unavailable: GET /: refused" });
    away = false;
    await clock.advance(120_000);
    expect((await look()).ips).toEqual(["192.0.2.1"]);
  });

  test("waits as long as it is told, and longer each time", async () => {
    let calls = 0;
    cloud.fault = () => {
      calls++;
      return { state: "failed", reason: "Throttled", message: "slow down", again: 60_000 };
    };
    await create();
    await quiet();
    expect([calls, (await look()).condition]).toEqual([1, "False Throttled: create: slow down"]);
    await clock.advance(50_000);
    expect(calls).toBe(1);
    await clock.advance(10_000);
    expect(calls).toBe(2);
    cloud.fault = undefined;
    await clock.advance(120_000);
    expect((await look()).ips).toEqual(["192.0.2.1"]);
  });

  test("goes on after a crash in the middle, with one load balancer", async () => {
    let steps = 0;
    cloud.fault = () => (++steps === 3 ? { state: "failed", reason: "Unavailable", message: "gone" } : undefined);
    await create();
    await clock.advance(100);
    await crash();
    cloud.fault = undefined;
    await start();
    await quiet();
    expect((await look()).ips).toEqual(["192.0.2.1"]);
    expect(cloud.balancers.size).toBe(1);
  });

  test("puts right what someone else has changed, and removes what a lost Service left", async () => {
    await create();
    await quiet();
    for (const balancer of cloud.balancers.values()) delete balancer.parts["listener 80/TCP"];
    await clock.advance(301_000);
    expect([...cloud.balancers.values()].map(({ parts }) => parts["listener 80/TCP"])).toEqual(["30080"]);
    await crash();
    client.remove(resources.Service, where);
    await start();
    await client.create(resources.Service, { metadata: { ...where, name: "other" }, spec: { type: "ClusterIP" } });
    await quiet();
    expect(cloud.balancers.size).toBe(0);
  });
});
