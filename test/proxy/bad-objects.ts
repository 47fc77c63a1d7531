import type { Draft, EndpointSlice, Service } from "../../src/kube/index.ts";

/** What becomes of its Service: nothing is served, or it answers at its cluster IP (10.96.5.N) as it should. */
export interface BadCase {
  readonly name: string;
  readonly gives: "nothing" | "answers" | "refused";
  readonly objects: (n: number) => readonly (Draft<Service> | Draft<EndpointSlice>)[];
}

type Spec = Record<string, unknown>;
const hostile = 'x"; } flush ruleset; #';

const service = (n: number, spec: Spec = {}, metadata: Spec = {}): Draft<Service> => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { namespace: "default", name: `bad-${n}`, ...metadata },
  spec: { type: "ClusterIP", clusterIP: `10.96.5.${n}`, ports: [{ port: 80, protocol: "TCP" }], ...spec },
  ...(metadata["status"] ? { status: metadata["status"] } : {}),
});

const good = { addresses: ["10.42.2.2"], nodeName: "node1", conditions: { ready: true } };
const slice = (
  n: number,
  endpoints: readonly unknown[] | null = [good],
  rest: Spec = {},
  metadata: Spec = {},
): Draft<EndpointSlice> =>
  ({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      namespace: "default",
      name: `bad-${n}-a`,
      labels: { "kubernetes.io/service-name": `bad-${n}` },
      ...metadata,
    },
    addressType: "IPv4",
    ports: [{ name: "", port: 8080, protocol: "TCP" }],
    ...(endpoints ? { endpoints } : {}),
    ...rest,
  }) as unknown as Draft<EndpointSlice>;

const endpoint = (address: string, rest: Spec = {}) => ({ ...good, addresses: [address], ...rest });
const lb = (ip: string) => ({ status: { loadBalancer: { ingress: [{ ip }] } } });
/** A Service with a fault beside sound endpoints, and a sound Service with a fault in its slice. */
const inService = (name: string, gives: BadCase["gives"], spec: Spec, metadata: Spec = {}): BadCase => ({
  name,
  gives,
  objects: (n) => [service(n, spec, metadata), slice(n)],
});
const inSlice = (
  name: string,
  gives: BadCase["gives"],
  endpoints: readonly unknown[] | null,
  rest: Spec = {},
): BadCase => ({
  name,
  gives,
  objects: (n) => [service(n), slice(n, endpoints, rest)],
});

const labelOf = (name: string) => ({ "kubernetes.io/service-name": name });
/** A sound Service whose name is the fault, if it is one. */
const named = (what: string, name: string): BadCase => ({
  name: what,
  gives: "answers",
  objects: (n) => [
    service(n, {}, { name }),
    slice(n, [good], {}, { name: `${name.slice(0, 50)}-a`, labels: labelOf(name) }),
  ],
});

export const badCases: readonly BadCase[] = [
  // Services: addresses.
  inService("no cluster IP yet", "nothing", { clusterIP: "" }),
  inService("headless", "nothing", { clusterIP: "None" }),
  inService("a cluster IP that is no address", "nothing", { clusterIP: "not-an-address" }),
  inService("a cluster IP with commands in it", "nothing", { clusterIP: `10.96.5.1 } ; flush ruleset` }),
  inService("a cluster IP of a family that is not served, with words", "nothing", { clusterIP: "fe80::1%eth0" }),
  inService("the unspecified address", "nothing", { clusterIP: "0.0.0.0" }),
  inService("the broadcast address", "nothing", { clusterIP: "255.255.255.255" }),
  inService("a multicast address", "nothing", { clusterIP: "224.0.0.5" }),
  inService("a loopback address", "nothing", { clusterIP: "127.0.0.1" }),
  inService("an IPv4 address in IPv6 form", "nothing", { clusterIP: "::ffff:10.96.5.9" }),
  inService("one address twice", "answers", { externalIPs: ["203.0.113.9", "203.0.113.9"] }),
  inService("external addresses that are none", "answers", {
    externalIPs: ["", "300.1.1.1", hostile, "127.0.0.1", "169.254.169.254"],
  }),
  inService("a null in external addresses", "answers", { externalIPs: null }),
  // Services: ports.
  inService("no ports", "refused", { ports: [] }),
  inService("ports that are absent", "refused", { ports: undefined }),
  inService("port 0", "refused", { ports: [{ port: 0, protocol: "TCP" }] }),
  inService("a negative port", "refused", { ports: [{ port: -80, protocol: "TCP" }] }),
  inService("a port too large", "refused", { ports: [{ port: 65_616, protocol: "TCP" }] }),
  inService("a fraction of a port", "refused", { ports: [{ port: 80.5, protocol: "TCP" }] }),
  inService("a port as text", "refused", { ports: [{ port: "80", protocol: "TCP" }] }),
  inService("two ports of one number", "answers", {
    ports: [
      { name: "", port: 80, protocol: "TCP" },
      { name: "b", port: 80, protocol: "TCP" },
    ],
  }),
  inService("two ports of one name", "answers", {
    ports: [
      { name: "", port: 80, protocol: "TCP" },
      { name: "", port: 81, protocol: "TCP" },
    ],
  }),
  inService("a protocol that is none", "answers", { ports: [{ port: 80, protocol: "ICMP" }] }),
  inService("a port name with commands in it", "refused", { ports: [{ name: hostile, port: 80, protocol: "TCP" }] }),
  inService("a NodePort too large", "answers", {
    type: "NodePort",
    ports: [{ port: 80, protocol: "TCP", nodePort: 70_000 }],
  }),
  inService("a negative NodePort", "answers", {
    type: "NodePort",
    ports: [{ port: 80, protocol: "TCP", nodePort: -1 }],
  }),
  inService("the NodePort of another Service", "answers", {
    type: "NodePort",
    ports: [{ port: 80, protocol: "TCP", nodePort: 30_900 }],
  }),
  inService("two ports with one NodePort", "answers", {
    type: "NodePort",
    ports: [
      { name: "", port: 80, protocol: "TCP", nodePort: 30_901 },
      { name: "b", port: 81, protocol: "TCP", nodePort: 30_901 },
    ],
  }),
  // Services: the rest.
  inService("an unknown type", "answers", { type: "Cluster" }),
  inService("ExternalName", "nothing", {
    type: "ExternalName",
    externalName: "bad.default.svc.cluster.local",
    clusterIP: "",
  }),
  inService("an external name that names itself", "nothing", {
    type: "ExternalName",
    externalName: "bad-31.default.svc",
    clusterIP: "",
  }),
  {
    name: "external names that name each other",
    gives: "nothing",
    objects: (n) =>
      ["a", "b", "c"].map((name, i, all) =>
        service(
          n,
          { type: "ExternalName", externalName: `round-${all[(i + 1) % 3]}.default.svc.cluster.local`, clusterIP: "" },
          { name: `round-${name}` },
        ),
      ),
  },
  named("a name of every legal character, from a digit on", "0123456789-abcdefghijklmnopqrstuvwxyz-9"),
  named("the longest name", `9${"a".repeat(61)}z`),
  named("a name that no Service can have", '../../etc/passwd\n"; } flush ruleset'),
  inService("port names of every legal character", "answers", {
    ports: [
      { name: "0-abcdefghijklmnopqrstuvwxyz-0123456789", port: 81, protocol: "TCP", targetPort: "x-1" },
      { name: "", port: 80, protocol: "TCP" },
    ],
  }),
  inService("an unknown policy", "answers", { internalTrafficPolicy: "Nearby", externalTrafficPolicy: "Moon" }),
  inService("an unknown affinity", "answers", { sessionAffinity: "Cookie" }),
  inService("affinity of no time", "answers", {
    sessionAffinity: "ClientIP",
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 0 } },
  }),
  inService("affinity of a negative time", "answers", {
    sessionAffinity: "ClientIP",
    sessionAffinityConfig: { clientIP: { timeoutSeconds: -5 } },
  }),
  inService("affinity for ever", "answers", {
    sessionAffinity: "ClientIP",
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 1e12 } },
  }),
  inService("affinity of a part of a second", "answers", {
    sessionAffinity: "ClientIP",
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 1.5 } },
  }),
  inService(
    "source ranges that are none",
    "answers",
    { type: "LoadBalancer", loadBalancerSourceRanges: [hostile, "10.0.0.0/33", ""] },
    lb("10.97.5.1"),
  ),
  inService(
    "source ranges within each other",
    "answers",
    { type: "LoadBalancer", loadBalancerSourceRanges: ["10.0.0.0/8", "10.42.0.0/16", "10.42.0.1/16"] },
    lb("10.97.5.2"),
  ),
  inService("a load-balancer address that is none", "answers", { type: "LoadBalancer" }, lb(hostile)),
  inService("a load-balancer address of loopback", "answers", { type: "LoadBalancer" }, lb("127.0.0.1")),
  inService(
    "a load-balancer address that is a cluster IP of another",
    "answers",
    { type: "LoadBalancer" },
    lb("10.96.4.1"),
  ),
  inService(
    "a health check port too large",
    "answers",
    { type: "LoadBalancer", externalTrafficPolicy: "Local", healthCheckNodePort: 99_999 },
    lb("10.97.5.3"),
  ),
  inService(
    "a label of another proxy with nothing in it",
    "nothing",
    {},
    { labels: { "service.kubernetes.io/service-proxy-name": "" } },
  ),
  {
    name: "a name with every character",
    gives: "answers",
    objects: (n) => [
      service(n, {}, { name: `b-${"x".repeat(58)}.${n}` }),
      slice(n, [good], {}, { labels: { "kubernetes.io/service-name": `b-${"x".repeat(58)}.${n}` } }),
    ],
  },
  {
    name: "a name with commands in it",
    gives: "answers",
    objects: (n) => [
      service(n, {}, { name: `${hostile}${n}` }),
      slice(n, [good], {}, { labels: { "kubernetes.io/service-name": `${hostile}${n}` } }),
    ],
  },
  // Slices.
  inSlice("endpoints that are absent", "refused", null),
  inSlice("an endpoint without an address", "refused", [{ ...good, addresses: [] }]),
  inSlice("an address that is none", "refused", [endpoint("pod-1"), endpoint("")]),
  inSlice("an address with commands in it", "refused", [endpoint(`10.42.2.2 } ; flush ruleset`)]),
  inSlice("an address of the other family", "refused", [endpoint("fd42:2::2")]),
  inSlice(
    "loopback, link-local, multicast and unspecified endpoints beside a sound one",
    "answers",
    ["127.0.0.1", "169.254.1.1", "224.0.0.1", "0.0.0.0", "10.42.2.2"].map((one) => endpoint(one)),
  ),
  inSlice("nothing but loopback", "refused", [endpoint("127.0.0.1"), endpoint("127.42.0.9")]),
  inSlice("nothing but link-local", "refused", [endpoint("169.254.169.254")]),
  inSlice("IPv6 of loopback and link-local", "refused", [endpoint("::1"), endpoint("fe80::1")], {
    addressType: "IPv6",
  }),
  {
    name: "one endpoint in many slices",
    gives: "answers",
    objects: (n) => [
      service(n),
      ...Array.from({ length: 20 }, (_, i) =>
        slice(n, [good], {}, { name: `bad-${n}-${i}`, labels: labelOf(`bad-${n}`) }),
      ),
    ],
  },
  inSlice(
    "one endpoint many times",
    "answers",
    Array.from({ length: 50 }, () => good),
  ),
  inSlice("an endpoint ready and not", "answers", [
    endpoint("10.42.2.2", { conditions: { ready: false, serving: false } }),
    good,
  ]),
  inSlice("conditions that are null", "answers", [{ ...good, conditions: null }]),
  inSlice("port 0 of endpoints", "refused", [good], { ports: [{ name: "", port: 0, protocol: "TCP" }] }),
  inSlice("a port of endpoints too large", "refused", [good], { ports: [{ name: "", port: 65_536 }] }),
  inSlice("no port of endpoints", "refused", [good], { ports: [{ name: "" }] }),
  inSlice("ports that are null", "refused", [good], { ports: null }),
  inSlice("one port twice", "answers", [good], {
    ports: [
      { name: "", port: 8080 },
      { name: "", port: 8080 },
    ],
  }),
  inSlice("an unknown address type", "refused", [good], { addressType: "IPX" }),
  inSlice("names in place of addresses", "refused", [endpoint("example.org")], { addressType: "FQDN" }),
  inSlice("a node name and a zone with commands in them", "answers", [
    endpoint("10.42.2.2", { nodeName: hostile, zone: hostile, hostname: hostile }),
  ]),
  inSlice("hints that are null and empty", "answers", [
    endpoint("10.42.2.2", { hints: { forZones: null, forNodes: [{}] } }),
  ]),
  inSlice(
    "a thousand endpoints, of which one is there",
    "answers",
    Array.from({ length: 1_000 }, (_, i) =>
      endpoint(`10.43.${Math.floor(i / 250)}.${(i % 250) + 1}`, { conditions: { ready: false } }),
    ).concat(good as never),
  ),
  {
    name: "a slice of a Service that does not exist",
    gives: "answers",
    objects: (n) => [
      service(n),
      slice(n),
      slice(n, [good], {}, { name: `bad-${n}-b`, labels: { "kubernetes.io/service-name": "nobody" } }),
    ],
  },
  {
    name: "a slice without the label",
    gives: "answers",
    objects: (n) => [service(n), slice(n), slice(n, [endpoint("10.43.0.1")], {}, { name: `bad-${n}-b`, labels: {} })],
  },
];
