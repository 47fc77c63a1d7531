import { describe, expect, it } from "vitest";
import type { EndpointSlice, Event, Ingress, IngressClass, Node, Pod, Service } from "../../kube/index.ts";
import type { FrontendState } from "../../proxy/index.ts";
import { createCluster } from "../cluster.ts";
import { type ClusterObjects, noObjects } from "../exposure.ts";
import { checks, examine } from "./doctor.ts";
import type { Finding } from "./check.ts";
import { factsOf } from "./facts.ts";
import type { NodeFacts } from "./node-facts.ts";
import { foreignChains } from "./ruleset.ts";

const meta = (name: string, rest: object = {}) => ({ namespace: "shop", name, ...rest });
const labels = { app: "web" };

const service = (spec: object = {}, rest: object = {}): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: meta("web"),
  spec: { clusterIP: "10.96.0.5", selector: labels, ports: [{ name: "http", port: 80, targetPort: "http" }], ...spec },
  ...rest,
});
const pod = (
  name: string,
  change: { labels?: object; ready?: boolean; node?: string; owner?: string; ports?: object[]; status?: object } = {},
): Pod =>
  JSON.parse(
    JSON.stringify({
      apiVersion: "v1",
      kind: "Pod",
      metadata: meta(name, {
        labels: change.labels ?? labels,
        ...(change.owner ? { ownerReferences: [{ kind: "StatefulSet", name: change.owner, controller: true }] } : {}),
      }),
      spec: {
        nodeName: change.node ?? "node-1",
        containers: [{ name: "c", ports: change.ports ?? [{ name: "http", containerPort: 8080 }] }],
      },
      status: {
        phase: "Running",
        podIP: `10.42.0.${name.length + name.charCodeAt(name.length - 1)}`,
        conditions: [{ type: "Ready", status: change.ready === false ? "False" : "True" }],
        ...change.status,
      },
    }),
  ) as Pod;
const slice = (pods: readonly Pod[]): EndpointSlice => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: meta("web-x", { labels: { "kubernetes.io/service-name": "web" } }),
  addressType: "IPv4",
  ports: [{ name: "http", port: 8080, protocol: "TCP" }],
  endpoints: pods.map(({ metadata, spec, status }) => ({
    addresses: [status?.podIP ?? ""],
    nodeName: spec.nodeName ?? "",
    conditions: { ready: true },
    targetRef: { kind: "Pod", namespace: "shop", name: metadata.name },
  })),
});
const node = (name: string, ready = true): Node =>
  JSON.parse(
    JSON.stringify({
      apiVersion: "v1",
      kind: "Node",
      metadata: { name },
      spec: { podCIDR: "10.42.0.0/16" },
      status: {
        addresses: [{ type: "InternalIP", address: "192.0.2.1" }],
        conditions: [{ type: "Ready", status: ready ? "True" : "Unknown", message: "kubelet is silent" }],
      },
    }),
  ) as Node;
const webs = [pod("web-1"), pod("web-2")];
const healthy: ClusterObjects = {
  ...noObjects,
  nodes: [node("node-1")],
  pods: webs,
  services: [service()],
  slices: [slice(webs)],
};
const ours: IngressClass = {
  apiVersion: "networking.k8s.io/v1",
  kind: "IngressClass",
  metadata: { name: "fairlead" },
  spec: { controller: "example.com/us" },
};
const ingress = (spec: object, status: object = { loadBalancer: { ingress: [{ ip: "192.0.2.1" }] } }): Ingress => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "Ingress",
  metadata: meta("site"),
  spec: { ingressClassName: "fairlead", ...spec },
  status,
});
const rule = (name: string, port: object) => ({
  rules: [
    { host: "a.example", http: { paths: [{ path: "/", pathType: "Prefix", backend: { service: { name, port } } }] } },
  ],
});

function findings(
  objects: Partial<ClusterObjects> = {},
  rest: { nodes?: NodeFacts[]; frontends?: FrontendState[] } = {},
): Finding[] {
  const cluster = createCluster(
    { ...healthy, ...objects },
    { clusterDomain: "cluster.local", podCidrs: [], serviceCidrs: ["10.96.0.0/16"] },
  );
  return examine(
    factsOf(cluster, {
      inspect: () => "has a tls.key that does not belong to its tls.crt",
      controllerName: "example.com/us",
      frontends: rest.frontends ?? [],
      nodes: rest.nodes ?? [],
      now: Date.parse("2026-11-22T00:00:00Z"),
    }),
  );
}

const unhealthy: Event = {
  apiVersion: "v1",
  kind: "Event",
  metadata: meta("e1"),
  involvedObject: { kind: "Pod", namespace: "shop", name: "web-1" },
  reason: "Unhealthy",
  message: "Readiness probe failed: HTTP probe failed with statuscode: 503",
  type: "Warning",
};

describe("doctor", () => {
  it("finds nothing where nothing is wrong", () => {
    const nodes: NodeFacts[] = [
      {
        node: "node-1",
        proxies: ["fairlead (nftables)"],
        foreign: [{ table: "inet f", chain: "input", hook: "input", policy: "accept", dropping: 0 }],
        conntrack: { count: 10, most: 100 },
        files: { open: 10, most: 100 },
        health: { status: 200, text: "" },
      },
    ];
    expect(findings({}, { nodes })).toEqual([]);
    const full = { classes: [ours], ingresses: [ingress(rule("web", { number: 80 }))] };
    expect(findings(full)).toEqual([]);
  });

  it("has checks with codes of their own", () => {
    expect(new Set(checks.map(({ code }) => code)).size).toBe(checks.length);
  });

  it.each<[code: string, Partial<ClusterObjects>, problem: RegExp, remedy: RegExp]>([
    [
      "external-name-is-address",
      { services: [service({ type: "ExternalName", externalName: "192.0.2.9" })] },
      /192.0.2.9 is an address/,
      /EndpointSlice/,
    ],
    ["no-cluster-ip", { services: [service({ clusterIP: "" })] }, /no cluster IP/, /ServiceCIDR/],
    [
      "left-to-another-proxy",
      {
        services: [
          service({}, { metadata: meta("web", { labels: { "service.kubernetes.io/service-proxy-name": "x" } }) }),
        ],
      },
      /leaves its address 10.96.0.5 alone/,
      /remove the label/,
    ],
    [
      "no-selector-no-endpoints",
      { services: [service({ selector: {} })], slices: [] },
      /no selector/,
      /write an EndpointSlice/,
    ],
    [
      "selector-matches-nothing",
      { services: [service({ selector: { app: "wep" } })], slices: [] },
      /labels app=wep/,
      /app is "web", not "wep"/,
    ],
    [
      "selector-matches-nothing",
      { services: [service({ selector: { ap: "web" } })], slices: [] },
      /labels ap=web/,
      /it has app=web, not ap=web/,
    ],
    [
      "target-port-name-missing",
      { services: [service({ ports: [{ port: 80, targetPort: "htpp" }] })] },
      /no TCP port named "htpp"/,
      /did you mean http/,
    ],
    [
      "target-port-name-missing",
      { services: [service({ ports: [{ port: 80, targetPort: "http", protocol: "UDP" }] })] },
      /no UDP port named "http"/,
      /port http is TCP/,
    ],
    [
      "pods-not-ready",
      { pods: [pod("web-1", { ready: false }), pod("web-2")], events: [unhealthy] },
      /1 of 2 pods is not ready: web-1.*statuscode: 503/,
      /correct the probe/,
    ],
    [
      "endpoints-missing",
      { services: [service({ ports: [{ port: 8080 }] })], slices: [] },
      /2 ready pods are in no EndpointSlice/,
      /controller/,
    ],
    [
      "endpoints-stale",
      { slices: [slice([...webs, pod("gone-9")])] },
      /1 endpoints lead to pods that do not exist/,
      /controller/,
    ],
    ["endpoints-stale", { nodes: [node("node-1", false)] }, /2 endpoints are on nodes that are not ready/, /node-1/],
    [
      "target-port-not-declared",
      { services: [service({ ports: [{ name: "http", port: 80, targetPort: 81 }] })] },
      /leads to 81\/TCP/,
      /targetPort to 8080/,
    ],
    [
      "local-policy-without-endpoints",
      {
        services: [service({ type: "NodePort", externalTrafficPolicy: "Local" })],
        nodes: [node("node-1"), node("node-2")],
      },
      /come on node-2 are dropped/,
      /use Cluster/,
    ],
    [
      "local-policy-without-endpoints",
      { services: [service({ internalTrafficPolicy: "Local" })], nodes: [node("node-2")] },
      /clients on node-2/,
      /DaemonSet/,
    ],
    [
      "headless-port-not-translated",
      { services: [service({ clusterIP: "None" })] },
      /listen on 8080/,
      /make port 8080/,
    ],
    [
      "load-balancer-pending",
      { services: [service({ type: "LoadBalancer" })] },
      /nobody has said why/,
      /run a controller/,
    ],
    [
      "load-balancer-pending",
      {
        services: [
          service(
            { type: "LoadBalancer" },
            {
              status: {
                conditions: [
                  {
                    type: "fairlead.dev/AddressAssigned",
                    status: "False",
                    reason: "PoolExhausted",
                    message: "all 2 are taken",
                  },
                ],
              },
            },
          ),
        ],
      },
      /all 2 are taken/,
      /add addresses to the pool/,
    ],
    [
      "load-balancer-pending",
      { services: [service({ type: "LoadBalancer", loadBalancerClass: "acme/x" })] },
      /class "acme\/x" is for another/,
      /controller of that class/,
    ],
    [
      "frontend-taken",
      {
        services: [
          service(
            { externalIPs: ["203.0.113.9"] },
            { metadata: meta("web", { creationTimestamp: "2026-02-01T00:00:00Z" }) },
          ),
          {
            ...service({ externalIPs: ["203.0.113.9"], clusterIP: "10.96.0.6" }),
            metadata: meta("old", { creationTimestamp: "2026-01-01T00:00:00Z" }),
          },
        ],
        slices: [
          slice(webs),
          { ...slice(webs), metadata: meta("old-x", { labels: { "kubernetes.io/service-name": "old" } }) },
        ],
      },
      /belongs to Service shop\/old/,
      /change the address/,
    ],
    [
      "source-ranges",
      { services: [service({ loadBalancerSourceRanges: ["10.0.0.0/8"], type: "NodePort" })] },
      /everybody may connect/,
      /NetworkPolicy/,
    ],
    [
      "source-ranges",
      {
        services: [
          service(
            { loadBalancerSourceRanges: ["10.0.0"], type: "LoadBalancer" },
            { status: { loadBalancer: { ingress: [{ ip: "10.97.0.1" }] } } },
          ),
        ],
      },
      /"10.0.0" is no range/,
      /192.0.2.0\/24/,
    ],
    [
      "selector-overlaps",
      { pods: [pod("web-1", { owner: "a" }), pod("web-2", { owner: "b" })] },
      /2 workloads: StatefulSet a, StatefulSet b/,
      /add a label/,
    ],
    [
      "ingress-class",
      { classes: [ours], ingresses: [ingress({ ingressClassName: "fairlaed" })] },
      /no IngressClass "fairlaed"/,
      /did you mean fairlead/,
    ],
    [
      "ingress-class",
      { classes: [ours], ingresses: [{ ...ingress({}), spec: {} }] },
      /names no class/,
      /ingressClassName: fairlead/,
    ],
    [
      "ingress-backend",
      { classes: [ours], ingresses: [ingress(rule("wep", { number: 80 }))] },
      /Service shop\/wep does not exist/,
      /did you mean web/,
    ],
    [
      "ingress-backend",
      { classes: [ours], ingresses: [ingress(rule("web", { number: 8080 }))] },
      /no TCP port 8080/,
      /http \(80\)/,
    ],
    [
      "ingress-secret",
      { classes: [ours], ingresses: [ingress({ ...rule("web", { number: 80 }), tls: [{ secretName: "x" }] })] },
      /Secret shop\/x does not exist/,
      /create secret tls/,
    ],
    [
      "ingress-secret",
      {
        classes: [ours],
        secrets: [
          {
            apiVersion: "v1",
            kind: "Secret",
            metadata: meta("x"),
            data: { "tls.crt": "YQ==", "tls.key": "YQ==" },
          },
        ],
        ingresses: [ingress({ ...rule("web", { number: 80 }), tls: [{ secretName: "x" }] })],
      },
      /does not belong/,
      /create secret tls/,
    ],
    [
      "ingress-not-confirmed",
      { classes: [ours], ingresses: [ingress(rule("web", { number: 80 }), {})] },
      /no data plane/,
      /controller/,
    ],
    [
      "route-problem",
      { classes: [ours], ingresses: [ingress({ rules: [{ host: "not a host", http: { paths: [] } }] })] },
      /is not a host name/,
      /DNS name/,
    ],
  ])("%s", (code, objects, problem, remedy) => {
    const found = findings(objects);
    const first = found.find(({ object }) => object.endsWith("shop/web") || object.endsWith("shop/site"));
    expect(first, JSON.stringify(found, undefined, 1)).toMatchObject({ check: code });
    expect(first?.problem).toMatch(problem);
    expect(first?.remedy).toMatch(remedy);
    expect(first?.field).not.toBe("");
  });

  it.each<[code: string, Partial<NodeFacts>, problem: RegExp]>([
    ["proxy-not-synced", { health: { status: 0, text: "connect ECONNREFUSED" } }, /does not answer/],
    ["proxy-not-synced", { health: { status: 503, text: "{}" } }, /says 503/],
    ["two-proxies", { proxies: ["fairlead (nftables)", "kube-proxy (iptables)"] }, /kube-proxy \(iptables\)/],
    ["node-limits", { conntrack: { count: 90, most: 100 } }, /nearly full/],
    ["node-limits", { files: { open: 900, most: 1000 } }, /files open/],
    ["node-limits", { notForwarding: ["net.ipv4.ip_forward"] }, /does not forward packets of IPv4/],
    ["node-limits", { notForwarding: ["net.ipv6.conf.all.forwarding"] }, /does not forward packets of IPv6/],
    [
      "foreign-rules-drop",
      { foreign: [{ table: "inet f", chain: "forward", hook: "forward", policy: "drop", dropping: 0 }] },
      /drops all that it does not accept/,
    ],
    [
      "foreign-rules-drop",
      { foreign: [{ table: "inet f", chain: "c", hook: "input", policy: "accept", dropping: 2 }] },
      /2 rules that drop/,
    ],
  ])("%s on a node", (code, facts, problem) => {
    const found = findings({}, { nodes: [{ node: "node-1", ...facts }] });
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ check: code, object: "Node node-1" });
    expect(found[0]?.problem).toMatch(problem);
  });

  it("tells what the node's proxy could not serve", () => {
    const state: FrontendState = {
      service: "shop/web",
      kind: "NodePort",
      protocol: "TCP",
      port: 30_080,
      problem: "EADDRINUSE",
    };
    expect(findings({}, { frontends: [state] })).toMatchObject([
      { check: "frontend-taken", problem: expect.stringContaining("EADDRINUSE") },
    ]);
  });
});

it("foreignChains counts rules that drop, also behind jumps, and leaves a proxy's chains out", () => {
  const chain = (name: string, hook?: string) => ({
    chain: { name, ...(hook ? { hook, type: "filter", policy: "drop" } : {}) },
  });
  const ruleIn = (name: string, expr: object) => ({ rule: { chain: name, expr: [expr] } });
  const json = JSON.stringify({
    nftables: [
      chain("FORWARD", "forward"),
      chain("user"),
      chain("KUBE-FORWARD"),
      ruleIn("FORWARD", { jump: { target: "user" } }),
      ruleIn("FORWARD", { jump: { target: "KUBE-FORWARD" } }),
      ruleIn("FORWARD", { accept: null }),
      ruleIn("user", { drop: null }),
      ruleIn("user", { reject: { type: "tcp reset" } }),
      ruleIn("user", { jump: { target: "user" } }),
      ruleIn("KUBE-FORWARD", { drop: null }),
    ],
  });
  expect(foreignChains("ip filter", json)).toEqual([
    { table: "ip filter", chain: "FORWARD", hook: "forward", policy: "drop", dropping: 2 },
  ]);
});
