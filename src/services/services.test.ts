import { describe, expect, test } from "vitest";
import type { EndpointSlice, Service } from "../kube/index.ts";
import { createServiceModel, type Decision, type ProxyContext, type Protocol, type Route } from "./index.ts";

// Each test states one rule of the Kubernetes Service API; the node is node1 in zone a.
const context: ProxyContext = {
  families: ["IPv4"],
  node: { name: "node1", zone: "a", addresses: ["192.0.2.1"] },
  podCidrs: ["10.42.0.0/16"],
  serviceCidrs: ["10.96.0.0/16"],
};
const pod = "10.42.3.3";
const outside = "198.51.100.9";
const self = "192.0.2.1";
const vip = "10.96.0.20";

type Spec = Partial<Service["spec"]>;
type SliceEndpoint = NonNullable<EndpointSlice["endpoints"]>[number];

interface Meta {
  name?: string;
  labels?: Record<string, string>;
  created?: string;
  ingress?: { ip?: string; hostname?: string; ipMode?: string }[];
}

function service(
  spec: Spec = {},
  { name = "web", labels = {}, created = "2030-01-01T00:00:00Z", ingress }: Meta = {},
): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: "default", name, labels, creationTimestamp: created, uid: name, resourceVersion: "1" },
    spec: { type: "ClusterIP", clusterIP: vip, ports: [{ port: 80, protocol: "TCP" }], ...spec },
    ...(ingress ? { status: { loadBalancer: { ingress } } } : {}),
  };
}

function slice(
  endpoints: SliceEndpoint[],
  rest: Partial<EndpointSlice> & { of?: string; name?: string } = {},
): EndpointSlice {
  const { of = "web", name = `${of}-a`, ...fields } = rest;
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      namespace: "default",
      name,
      labels: { "kubernetes.io/service-name": of },
      uid: name,
      resourceVersion: "1",
    },
    addressType: "IPv4",
    ports: [{ name: "", port: 8080, protocol: "TCP" }],
    endpoints,
    ...fields,
  };
}

/** Endpoint 10.42.0.i on `node`. */
function endpoint(i: number, node = "node1", rest: Partial<SliceEndpoint> = {}): SliceEndpoint {
  return { addresses: [`10.42.0.${i}`], nodeName: node, conditions: { ready: true }, ...rest };
}
const terminating = { conditions: { ready: false, serving: true, terminating: true } };
const unready = { conditions: { ready: false, serving: false, terminating: false } };

function route(
  objects: (Service | EndpointSlice)[],
  from: string,
  to = vip,
  port = 80,
  protocol: Protocol = "TCP",
): Route {
  const model = createServiceModel(context);
  for (const object of objects) {
    if (object.kind === "Service") model.upsertService(object as Service);
    else model.upsertSlice(object as EndpointSlice);
  }
  return model.route({ source: from, destination: to, port, protocol });
}

/** Last bytes of the endpoints' addresses, or the verdict. */
function outcome({ decision }: Route): number[] | string {
  if (!decision) return "not a Service";
  return decision.verdict === "forward"
    ? decision.endpoints.map(({ address }) => Number(address.split(".")[3]))
    : decision.verdict;
}
const masked = ({ decision }: Route) => decision?.verdict === "forward" && decision.masquerade;
const reasonOf = (decision: Decision | undefined) => decision?.because[0]?.field;

describe("addresses and types", () => {
  const two = slice([endpoint(1), endpoint(2, "node2")]);

  test("a cluster IP reaches every ready endpoint", () => {
    expect(outcome(route([service(), two], pod))).toEqual([1, 2]);
  });

  test.each<[string, Service]>([
    ["headless", service({ clusterIP: "None" })],
    ["ExternalName", service({ type: "ExternalName", externalName: "example.org", clusterIP: "" })],
    ["label service.kubernetes.io/headless", service({}, { labels: { "service.kubernetes.io/headless": "" } })],
    ["label service-proxy-name", service({}, { labels: { "service.kubernetes.io/service-proxy-name": "mine" } })],
    ["not allocated yet", service({ clusterIP: "" })],
    ["only of the other family", service({ clusterIP: "fd00::1", clusterIPs: ["fd00::1"] })],
  ])("%s: nothing is proxied, and the plan says why", (_, object) => {
    const model = createServiceModel(context);
    model.upsertService(object);
    model.upsertSlice(two);
    expect(model.plan("default/web")).toMatchObject({ ports: [], ignored: { reason: expect.any(String) } });
    expect(outcome(model.route({ source: pod, destination: vip, port: 80, protocol: "TCP" }))).toBe("reject");
  });

  test("taking the headless label away brings the address back", () => {
    const model = createServiceModel(context);
    model.upsertSlice(two);
    model.upsertService(service({}, { labels: { "service.kubernetes.io/headless": "" } }));
    expect(model.upsertService(service())).toEqual(new Set(["default/web"]));
    expect(outcome(model.route({ source: pod, destination: vip, port: 80, protocol: "TCP" }))).toEqual([1, 2]);
  });

  test("a NodePort answers on the node's addresses only, one number for two protocols", () => {
    const ports = [
      { name: "t", port: 80, protocol: "TCP", nodePort: 30080 },
      { name: "u", port: 80, protocol: "UDP", nodePort: 30080 },
    ];
    const objects = [
      service({ type: "NodePort", ports }),
      slice([endpoint(1)], { ports: [{ name: "t", port: 8080, protocol: "TCP" }], name: "t" }),
      slice([endpoint(2)], { ports: [{ name: "u", port: 8080, protocol: "UDP" }], name: "u" }),
    ];
    expect(outcome(route(objects, outside, self, 30080))).toEqual([1]);
    expect(outcome(route(objects, outside, self, 30080, "UDP"))).toEqual([2]);
    expect(outcome(route(objects, outside, "192.0.2.77", 30080))).toBe("not a Service");
  });

  test("external addresses and load-balancer addresses lead to the same endpoints", () => {
    const object = service({ type: "LoadBalancer", externalIPs: ["203.0.113.5"] }, { ingress: [{ ip: "10.97.0.1" }] });
    expect(outcome(route([object, two], outside, "203.0.113.5"))).toEqual([1, 2]);
    expect(outcome(route([object, two], outside, "10.97.0.1"))).toEqual([1, 2]);
  });

  test("a load-balancer address with ipMode Proxy is left to the load balancer (KEP-1860)", () => {
    const ingress = [
      { ip: "10.97.0.1", ipMode: "Proxy" },
      { ip: "10.97.0.2", ipMode: "VIP" },
      { hostname: "lb.example" },
    ];
    const object = service({ type: "LoadBalancer" }, { ingress });
    expect(outcome(route([object, two], pod, "10.97.0.1"))).toBe("not a Service");
    expect(outcome(route([object, two], pod, "10.97.0.2"))).toEqual([1, 2]);
  });

  test("named target ports may be other numbers in other slices", () => {
    const named = service({ ports: [{ name: "http", port: 80, targetPort: "web" }] });
    const at = (port: number, i: number) => slice([endpoint(i)], { name: `s${i}`, ports: [{ name: "http", port }] });
    const { decision } = route([named, at(8080, 1), at(9090, 2)], pod);
    expect(decision).toMatchObject({ endpoints: [{ port: 8080 }, { port: 9090 }] });
  });

  test("an address in the Service range that no Service has is refused", () => {
    expect(outcome(route([], pod, "10.96.9.9"))).toBe("reject");
    expect(outcome(route([service(), two], pod, vip, 81))).toBe("reject");
    expect(outcome(route([], pod, "203.0.113.99"))).toBe("not a Service");
  });

  test("of two Services with one external address the older has it, and the younger takes over", () => {
    const model = createServiceModel(context);
    model.upsertService(service({ clusterIP: "10.96.0.1", externalIPs: ["203.0.113.5"] }, { name: "old" }));
    const young = service(
      { clusterIP: "10.96.0.2", externalIPs: ["203.0.113.5"] },
      { name: "young", created: "2031-01-01T00:00:00Z" },
    );
    expect(model.upsertService(young)).toEqual(new Set(["default/young", "default/old"]));
    expect(model.plan("default/young")?.conflicts).toMatchObject([{ winner: "default/old" }]);
    expect(model.plan("default/old")?.conflicts).toEqual([]);
    expect(model.removeService("default/old")).toEqual(new Set(["default/old", "default/young"]));
    expect(model.plan("default/young")?.conflicts).toEqual([]);
  });
});

describe("traffic policies", () => {
  const lb = (spec: Spec = {}) =>
    service(
      { type: "LoadBalancer", ports: [{ port: 80, nodePort: 30080 }], ...spec },
      { ingress: [{ ip: "10.97.0.1" }] },
    );
  const here = slice([endpoint(1), endpoint(2, "node2")]);
  const there = slice([endpoint(2, "node2")]);
  const local: Spec = { externalTrafficPolicy: "Local" };

  test.each<[string, Spec, EndpointSlice | undefined, string, string, number, number[] | string, boolean]>([
    // rule, spec, slice, client, address, port, outcome, masked
    ["internal Cluster, pod: its address is kept", {}, here, pod, vip, 80, [1, 2], false],
    ["internal Cluster, outside: masked", {}, here, outside, vip, 80, [1, 2], true],
    ["internal Cluster, node: masked", {}, here, self, vip, 80, [1, 2], true],
    ["internal Local: same node only", { internalTrafficPolicy: "Local" }, here, pod, vip, 80, [1], false],
    [
      "internal Local without local endpoint: dropped",
      { internalTrafficPolicy: "Local" },
      there,
      pod,
      vip,
      80,
      "drop",
      false,
    ],
    [
      "internal Local says nothing about outside addresses",
      { internalTrafficPolicy: "Local" },
      there,
      outside,
      "10.97.0.1",
      80,
      [2],
      true,
    ],
    ["external Cluster: masked, even for pods", {}, here, pod, "10.97.0.1", 80, [1, 2], true],
    ["external Cluster over a NodePort: masked", {}, here, outside, self, 30080, [1, 2], true],
    ["external Local, outside: same node, address kept", local, here, outside, "10.97.0.1", 80, [1], false],
    ["external Local, NodePort: same node, address kept", local, here, outside, self, 30080, [1], false],
    ["external Local, pod: all endpoints, address kept", local, here, pod, "10.97.0.1", 80, [1, 2], false],
    ["external Local, node itself: all endpoints, masked", local, here, self, "10.97.0.1", 80, [1, 2], true],
    ["external Local without local endpoint: dropped", local, there, outside, "10.97.0.1", 80, "drop", false],
    ["external Local without local endpoint: pods get through", local, there, pod, "10.97.0.1", 80, [2], false],
    ["external Local leaves the cluster IP alone", local, there, pod, vip, 80, [2], false],
    ["no endpoint at all: refused, Cluster", {}, undefined, pod, vip, 80, "reject", false],
    [
      "no endpoint at all: refused, internal Local",
      { internalTrafficPolicy: "Local" },
      undefined,
      pod,
      vip,
      80,
      "reject",
      false,
    ],
    ["no endpoint at all: refused, external Local", local, undefined, outside, self, 30080, "reject", false],
  ])("%s", (_, spec, endpoints, from, to, port, expected, mask) => {
    const found = route([lb(spec), ...(endpoints ? [endpoints] : [])], from, to, port);
    expect(outcome(found)).toEqual(expected);
    expect(masked(found)).toBe(mask);
  });

  test("the field that decided is named", () => {
    expect(reasonOf(route([lb(local), there], outside, "10.97.0.1").decision)).toBe("spec.externalTrafficPolicy");
    expect(reasonOf(route([lb(), here], pod, vip).decision)).toBe("spec.internalTrafficPolicy");
    expect(reasonOf(route([lb()], pod, vip).decision)).toBe("endpoints");
  });

  test("an external address on a Service of type ClusterIP follows externalTrafficPolicy", () => {
    const object = service({ externalIPs: ["203.0.113.5"], externalTrafficPolicy: "Local" });
    expect(outcome(route([object, here], outside, "203.0.113.5"))).toEqual([1]);
  });

  test("source ranges hold for the load-balancer address only", () => {
    const object = lb({ loadBalancerSourceRanges: ["198.51.100.0/24", " 10.0.0.0/30 "] });
    expect(outcome(route([object, here], outside, "10.97.0.1"))).toEqual([1, 2]);
    expect(outcome(route([object, here], "203.0.113.1", "10.97.0.1"))).toBe("drop");
    expect(reasonOf(route([object, here], "203.0.113.1", "10.97.0.1").decision)).toBe("spec.loadBalancerSourceRanges");
    expect(outcome(route([object, here], "203.0.113.1", self, 30080))).toEqual([1, 2]);
    expect(outcome(route([object, here], pod, vip))).toEqual([1, 2]);
  });

  test("a node within the source ranges may use the address bound to itself", () => {
    const within = lb({ loadBalancerSourceRanges: ["192.0.2.0/24"] });
    const without = lb({ loadBalancerSourceRanges: ["198.51.100.0/24"] });
    expect(outcome(route([within, here], "10.97.0.1", "10.97.0.1"))).toEqual([1, 2]);
    expect(outcome(route([without, here], "10.97.0.1", "10.97.0.1"))).toBe("drop");
  });

  test("the health check counts ready local endpoints, each address once, and no terminating ones", () => {
    const object = lb({ ...local, healthCheckNodePort: 31000 });
    const check = (...objects: EndpointSlice[]) => {
      const model = createServiceModel(context);
      model.upsertService(object);
      for (const one of objects) model.upsertSlice(one);
      return model.plan("default/web")?.healthCheck;
    };
    expect(check(here)).toEqual({ port: 31000, localEndpoints: 1 });
    expect(check(slice([endpoint(1, "node1", terminating)]))).toEqual({ port: 31000, localEndpoints: 0 });
    expect(check()).toEqual({ port: 31000, localEndpoints: 0 });
  });
});

describe("readiness", () => {
  const among = (...endpoints: SliceEndpoint[]) => outcome(route([service(), slice(endpoints)], pod));

  test("conditions that are absent mean ready", () => {
    expect(among({ addresses: ["10.42.0.1"] }, endpoint(2, "node1", unready))).toEqual([1]);
  });

  test("terminating endpoints serve only while there is no ready one (KEP-1669)", () => {
    expect(among(endpoint(1, "node1", terminating), endpoint(2))).toEqual([2]);
    expect(among(endpoint(1, "node1", terminating), endpoint(2, "node1", unready))).toEqual([1]);
    expect(among(endpoint(1, "node1", { conditions: { ready: false, serving: false, terminating: true } }))).toBe(
      "reject",
    );
  });

  test("publishNotReadyAddresses: what the slice calls ready is used even while it terminates", () => {
    expect(among(endpoint(1, "node1", { conditions: { ready: true, serving: false, terminating: true } }))).toEqual([
      1,
    ]);
  });

  test("the fallback to terminating endpoints is separate for Local", () => {
    const object = service({ internalTrafficPolicy: "Local" });
    const both = slice([endpoint(1, "node1", terminating), endpoint(2, "node2")]);
    expect(outcome(route([object, both], pod))).toEqual([1]);
  });

  test("an endpoint in two slices counts once, in its better condition", () => {
    const objects = [
      service(),
      slice([endpoint(1, "node1", unready), endpoint(2)], { name: "x" }),
      slice([endpoint(1), endpoint(2)], { name: "y" }),
    ];
    expect(outcome(route(objects, pod))).toEqual([1, 2]);
  });

  test("slices of another family, FQDN slices and other ports do not count; only an endpoint's first address does", () => {
    const objects = [
      service(),
      slice([{ addresses: ["fd00::1"] }], { name: "six", addressType: "IPv6" }),
      slice([{ addresses: ["a.example"] }], { name: "fqdn", addressType: "FQDN" }),
      slice([endpoint(7)], { name: "other", ports: [{ name: "other", port: 1 }] }),
      slice([{ addresses: ["10.42.0.1", "10.42.0.2"] }], { name: "two" }),
    ];
    expect(outcome(route(objects, pod))).toEqual([1]);
  });
});

describe("topology", () => {
  const zone = (...names: string[]) => ({ hints: { forZones: names.map((name) => ({ name })) } });
  const node = (name: string) => ({ hints: { forNodes: [{ name }], forZones: [{ name: "a" }] } });

  test.each<[string, SliceEndpoint[], number[]]>([
    [
      "same zone, when every ready endpoint has zone hints",
      [endpoint(1, "n2", zone("a")), endpoint(2, "n3", zone("b"))],
      [1],
    ],
    ["all, when one ready endpoint has no hint", [endpoint(1, "n2", zone("a")), endpoint(2)], [1, 2]],
    ["all, when no hint points here", [endpoint(1, "n2", zone("b")), endpoint(2, "n3", zone("c"))], [1, 2]],
    ["hints of unready endpoints do not matter", [endpoint(1, "n2", zone("a")), endpoint(2, "n3", unready)], [1]],
    ["same node before same zone", [endpoint(1, "n2", node("node2")), endpoint(2, "node1", node("node1"))], [2]],
    [
      "no node hint for this node: the zone counts",
      [endpoint(1, "n2", node("node2")), endpoint(2, "n3", node("node3"))],
      [1, 2],
    ],
    ["terminating endpoints are used wherever they are", [endpoint(1, "n2", { ...terminating, ...zone("b") })], [1]],
  ])("%s", (_, endpoints, expected) => {
    expect(outcome(route([service(), slice(endpoints)], pod))).toEqual(expected);
  });

  test("hints do not narrow policy Local", () => {
    const object = service({ internalTrafficPolicy: "Local" });
    const both = slice([endpoint(1, "node1", zone("b")), endpoint(2, "n2", zone("a"))]);
    expect(outcome(route([object, both], pod))).toEqual([1]);
  });

  test("without a zone on the node zone hints are not looked at", () => {
    const model = createServiceModel({ ...context, node: { name: "node1", addresses: [] } });
    model.upsertService(service());
    model.upsertSlice(slice([endpoint(1, "n2", zone("a")), endpoint(2, "n3", zone("b"))]));
    expect(outcome(model.route({ source: pod, destination: vip, port: 80, protocol: "TCP" }))).toEqual([1, 2]);
  });
});

describe("affinity", () => {
  test("ClientIP lasts three hours unless the Service says otherwise", () => {
    const seconds = (spec: Spec) => {
      const { decision } = route([service(spec), slice([endpoint(1)])], pod);
      return decision?.verdict === "forward" ? decision.affinitySeconds : decision;
    };
    expect(seconds({})).toBeUndefined();
    expect(seconds({ sessionAffinity: "ClientIP" })).toBe(10_800);
    expect(seconds({ sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } })).toBe(
      60,
    );
  });
});

describe("what a change touches", () => {
  test("a slice touches its Service, and both when it moves to another", () => {
    const model = createServiceModel(context);
    expect(model.upsertSlice(slice([endpoint(1)]))).toEqual(new Set(["default/web"]));
    const moved = slice([endpoint(1)], { of: "other", name: "web-a" });
    expect(model.upsertSlice(moved)).toEqual(new Set(["default/web", "default/other"]));
    expect(model.removeSlice("default/web-a")).toEqual(new Set(["default/other"]));
    expect(model.removeSlice("default/web-a")).toEqual(new Set());
  });

  test("slices that come before their Service are waiting for it", () => {
    const model = createServiceModel(context);
    model.upsertSlice(slice([endpoint(1)]));
    expect(model.plan("default/web")).toBeUndefined();
    model.upsertService(service());
    expect(model.plan("default/web")?.ports[0]?.cluster.endpoints).toHaveLength(1);
  });

  test("another zone of the node touches every Service", () => {
    const model = createServiceModel(context);
    model.upsertService(service());
    expect(model.setContext({ ...context, node: { ...context.node, zone: "b" } })).toEqual(new Set(["default/web"]));
  });
});
