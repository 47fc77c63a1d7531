import { describe, expect, test } from "vitest";
import type { EndpointSlice, Node, Service } from "../../kube/index.ts";
import type { AddressClaimSpec, AnnounceSpec } from "../definitions.ts";
import { planVips, type VipState } from "./plan.ts";

const node = (
  name: string,
  address: string,
  more: { unschedulable?: boolean; labels?: Record<string, string> } = {},
): Node => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name, ...(more.labels ? { labels: more.labels } : {}) },
  spec: more.unschedulable ? { unschedulable: true } : {},
  status: {
    addresses: address.split(" ").map((one) => ({ type: "InternalIP", address: one })),
    conditions: [{ type: "Ready", status: "True" }],
  },
});
const claim = (address: string, group: number, name = "web"): AddressClaimSpec => ({
  address,
  group,
  pool: "public",
  owners: [{ kind: "Service", namespace: "shop", name, uid: "1", ports: ["80/TCP"] }],
});
const service = (spec: object = {}): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { namespace: "shop", name: "web" },
  spec: { type: "LoadBalancer", ...spec },
});
const slice = (...nodes: string[]): EndpointSlice => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name: "web-1" },
  addressType: "IPv4",
  endpoints: nodes.map((nodeName) => ({ addresses: ["10.42.0.1"], nodeName, conditions: { ready: true } })),
});

const three = [node("a", "10.0.0.1 fd00::1"), node("b", "10.0.0.2"), node("c", "10.0.0.3 fd00::3")];

function plan(change: Partial<VipState> = {}, announce: AnnounceSpec = {}) {
  return planVips({
    node: "a",
    nodes: three,
    claims: [claim("192.0.2.1", 1)],
    announce: () => ({ protocol: "VRRP", ...announce }),
    service: () => service(),
    slices: () => [slice("b")],
    ...change,
  });
}
const barred = (...args: Parameters<typeof plan>) => plan(...args).instances[0]?.barred;

describe("an address that is another machine's", () => {
  const foreign = (...theirs: string[]) => ({
    foreign: (one: string) => (theirs.includes(one) ? "02:..:66" : undefined),
  });

  test("is not taken, and why is said", () => {
    expect(barred(foreign("192.0.2.1"))).toBe("another machine answers for 192.0.2.1: 02:..:66");
    expect(barred(foreign("192.0.2.9"))).toBeUndefined();
  });

  test("bars no group in which another address is free", () => {
    const claims = [claim("192.0.2.1", 1), claim("192.0.2.2", 1)];
    expect(barred({ claims, ...foreign("192.0.2.1") })).toBeUndefined();
    expect(barred({ claims, ...foreign("192.0.2.1", "192.0.2.2") })).toBeDefined();
  });
});

describe("instances", () => {
  test("all nodes agree about peers and each has a priority of its own", () => {
    const plans = ["a", "b", "c"].map((name) => plan({ node: name }).instances[0]);
    expect(plans.map((one) => one?.peers)).toEqual([
      ["10.0.0.2", "10.0.0.3"],
      ["10.0.0.1", "10.0.0.3"],
      ["10.0.0.1", "10.0.0.2"],
    ]);
    expect(new Set(plans.map((one) => one?.priority)).size).toBe(3);
    expect(plans.filter((one) => one?.isPreferred).length).toBe(1);
  });

  test("each family is by itself, among the nodes that have it", () => {
    const claims = [claim("192.0.2.1", 1), claim("2001:db8::1", 1)];
    expect(plan({ claims }).instances.map(({ name, source, peers }) => [name, source, peers])).toEqual([
      ["v4-1", "10.0.0.1", ["10.0.0.2", "10.0.0.3"]],
      ["v6-1", "fd00::1", ["fd00::3"]],
    ]);
    expect(plan({ node: "b", claims }).instances.map(({ name }) => name)).toEqual(["v4-1"]);
  });

  test("nodes that are excluded or not selected, and a node that is no node, have none", () => {
    const label = "node.kubernetes.io/exclude-from-external-load-balancers";
    const nodes = [node("a", "10.0.0.1", { labels: { [label]: "" } }), node("b", "10.0.0.2")];
    expect(plan({ nodes }).instances).toEqual([]);
    expect(plan({ nodes, node: "b" }).instances[0]?.peers).toEqual([]);
    expect(plan({}, { nodeSelector: { matchLabels: { edge: "yes" } } }).instances).toEqual([]);
    expect(plan({ node: "stranger" }).instances).toEqual([]);
  });

  test("addresses without owner, of other pools or not announced have none", () => {
    const { owners: _owners, ...kept } = claim("192.0.2.1", 1);
    expect(plan({ claims: [kept] }).instances).toEqual([]);
    expect(plan({}, { protocol: "None" }).instances).toEqual([]);
    expect(plan({ announce: () => undefined }).instances).toEqual([]);
  });
});

describe("nodes that could hold some now", () => {
  test("are those that are heard of and stay: what the others held is their heirs' for good", () => {
    expect(plan().nodes).toBe(3);
    expect(plan({ isHeard: (name) => name !== "b" }).nodes).toBe(2);
    // The node itself need not be told that it is there.
    expect(plan({ isHeard: () => false }).nodes).toBe(1);
    const nodes = [...three.slice(0, 2), node("c", "10.0.0.3", { unschedulable: true })];
    expect(plan({ nodes }).nodes).toBe(2);
    expect(plan({ claims: [] }).nodes).toBe(0);
  });
});

describe("a node may not hold", () => {
  test("what its data plane cannot serve, or what it should leave", () => {
    expect(barred()).toBeUndefined();
    expect(barred({ unhealthy: "no rules" })).toBe("no rules");
    const nodes = [node("a", "10.0.0.1", { unschedulable: true }), node("b", "10.0.0.2")];
    expect(barred({ nodes })).toBe("node a is cordoned");
    expect(barred({ nodes: nodes.slice(0, 1) })).toBeUndefined();
    expect(barred({ nodes: nodes.map((one) => ({ ...one, spec: { unschedulable: true } })) })).toBeUndefined();
  });

  test("an address of a Service with policy Local without an endpoint here, as long as there is one elsewhere", () => {
    const local = () => service({ externalTrafficPolicy: "Local" });
    expect(barred({ service: local })).toBe("Service shop/web has no ready endpoint on node a");
    expect(barred({ service: local, slices: () => [slice("a")] })).toBeUndefined();
    expect(barred({ service: local, slices: () => [] })).toBeUndefined();
    expect(barred({ service: local, slices: () => [] }, { withoutEndpoints: "Withdraw" })).toContain(
      "no ready endpoint",
    );
  });

  test("an address of a Service without endpoints, where that is asked for", () => {
    expect(barred({ slices: () => [] })).toBeUndefined();
    expect(barred({ slices: () => [] }, { withoutEndpoints: "Withdraw" })).toBe("Service shop/web has no endpoint");
  });

  test("but a shared address is held as long as one of its Services can be served", () => {
    const both = { ...claim("192.0.2.1", 1), owners: [...(claim("192.0.2.1", 1).owners ?? [])] };
    both.owners.push({ kind: "Service", namespace: "shop", name: "api", uid: "2", ports: ["81/TCP"] });
    const slices = (key: string) => (key === "shop/api" ? [slice("b")] : []);
    expect(barred({ claims: [both], slices }, { withoutEndpoints: "Withdraw" })).toBeUndefined();
  });
});
