import { expect, test } from "vitest";
import { createFakeClient, type EventRecorder } from "../../client/index.ts";
import { resources, statusError } from "../../kube/index.ts";
import { FakeClock, silentLogger } from "../../system/index.ts";
import { startNodeAgent } from "./node-agent.ts";
import type { Machine } from "./node-status.ts";

const machine: Machine = {
  cpus: 4,
  memory: 8 << 30,
  storage: 100 * 2 ** 30,
  freeMemory: 4 * 2 ** 30,
  freeStorage: 50 * 2 ** 30,
  os: "linux",
  architecture: "amd64",
  kernel: "6.1",
  osImage: "Debian",
  machineId: "m",
  bootId: "b",
};
const name = { name: "n1" };

function lab(more: Partial<Machine> = {}) {
  const clock = new FakeClock();
  const client = createFakeClient({ clock });
  const events: string[] = [];
  const recorder: EventRecorder = { event: (_, __, reason) => void events.push(reason), flush: async () => {} };
  const stop = new AbortController();
  const state: { notReady: string | undefined; machine: Machine } = {
    notReady: undefined,
    machine: { ...machine, memory: 8 * 2 ** 30, ...more },
  };
  const start = () =>
    startNodeAgent({
      client,
      nodeName: "n1",
      addresses: ["10.41.0.1"],
      port: 10250,
      labels: { "kubernetes.io/hostname": "n1" },
      runtimeVersion: "fake://1",
      machine: () => state.machine,
      notReady: async () => state.notReady,
      recorder,
      signal: stop.signal,
      clock,
      log: silentLogger,
    });
  const condition = async (type: string) =>
    (await client.get(resources.Node, name)).status?.conditions?.find((condition) => condition.type === type);
  return { clock, client, events, stop, state, start, condition };
}

test("it registers the node with labels, addresses, capacity and conditions", async () => {
  const { start, client, events } = lab();
  await start().registered;
  const node = await client.get(resources.Node, name);
  expect(node.metadata.labels).toEqual({ "kubernetes.io/hostname": "n1" });
  expect(node.status).toMatchObject({
    addresses: [
      { type: "InternalIP", address: "10.41.0.1" },
      { type: "Hostname", address: "n1" },
    ],
    capacity: { cpu: "4", memory: "8388608Ki", pods: "110" },
    daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
    nodeInfo: { kubeletVersion: "v1.35.0+fairlead", architecture: "amd64" },
  });
  expect(events).toEqual(["Starting", "NodeReady"]);
});

test("a node that exists keeps its spec and what others said of it", async () => {
  const { start, client, condition } = lab();
  client.put(resources.Node, {
    metadata: { ...name, labels: { zone: "a" } },
    spec: { podCIDR: "10.42.0.0/24", unschedulable: true },
    status: { conditions: [{ type: "NetworkUnavailable", status: "False" }] },
  });
  await start().registered;
  const node = await client.get(resources.Node, name);
  expect(node.spec).toEqual({ podCIDR: "10.42.0.0/24", unschedulable: true });
  expect(node.metadata.labels).toEqual({ zone: "a", "kubernetes.io/hostname": "n1" });
  expect(await condition("NetworkUnavailable")).toMatchObject({ status: "False" });
});

test("the lease is renewed every 10 s; the status is written only when it changes, or after 5 minutes", async () => {
  const { start, client, clock, state, condition } = lab();
  await start().registered;
  await clock.advance(0);
  await clock.advance(60_000);
  const lease = await client.get(resources.Lease, { namespace: "kube-node-lease", name: "n1" });
  expect(lease.spec).toMatchObject({ holderIdentity: "n1", renewTime: "2030-01-01T00:01:00.000000Z" });
  const reports = () =>
    client.writes.filter(({ resource, verb }) => resource.kind === "Node" && verb === "patch").length;
  expect(reports()).toBe(1);
  state.notReady = "no network";
  await clock.advance(10_000);
  expect(await condition("Ready")).toMatchObject({ status: "False", reason: "KubeletNotReady", message: "no network" });
  expect(reports()).toBe(2);
  await clock.advance(310_000);
  expect(reports()).toBe(3);
});

test("pressure is reported when memory or disk run short", async () => {
  const { start, condition } = lab({ freeMemory: 50 << 20, freeStorage: 2 ** 30 });
  await start().registered;
  expect(await condition("MemoryPressure")).toMatchObject({ status: "True", reason: "KubeletHasInsufficientMemory" });
  expect(await condition("DiskPressure")).toMatchObject({ status: "True", reason: "KubeletHasDiskPressure" });
});

test("it goes on when the API was away, and registers again a node that was deleted", async () => {
  const { start, client, clock } = lab();
  client.intercept = () => {
    throw statusError("ServiceUnavailable", "starting");
  };
  const agent = start();
  await clock.advance(1_000);
  client.intercept = undefined;
  await clock.advance(10_000);
  await agent.registered;
  client.remove(resources.Node, name);
  await clock.advance(10_000);
  expect((await client.get(resources.Node, name)).status?.conditions).toHaveLength(4);
});

test("a kubelet that comes back does not call its node unready while it sets up", async () => {
  const { start, client, state, condition } = lab();
  await start().registered;
  const again = lab();
  again.client.put(resources.Node, await client.get(resources.Node, name));
  again.state.notReady = "no network yet";
  const agent = again.start();
  await agent.registered;
  await again.clock.advance(5_000);
  expect(await again.condition("Ready")).toMatchObject({ status: "True" });
  again.state.notReady = state.notReady;
  await agent.report();
  expect(await again.condition("Ready")).toMatchObject({
    status: "True",
    lastTransitionTime: (await condition("Ready"))?.lastTransitionTime,
  });
});

test("a node that was marked as lost says at once that it lives", async () => {
  const { start, client, clock, condition } = lab();
  await start().registered;
  await clock.advance(0);
  const node = await client.get(resources.Node, name);
  const conditions = (node.status?.conditions ?? []).map((condition) => ({ ...condition, status: "Unknown" }));
  client.put(resources.Node, { ...node, status: { ...node.status, conditions } });
  await clock.advance(10_000);
  expect(await condition("Ready")).toMatchObject({ status: "True" });
});
