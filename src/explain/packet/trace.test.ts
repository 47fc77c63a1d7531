import { describe, expect, it } from "vitest";
import type { EndpointSlice, Node, Pod, Service } from "../../kube/index.ts";
import { createCluster } from "../cluster.ts";
import { type ClusterObjects, noObjects } from "../exposure.ts";
import type { PacketTrace } from "./packet-trace.ts";
import { parseReference, parseTarget } from "./reference.ts";
import { tracePacket } from "./trace.ts";

const node = (name: string, address: string): Node => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name },
  spec: { podCIDR: `10.42.${name.slice(-1)}.0/24` },
  status: { addresses: [{ type: "InternalIP", address }] },
});

const pod = (name: string, nodeName: string, ip: string, ready = true): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "shop", name, labels: { app: name.slice(0, -2) } },
  spec: { nodeName, containers: [{ name: "c", ports: [{ name: "http", containerPort: 8080 }] }] },
  status: { phase: "Running", podIP: ip, conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
});

const service = (name: string, spec: object, rest: object = {}): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { namespace: "shop", name, creationTimestamp: "2026-01-01T00:00:00Z" },
  spec: { type: "ClusterIP", ports: [{ name: "http", port: 80, targetPort: 8080, protocol: "TCP" }], ...spec },
  ...rest,
});

const slice = (
  of: string,
  endpoints: [ip: string, nodeName: string, podName: string, ready?: boolean][],
): EndpointSlice => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { namespace: "shop", name: `${of}-x`, labels: { "kubernetes.io/service-name": of } },
  addressType: "IPv4",
  ports: [{ name: "http", port: 8080, protocol: "TCP" }],
  endpoints: endpoints.map(([ip, nodeName, name, ready = true]) => ({
    addresses: [ip],
    nodeName,
    conditions: { ready },
    targetRef: { kind: "Pod", namespace: "shop", name },
  })),
});

const web = (spec: object = {}, rest: object = {}) =>
  service("web", { clusterIP: "10.96.0.5", clusterIPs: ["10.96.0.5"], ...spec }, rest);
const both = slice("web", [
  ["10.42.1.5", "node-1", "web-1"],
  ["10.42.2.5", "node-2", "web-2"],
  ["10.42.2.6", "node-2", "web-3", false],
]);
const base: Partial<ClusterObjects> = {
  nodes: [node("node-1", "192.0.2.1"), node("node-2", "192.0.2.2")],
  pods: [
    pod("web-1", "node-1", "10.42.1.5"),
    pod("web-2", "node-2", "10.42.2.5"),
    pod("web-3", "node-2", "10.42.2.6", false),
    pod("cli-1", "node-1", "10.42.1.9"),
  ],
  services: [web()],
  slices: [both],
};

function trace(from: string, to: string, objects: Partial<ClusterObjects> = {}, onNode?: string): PacketTrace {
  const cluster = createCluster(
    { ...noObjects, ...base, ...objects },
    { clusterDomain: "cluster.local", podCidrs: [], serviceCidrs: ["10.96.0.0/16"] },
  );
  return tracePacket(cluster, {
    from: parseReference(from, "shop"),
    to: parseTarget(to, "shop"),
    ...(onNode ? { node: onNode } : {}),
  });
}

const fields = ({ hops }: PacketTrace) => hops.map(({ step, owner }) => [step, owner?.field]);

describe("tracePacket", () => {
  it("follows a pod to a cluster IP, with the field behind each step and the odds of each endpoint", () => {
    const found = trace("pod/cli-1", "service/web");
    expect(found).toMatchObject({ verdict: "forward", node: "node-1", masquerade: false, from: { class: "pod" } });
    expect(fields(found)).toEqual([
      ["name", "spec.clusterIPs[0]"],
      ["client", "status.podIP"],
      ["frontend", "spec.clusterIPs[0]"],
      ["policy", "spec.internalTrafficPolicy"],
      ["source", undefined],
    ]);
    expect(
      found.endpoints.map(({ address, odds, node: on, pod: name, why }) => [address, odds, on, name, why]),
    ).toEqual([
      ["10.42.1.5", 0.5, "node-1", "shop/web-1", undefined],
      ["10.42.2.5", 0.5, "node-2", "shop/web-2", undefined],
      ["10.42.2.6", 0, "node-2", "shop/web-3", "not ready"],
    ]);
  });

  it.each([
    ["web:80", 1],
    ["web.shop.svc:http", 1],
    ["web.shop.svc.cluster.local", 0],
  ])("resolves the name %s as a pod would", (name) => {
    const found = trace("pod/cli-1", name);
    expect(found).toMatchObject({ verdict: "forward", to: { address: "10.96.0.5", port: 80 } });
  });

  it("drops under policy Local without an endpoint here, and says where it would fare otherwise", () => {
    const local = web(
      { type: "LoadBalancer", externalTrafficPolicy: "Local" },
      { status: { loadBalancer: { ingress: [{ ip: "198.51.100.7" }] } } },
    );
    const slices = [slice("web", [["10.42.2.5", "node-2", "web-2"]])];
    const found = trace("203.0.113.9", "service/web", { services: [local], slices }, "node-1");
    expect(found).toMatchObject({ verdict: "drop", to: { address: "198.51.100.7" }, from: { class: "outside" } });
    expect(found.hops.at(-1)?.owner).toEqual({ object: "Service shop/web", field: "spec.externalTrafficPolicy" });
    expect(found.endpoints[0]?.why).toBe("policy Local: it is on node-2");
    expect(found.otherNodes.map((other) => [other.node, other.verdict])).toEqual([["node-2", "forward"]]);
  });

  it("rejects where no endpoint is ready, with the pod that is not", () => {
    const slices = [slice("web", [["10.42.2.6", "node-2", "web-3", false]])];
    const found = trace("pod/cli-1", "service/web", { slices });
    expect(found).toMatchObject({ verdict: "reject", reason: "none is ready on any node" });
    expect(found.endpoints).toMatchObject([{ pod: "shop/web-3", odds: 0, why: "not ready" }]);
  });

  it("refuses clients outside of the source ranges, and says so", () => {
    const guarded = web(
      { type: "LoadBalancer", loadBalancerSourceRanges: ["10.0.0.0/8"] },
      { status: { loadBalancer: { ingress: [{ ip: "198.51.100.7" }] } } },
    );
    const found = trace("203.0.113.9", "198.51.100.7:80", { services: [guarded] });
    expect(found.verdict).toBe("drop");
    expect(found.hops.at(-1)?.owner?.field).toBe("spec.loadBalancerSourceRanges");
  });

  it("masks the node's own packets and says as whom", () => {
    const found = trace("node/node-2", "service/web");
    expect(found).toMatchObject({ verdict: "forward", node: "node-2", masquerade: true });
    expect(found.hops.at(-1)?.text).toContain("masked: the endpoint sees node-2");
  });

  it("leads clients outside to a NodePort where there is no other way in", () => {
    const ports = [{ name: "http", port: 80, nodePort: 30_080, protocol: "TCP" }];
    const found = trace("outside", "service/web", { services: [web({ type: "NodePort", ports })] });
    expect(found).toMatchObject({ verdict: "forward", to: { address: "192.0.2.1", port: 30_080 }, masquerade: true });
  });

  it("a client outside is of the family that the Service has, else of the cluster's own", () => {
    const ports = [{ name: "http", port: 80, nodePort: 30_080, protocol: "TCP" }];
    const six = (families: object) =>
      web({ type: "NodePort", ports, clusterIP: "fd00:96::5", clusterIPs: ["fd00:96::5"], ...families });
    const own = { ...slice("web", [["fd00:42::5", "node-1", "web-1"]]), addressType: "IPv6" };
    const kubernetes = { ...service("kubernetes", { clusterIP: "fd00:96::1" }) };
    kubernetes.metadata = { ...kubernetes.metadata, namespace: "default" };
    const nodes = [node("node-1", "fd00::1")];
    for (const services of [[six({ ipFamilies: ["IPv6"] })], [six({}), kubernetes]]) {
      const found = trace("outside", "service/web", { services, nodes, slices: [own] });
      expect(found).toMatchObject({ verdict: "forward", from: { address: "2001:db8::1" }, to: { address: "fd00::1" } });
      expect(found.endpoints).toMatchObject([{ address: "fd00:42::5", odds: 1 }]);
    }
  });

  it("serves NodePorts on loopback by the same plan", () => {
    const ports = [{ name: "http", port: 80, nodePort: 30_080, protocol: "TCP" }];
    const found = trace("node/node-1", "127.0.0.1:30080", { services: [web({ type: "NodePort", ports })] });
    expect(found).toMatchObject({ verdict: "forward", notes: [expect.stringContaining("loopback")] });
  });

  it.each<[string, string, string, Partial<ClusterObjects>, string, string]>([
    [
      "a port that the Service does not have",
      "pod/cli-1",
      "service/web:81",
      {},
      "reject",
      "has no port 81/TCP, only http (80/TCP)",
    ],
    ["an address that no Service has", "pod/cli-1", "10.96.9.9:80", {}, "reject", "no Service has the address"],
    ["a pod", "pod/cli-1", "pod/web-2", {}, "direct", "it goes to pod shop/web-2 on node-2"],
    ["a node's own port", "pod/cli-1", "node/node-2:22", {}, "direct", "whatever process listens"],
    [
      "a NodePort that no Service has",
      "outside",
      "node/node-2:30999",
      {},
      "direct",
      "no Service has NodePort 30999/TCP",
    ],
    ["something outside", "pod/cli-1", "93.184.216.34:443", {}, "elsewhere", "nothing of this cluster"],
    [
      "another proxy's Service",
      "pod/cli-1",
      "10.96.0.5:80",
      {
        services: [
          service(
            "web",
            { clusterIP: "10.96.0.5" },
            {
              metadata: { namespace: "shop", name: "web", labels: { "service.kubernetes.io/service-proxy-name": "x" } },
            },
          ),
        ],
      },
      "elsewhere",
      "another proxy serves it",
    ],
    [
      "an address that the real load balancer takes",
      "pod/cli-1",
      "198.51.100.7:80",
      {
        services: [
          web(
            { type: "LoadBalancer" },
            { status: { loadBalancer: { ingress: [{ ip: "198.51.100.7", ipMode: "Proxy" }] } } },
          ),
        ],
      },
      "elsewhere",
      "ipMode Proxy",
    ],
    ["a name outside", "pod/cli-1", "example.org:443", {}, "alias", "no name of the cluster"],
    [
      "an ExternalName",
      "pod/cli-1",
      "service/docs:443",
      { services: [service("docs", { type: "ExternalName", externalName: "docs.example.org" })] },
      "alias",
      "docs.example.org",
    ],
    [
      "names without end",
      "pod/cli-1",
      "service/a:80",
      {
        services: [
          service("a", { type: "ExternalName", externalName: "b.shop.svc.cluster.local" }),
          service("b", { type: "ExternalName", externalName: "a.shop.svc.cluster.local" }),
        ],
      },
      "alias",
      "without end",
    ],
    [
      "a frontend that an older Service has",
      "pod/cli-1",
      "203.0.113.80:80",
      {
        services: [
          web(
            { externalIPs: ["203.0.113.80"] },
            { metadata: { namespace: "shop", name: "web", creationTimestamp: "2026-02-01T00:00:00Z" } },
          ),
          service("old", { clusterIP: "10.96.0.6", externalIPs: ["203.0.113.80"] }),
        ],
      },
      "reject",
      "none is ready",
    ],
  ])("tells of %s", (_, from, to, objects, verdict, reason) => {
    const found = trace(from, to, objects);
    expect(found.verdict).toBe(verdict);
    expect(found.reason).toContain(reason);
  });

  it("notes who asks for the pods' port at the Service's address", () => {
    expect(trace("pod/cli-1", "service/web:8080").notes).toEqual(["8080 is the targetPort: clients ask for port 80"]);
  });

  it("says that headless Services translate no ports", () => {
    const headless = service("web", { clusterIP: "None", clusterIPs: ["None"] });
    const found = trace("pod/cli-1", "service/web:80", { services: [headless] });
    expect(found).toMatchObject({
      verdict: "direct",
      notes: [expect.stringContaining("pods listen on 8080, not on 80")],
    });
    expect(found.endpoints.filter(({ odds }) => odds > 0)).toHaveLength(2);
  });

  it("notes endpoints whose pod is not what the slice says", () => {
    const pods = [...(base.pods ?? [])].map((each) =>
      each.metadata.name === "web-1" ? pod("web-1", "node-1", "10.42.1.5", false) : each,
    );
    expect(trace("pod/cli-1", "service/web", { pods }).notes).toEqual([
      expect.stringContaining("pod shop/web-1 is in the EndpointSlice"),
    ]);
  });

  it.each([
    ["pod/nobody", "service/web", "NOT_FOUND", /there is no pod shop\/nobody/],
    ["pod/cli-2", "service/web", "NOT_FOUND", /there is no pod shop\/cli-2/],
    ["pod/cli-1", "service/wep", "NOT_FOUND", /there is no Service shop\/wep/],
    ["pod/cli-1", "web.shap:80", "ALIAS", /./],
    ["pod/cli-1", "10.0.0.1", "BAD_REFERENCE", /no port to go to/],
    ["pod/cli-1", "service/web:https", "BAD_REFERENCE", /no port named "https"/],
    ["pod/cli-1", "[2001:db8::5]:80", "NOT_POSSIBLE", /no IPv6 address/],
    ["pod/cli-1", "service/web", "NOT_FOUND", /there is no node/, "node-9"],
  ])("%s to %s: %s", (from, to, code, message, onNode?: string) => {
    if (code === "ALIAS") return expect(trace(from, to).verdict).toBe("alias");
    expect(() => trace(from, to, {}, onNode)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });
});
