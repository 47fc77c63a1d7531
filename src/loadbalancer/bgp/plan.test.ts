import { describe, expect, test } from "vitest";
import type { EndpointSlice, Node, Service } from "../../kube/index.ts";
import type { AddressClaimSpec, AnnounceSpec } from "../definitions.ts";
import type { BgpPeer, BgpPeerSpec } from "./definitions.ts";
import { planBgp, type BgpState } from "./plan.ts";

const node = (number: number, more: { labels?: Record<string, string>; spec?: object; six?: boolean } = {}): Node => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: `node-${number}`, ...(more.labels ? { labels: more.labels } : {}) },
  spec: more.spec ?? {},
  status: {
    addresses: [
      { type: "InternalIP", address: `10.0.0.${number}` },
      ...(more.six ? [{ type: "InternalIP", address: `fd00::${number}` }] : []),
    ],
    conditions: [{ type: "Ready", status: "True" }],
  },
});
const peer = (name: string, spec: Partial<BgpPeerSpec> = {}): BgpPeer => ({
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "BGPPeer",
  metadata: { name },
  spec: { peerAddress: "10.0.0.254", peerASN: 65_000, localASN: 64_512, ...spec },
});
const owner = { kind: "Service", namespace: "default", name: "web", uid: "1", ports: ["80/TCP"] };
const claim = (address: string, owners = [owner]): AddressClaimSpec => ({ address, pool: "p", owners });
const service = (policy?: "Local"): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { namespace: "default", name: "web" },
  spec: { type: "LoadBalancer", ...(policy ? { externalTrafficPolicy: policy } : {}) },
});
const slice = (nodeName: string, conditions: object): EndpointSlice => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name: nodeName },
  addressType: "IPv4",
  endpoints: [{ addresses: ["10.1.0.1"], nodeName, conditions }],
  ports: [],
});

interface Given {
  readonly announce?: AnnounceSpec;
  readonly policy?: "Local";
  readonly slices?: readonly EndpointSlice[];
}
const plan = ({ announce = {}, policy, slices = [] }: Given, more: Partial<BgpState> = {}) =>
  planBgp({
    node: "node-1",
    nodes: [node(1), node(2)],
    peers: [peer("tor")],
    claims: [claim("192.0.2.10")],
    announce: () => ({ protocol: "BGP", ...announce }),
    service: () => service(policy),
    slices: () => slices,
    ...more,
  });
const told = (made: ReturnType<typeof plan>) =>
  Object.fromEntries(
    made.neighbors.map(({ name, routes }) => [name, routes.map((one) => one.prefix + (one.isFallback ? " *" : ""))]),
  );

describe("which prefixes a node announces", () => {
  test("each address of a pool that is announced by BGP, to each peer", () => {
    expect(told(plan({}, { peers: [peer("a"), peer("b", { peerAddress: "10.0.0.253" })] }))).toEqual({
      a: ["192.0.2.10/32"],
      b: ["192.0.2.10/32"],
    });
    expect(told(plan({}, { announce: () => ({ protocol: "VRRP" }) }))).toEqual({ tor: [] });
    expect(told(plan({}, { claims: [claim("192.0.2.10", [])] }))).toEqual({ tor: [] });
  });

  test("blocks: one for all addresses in it, with all communities and the highest preference", () => {
    const advertisements = [
      { aggregationLength: 24, communities: ["64512:1"], localPreference: 50 },
      { aggregationLength: 24, communities: ["64512:2", "64512:1"], localPreference: 70 },
      { peers: ["other"] },
    ];
    const made = plan({ announce: { advertisements } }, { claims: [claim("192.0.2.10"), claim("192.0.2.200")] });
    expect(made.neighbors[0]?.routes).toEqual([
      {
        prefix: "192.0.2.0/24",
        communities: [
          { kind: "standard", parts: [64_512, 1] },
          { kind: "standard", parts: [64_512, 2] },
        ],
        localPreference: 70,
        isFallback: false,
      },
    ]);
  });

  test.each<[string, Given, Partial<BgpState>, Record<string, string[]>]>([
    ["the node is cordoned", {}, { nodes: [node(1, { spec: { unschedulable: true } }), node(2)] }, { tor: [] }],
    ["it is the only one", {}, { nodes: [node(1, { spec: { unschedulable: true } })] }, { tor: ["192.0.2.10/32"] }],
    ["its data plane is not well", {}, { unhealthy: "no" }, { tor: [] }],
    ["it is not selected", { announce: { nodeSelector: { matchLabels: { edge: "yes" } } } }, {}, { tor: [] }],
    [
      "it is excluded",
      {},
      { nodes: [node(1, { labels: { "node.kubernetes.io/exclude-from-external-load-balancers": "" } })] },
      { tor: [] },
    ],
    [
      "the announcement is others'",
      { announce: { advertisements: [{ nodeSelector: { matchLabels: { a: "b" } } }] } },
      {},
      { tor: [] },
    ],
    ["the peer is others'", {}, { peers: [peer("tor", { nodeSelector: { matchLabels: { a: "b" } } })] }, {}],
    ["no endpoints", {}, {}, { tor: ["192.0.2.10/32"] }],
    ["no endpoints, Withdraw", { announce: { withoutEndpoints: "Withdraw" } }, {}, { tor: [] }],
    ["Local, here", { policy: "Local", slices: [slice("node-1", {})] }, {}, { tor: ["192.0.2.10/32"] }],
    ["Local, elsewhere", { policy: "Local", slices: [slice("node-2", {})] }, {}, { tor: [] }],
    ["Local, nowhere: refused by all", { policy: "Local" }, {}, { tor: ["192.0.2.10/32"] }],
    [
      "Local, elsewhere, with fallback",
      { policy: "Local", slices: [slice("node-2", {})], announce: { localFallback: true } },
      {},
      { tor: ["192.0.2.10/32 *"] },
    ],
    [
      "Local, ending here",
      {
        policy: "Local",
        slices: [slice("node-1", { ready: false, serving: true, terminating: true }), slice("node-2", {})],
      },
      {},
      { tor: ["192.0.2.10/32 *"] },
    ],
    [
      "Local, the last is ending, elsewhere",
      { policy: "Local", slices: [slice("node-2", { ready: false, serving: true, terminating: true })] },
      {},
      { tor: [] },
    ],
  ])("%s", (_, given, more, wanted) => {
    expect(told(plan(given, more))).toEqual(wanted);
  });

  test("why an address is not announced is said", () => {
    expect(plan({ policy: "Local", slices: [slice("node-2", {})] }).withheld).toEqual(
      new Map([["192.0.2.10", "Service default/web has no ready endpoint on node node-1"]]),
    );
  });
});

describe("sessions", () => {
  test("of the peer's family, from the node's address of it", () => {
    const peers = [peer("six", { peerAddress: "fd00::fe" })];
    const claims = [claim("192.0.2.10"), claim("fd01::10")];
    const made = plan({}, { peers, claims, nodes: [node(1, { six: true })] });
    expect(made.neighbors.map(({ family, source }) => [family, source])).toEqual([["IPv6", "fd00::1"]]);
    expect(told(made)).toEqual({ six: ["fd01::10/128"] });
  });

  test.each([
    ["no address of the family", [peer("tor", { peerAddress: "fd00::fe" })], /node node-1 has no IPv6 address/],
    ["no address at all", [peer("tor", { peerAddress: "router" })], /spec.peerAddress "router" is not an IP address/],
    ["two for one router", [peer("a"), peer("tor")], /BGPPeer a has the same address and port/],
  ])("%s is a fault of the peer", (_, peers, fault) => {
    expect(plan({}, { peers }).faults.get("tor")).toMatch(fault);
  });

  test("a node that is not there has none", () => {
    expect(plan({}, { nodes: [node(2)] }).neighbors).toEqual([]);
  });
});
