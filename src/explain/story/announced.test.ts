import { describe, expect, test } from "vitest";
import type { EndpointSlice, Node, Pod, Service } from "../../kube/index.ts";
import type { AddressClaim, AnnounceObjects, BgpSession } from "../../loadbalancer/index.ts";
import { createCluster } from "../cluster.ts";
import { factsOf } from "../doctor/facts.ts";
import { noObjects, type ClusterObjects } from "../exposure.ts";
import { parseSubject, tell, type Story } from "./story.ts";

const now = Date.parse("2026-01-01T00:01:00Z");
const fresh = "2026-01-01T00:00:55.000000Z";
const stale = "2026-01-01T00:00:00.000000Z";

const node = (name: string, more: { labels?: Record<string, string>; spec?: object; six?: boolean } = {}): Node => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name, labels: more.labels ?? {} },
  spec: more.spec ?? {},
  status: {
    addresses: more.six ? [] : [{ type: "InternalIP", address: `192.0.2.${name.slice(-1)}` }],
    conditions: [{ type: "Ready", status: "True" }],
  },
});
const pod = (on: string, isReady = true): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "shop", name: "web-0", labels: { app: "web" } },
  spec: { nodeName: on, containers: [{ name: "c", ports: [{ containerPort: 8080 }] }] },
  status: {
    phase: "Running",
    podIP: "10.42.0.2",
    podIPs: [{ ip: "10.42.0.2" }],
    conditions: [{ type: "Ready", status: isReady ? "True" : "False" }],
  },
});
const slice = (on: string, ready = true): EndpointSlice => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { namespace: "shop", name: "web-1", labels: { "kubernetes.io/service-name": "web" } },
  addressType: "IPv4",
  ports: [{ name: "", port: 8080, protocol: "TCP" }],
  endpoints: [
    {
      addresses: ["10.42.0.2"],
      nodeName: on,
      conditions: { ready, serving: ready, terminating: false },
      targetRef: { kind: "Pod", namespace: "shop", name: "web-0" },
    },
  ],
});
const service = (
  spec: object = {},
  status: object = { loadBalancer: { ingress: [{ ip: "198.51.100.1" }] } },
): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { namespace: "shop", name: "web", uid: "1" },
  spec: {
    type: "LoadBalancer",
    clusterIP: "10.96.0.9",
    clusterIPs: ["10.96.0.9"],
    selector: { app: "web" },
    ports: [{ port: 80, targetPort: 8080, protocol: "TCP" }],
    ...spec,
  },
  status,
});
const pending = (reason: string, message: string) =>
  service({}, { conditions: [{ type: "fairlead.dev/AddressAssigned", status: "False", reason, message }] });

const claim = (status: AddressClaim["status"] = { holder: "node-1", transitions: 2 }): AddressClaim => ({
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "AddressClaim",
  metadata: { name: "198.51.100.1" },
  spec: {
    address: "198.51.100.1",
    pool: "public",
    group: 2,
    owners: [{ kind: "Service", namespace: "shop", name: "web", uid: "1", ports: ["80/TCP"] }],
  },
  ...(status ? { status } : {}),
});
const pool = (announce: object) => ({
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "AddressPool",
  metadata: { name: "public" },
  spec: { addresses: ["198.51.100.0/24"], announce },
});
const lease = (name: string, renewTime = fresh, agent = "vip") => ({
  apiVersion: "coordination.k8s.io/v1",
  kind: "Lease",
  metadata: { namespace: "kube-system", name: `fairlead-${agent}-${name}` },
  spec: { renewTime },
});
const session = (on: string, status: BgpSession["status"]): BgpSession => ({
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "BGPSession",
  metadata: { name: `${on}.tor` },
  spec: { node: on, peer: "tor" },
  ...(status ? { status } : {}),
});
const up = { state: "Established", prefixes: ["198.51.100.1/32"], advertised: 1 };
const tor = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "BGPPeer",
  metadata: { name: "tor" },
  spec: { peerAddress: "192.0.2.254", peerASN: 64_513, localASN: 64_512 },
};

const vrrp: AnnounceObjects = {
  pools: [pool({ protocol: "VRRP" })] as AnnounceObjects["pools"],
  claims: [claim()],
  peers: [],
  sessions: [],
  leases: [lease("node-1"), lease("node-2")],
};
const bgp: AnnounceObjects = {
  ...vrrp,
  pools: [pool({ protocol: "BGP" })] as AnnounceObjects["pools"],
  claims: [claim({})],
  peers: [tor],
  sessions: [session("node-1", up), session("node-2", up)],
  leases: [lease("node-1", fresh, "bgp"), lease("node-2", fresh, "bgp")],
};
const healthy: ClusterObjects = {
  ...noObjects,
  services: [service()],
  nodes: [node("node-1"), node("node-2")],
  pods: [pod("node-1")],
  slices: [slice("node-1")],
};

function explain(objects: Partial<ClusterObjects>): Story {
  const cluster = createCluster(
    { ...healthy, ...objects },
    { clusterDomain: "cluster.local", podCidrs: ["10.42.0.0/16"], serviceCidrs: ["10.96.0.0/16"] },
  );
  const options = { controllerName: "example.com/us", inspect: () => undefined, frontends: [] };
  return tell(factsOf(cluster, { ...options, nodes: [], now }), parseSubject("service/web", "shop"), {
    ...options,
    clusterDomain: "cluster.local",
    ports: { http: 80, https: 443 },
  });
}
const announced = ({ chapters }: Story) => chapters.find(({ title }) => title === "announced")?.lines;
const off = (labels: Record<string, string>) => ["node-1", "node-2"].map((name) => node(name, { labels }));
const local = { services: [service({ externalTrafficPolicy: "Local" })] };
const noPods = { pods: [] as Pod[], slices: [] as EndpointSlice[] };
const withdraw = (protocol: string) => [pool({ protocol, withoutEndpoints: "Withdraw" })] as AnnounceObjects["pools"];
const answered = (holder: object) => ({
  announcing: {
    ...vrrp,
    claims: [
      claim({
        ...holder,
        conditions: [
          {
            type: "AddressConflict",
            status: "True",
            reason: "ForeignHolder",
            message: "02:00:00:00:00:66 on eth0 answers for it",
            lastTransitionTime: fresh,
          },
        ],
      }),
    ],
  },
});
/** What a provider of load balancers says. */
const refused = (reason: string, message: string) => ({
  services: [
    service(
      { loadBalancerClass: "fairlead.dev/openstack" },
      { conditions: [{ type: "fairlead.dev/LoadBalancerReady", status: "False", reason, message }] },
    ),
  ],
});
const down = (message: string) => ({
  announcing: { ...bgp, sessions: ["node-1", "node-2"].map((on) => session(on, { state: "Connect", message })) },
});

describe("how an address is announced", () => {
  test("by VRRP: who holds it", () => {
    const told = explain({ announcing: vrrp });
    expect(announced(told)).toEqual(["198.51.100.1 of pool public by VRRP: node node-1 holds it, 2 holders so far"]);
    expect(told.findings).toEqual([]);
  });

  test("by BGP: who tells whom, and what is only a fallback", () => {
    const second = session("node-2", { ...up, fallback: up.prefixes });
    const told = explain({ announcing: { ...bgp, sessions: [second, session("node-1", up)] } });
    expect(announced(told)).toEqual([
      "198.51.100.1 of pool public by BGP: told by node-1 to tor, node-2 to tor (fallback)",
    ]);
    expect(told.findings).toEqual([]);
  });

  test("a block that has the address is it told as well", () => {
    const block = { ...up, prefixes: ["198.51.100.0/24"] };
    const told = explain({ announcing: { ...bgp, sessions: [session("node-1", block), session("node-2", block)] } });
    expect(told.findings).toEqual([]);
  });

  test("not at all: nothing is said", () => {
    expect(announced(explain({}))).toBeUndefined();
    expect(
      announced(explain({ announcing: { ...vrrp, pools: [pool({})] as AnnounceObjects["pools"] } })),
    ).toBeUndefined();
  });
});

/** What was done, and what the first cause has to say. */
const faults: readonly (readonly [fault: string, objects: Partial<ClusterObjects>, check: string, cause: RegExp])[] = [
  ["no pool", { services: [pending("NoPool", "there is no pool")] }, "load-balancer-pending", /there is no pool/],
  [
    "no pool serves it",
    { services: [pending("PoolNotAllowed", "pool a does not serve shop")] },
    "load-balancer-pending",
    /does not serve/,
  ],
  [
    "the pool is empty",
    { services: [pending("PoolExhausted", "pool a has no address left")] },
    "load-balancer-pending",
    /no address left/,
  ],
  [
    "the address is another's",
    { services: [pending("AddressTaken", "Service a/b has it")] },
    "load-balancer-pending",
    /a\/b has it/,
  ],
  [
    "a foreign machine has it",
    { services: [pending("AddressInUse", "somebody answers for it")] },
    "load-balancer-pending",
    /answers for it/,
  ],
  [
    "it is of no pool",
    { services: [pending("OutsidePools", "no pool has it")] },
    "load-balancer-pending",
    /no pool has it/,
  ],
  [
    "the annotation is none",
    { services: [pending("InvalidRequest", "not an address")] },
    "load-balancer-pending",
    /not an address/,
  ],
  [
    "the class is another's",
    { services: [service({ loadBalancerClass: "example.com/lb" }, {})] },
    "load-balancer-pending",
    /another controller/,
  ],
  ["nobody gives addresses", { services: [service({}, {})] }, "load-balancer-pending", /nobody has said why/],
  ["no pod is selected", { ...noPods, announcing: vrrp }, "selector-matches-nothing", /no pod in namespace shop/],
  [
    "the pod is not ready",
    { pods: [pod("node-1", false)], slices: [slice("node-1", false)], announcing: vrrp },
    "pods-not-ready",
    /ready/,
  ],
  [
    "VRRP: all nodes are excluded",
    { nodes: off({ "node.kubernetes.io/exclude-from-external-load-balancers": "" }), announcing: vrrp },
    "address-not-announced",
    /no node may announce/,
  ],
  [
    "VRRP: no node is selected",
    {
      announcing: {
        ...vrrp,
        pools: [pool({ protocol: "VRRP", nodeSelector: { matchLabels: { a: "b" } } })] as AnnounceObjects["pools"],
      },
    },
    "address-not-announced",
    /no node may announce/,
  ],
  [
    "VRRP: no node has an address",
    { nodes: [node("node-1", { six: true })], announcing: vrrp },
    "address-not-announced",
    /no node may announce/,
  ],
  [
    "VRRP: no agent ever ran",
    { announcing: { ...vrrp, claims: [claim({})], leases: [] } },
    "address-not-announced",
    /`fairlead vip` runs on none/,
  ],
  [
    "VRRP: all agents are gone",
    { announcing: { ...vrrp, claims: [claim({})], leases: [lease("node-1", stale)] } },
    "address-not-announced",
    /`fairlead vip` runs on none/,
  ],
  [
    "VRRP: the holder is silent",
    { announcing: { ...vrrp, leases: [lease("node-1", stale), lease("node-2")] } },
    "address-not-announced",
    /node-1 was the last/,
  ],
  [
    "VRRP: keepalived is gone",
    {
      announcing: {
        ...vrrp,
        claims: [
          claim({
            conditions: [
              {
                type: "Announced",
                status: "False",
                reason: "NotHeld",
                message: "keepalived is gone (exit 1)",
                lastTransitionTime: fresh,
              },
            ],
          }),
        ],
      },
    },
    "address-not-announced",
    /no node holds/,
  ],
  [
    "VRRP: Withdraw without endpoints",
    {
      services: [service({ selector: {} })],
      ...noPods,
      announcing: { ...vrrp, pools: withdraw("VRRP"), claims: [claim({})] },
    },
    "no-selector-no-endpoints",
    /selector|endpoint/i,
  ],
  [
    "VRRP: Local, and the node with the pod is none of the pool's",
    {
      ...local,
      nodes: [
        node("node-1", { labels: { "node.kubernetes.io/exclude-from-external-load-balancers": "" } }),
        node("node-2"),
      ],
      announcing: { ...vrrp, claims: [claim({})] },
    },
    "address-not-announced",
    /no node that may announce it would serve it/,
  ],
  [
    "VRRP: another machine answers beside the holder",
    answered({ holder: "node-1" }),
    "address-not-announced",
    /another machine answers for 198.51.100.1 beside node node-1/,
  ],
  ["VRRP: another machine has it, and no node takes it", answered({}), "address-not-announced", /no node takes it/],
  ...(
    [
      ["refuses", "Refused", "flavor gold is unknown"],
      ["has no quota left", "Quota", "quota of load balancers exceeded"],
      ["takes no credentials", "Credentials", "401: the password is wrong"],
      ["throttles", "Throttled", "429: asked again in 30 s"],
      ["does not answer", "Unavailable", "connection refused"],
      ["answers nonsense", "Broken", "the answer is no JSON"],
    ] as const
  ).map(
    ([what, reason, message]) =>
      [`the provider ${what}`, refused(reason, message), "load-balancer-pending", new RegExp(message)] as const,
  ),
  [
    "BGP: no router",
    { announcing: { ...bgp, peers: [], sessions: [] } },
    "address-not-announced",
    /there is no BGPPeer/,
  ],
  ["BGP: no agent", { announcing: { ...bgp, sessions: [] } }, "address-not-announced", /`fairlead bgp` runs on none/],
  [
    "BGP: both nodes have gone, and their sessions were up",
    { announcing: { ...bgp, leases: [lease("node-1", stale, "bgp")] } },
    "address-not-announced",
    /node node-1 is not heard of/,
  ],
  [
    "BGP: the router does not answer",
    down("Socket: Connection refused"),
    "address-not-announced",
    /Connection refused/,
  ],
  ["BGP: the AS is another", down("Received: Bad peer AS: 64999"), "address-not-announced", /Bad peer AS/],
  [
    "BGP: the password is not there",
    { announcing: { ...bgp, sessions: [session("node-1", { state: "Invalid", message: "Secret a/b has no key" })] } },
    "address-not-announced",
    /Secret a\/b has no key/,
  ],
  [
    "BGP: one session of two is down",
    {
      announcing: {
        ...bgp,
        sessions: [session("node-1", up), session("node-2", { state: "Connect", message: "BFD session down" })],
      },
    },
    "address-not-announced",
    /1 of 2 sessions are down: BFD/,
  ],
  [
    "BGP: Local, and the node with the pod is none of the pool's",
    {
      ...local,
      nodes: [
        node("node-1", { labels: { "node.kubernetes.io/exclude-from-external-load-balancers": "" } }),
        node("node-2"),
      ],
      announcing: { ...bgp, sessions: [session("node-2", { state: "Established" })] },
    },
    "address-not-announced",
    /no node that may announce it would serve it/,
  ],
  [
    "BGP: sessions are up and tell nothing",
    { announcing: { ...bgp, sessions: [session("node-1", { state: "Established" })] } },
    "address-not-announced",
    /none tells 198.51.100.1/,
  ],
];

describe("the first cause", () => {
  test.each(faults)("%s", (_, objects, check, cause) => {
    const [first] = explain(objects).findings;
    expect(first).toMatchObject({ check, object: "Service shop/web" });
    expect(first?.problem).toMatch(cause);
    expect(first?.remedy).not.toBe("");
  });

  test(`they are at least twenty: ${faults.length}`, () => expect(faults.length).toBeGreaterThanOrEqual(20));
});
