import { expect, it } from "vitest";
import type { EndpointSlice, KubeObject } from "../kube/index.ts";
import { assumeObjects } from "./assume.ts";
import { createCluster } from "./cluster.ts";
import { examine } from "./doctor/doctor.ts";
import { factsOf } from "./doctor/facts.ts";
import { gatewayExposures } from "./gateway-exposures.ts";
import { gatewayRouting, gatewaysWith, gatewayWith, noGateways, routingOfGateway } from "./gateways.ts";
import { traceRequest } from "./request/request-trace.ts";
import { parseSubject, tell } from "./story/story.ts";

const controllerName = "example.com/us";
const api = "gateway.networking.k8s.io/v1";
const object = (apiVersion: string, kind: string, name: string, spec: object, status: object = {}): KubeObject =>
  ({ apiVersion, kind, metadata: { namespace: "shop", name }, spec, status }) as KubeObject;
const gateway = (name: string, spec: object, addresses: string[] = []) =>
  object(
    api,
    "Gateway",
    name,
    { gatewayClassName: "ours", ...spec },
    { addresses: addresses.map((value) => ({ type: "IPAddress", value })) },
  );
const http = { name: "http", port: 80, protocol: "HTTP", allowedRoutes: { namespaces: { from: "Same" } } };
const route = (name: string, to: string, rest: object = {}) =>
  object(api, "HTTPRoute", name, {
    parentRefs: [{ name: "edge" }],
    hostnames: [`${name}.example`],
    rules: [{ matches: [{ path: { type: "PathPrefix", value: "/x" } }], backendRefs: [{ name: to, port: 80 }] }],
    ...rest,
  });
const service = (name: string) => object("v1", "Service", name, { clusterIP: "10.96.0.7", ports: [{ port: 80 }] });
const slice: EndpointSlice = {
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { namespace: "shop", name: "web-1", labels: { "kubernetes.io/service-name": "web" } },
  addressType: "IPv4",
  ports: [{ name: "", port: 8080, protocol: "TCP" }],
  endpoints: [{ addresses: ["10.42.0.2"], conditions: { ready: true } }],
};
const cluster = createCluster(assumeObjects([service("web"), service("empty"), slice], { controllerName }).objects, {
  clusterDomain: "cluster.local",
  podCidrs: [],
  serviceCidrs: [],
});
function read(...objects: KubeObject[]) {
  const gatewayClass = object(api, "GatewayClass", "ours", { controllerName });
  const all = gatewaysWith(noGateways, [gatewayClass, ...objects]);
  const options = { controllerName, inspect: () => undefined, inspectAuthorities: () => undefined };
  return { objects: all, meaning: gatewayRouting(cluster, all, options) };
}
const rows = (...objects: KubeObject[]) => gatewayExposures(read(...objects));

it("tells where a Gateway and its routes answer, and how many endpoints are ready", () => {
  const edge = gateway("edge", { listeners: [http, { ...http, name: "tcp", port: 5432, protocol: "TCP" }] }, [
    "192.0.2.9",
    "2001:db8::9",
  ]);
  const stream = object(api, "TCPRoute", "db", {
    parentRefs: [{ name: "edge" }],
    rules: [{ backendRefs: [{ name: "web", port: 80 }] }],
  });
  expect(rows(edge, route("site", "web"), stream)).toEqual([
    {
      namespace: "shop",
      kind: "Gateway",
      name: "edge",
      way: "Gateway",
      addresses: ["192.0.2.9:80/TCP", "192.0.2.9:5432/TCP", "[2001:db8::9]:80/TCP", "[2001:db8::9]:5432/TCP"],
      names: [],
    },
    {
      namespace: "shop",
      kind: "HTTPRoute",
      name: "site",
      way: "HTTPRoute",
      addresses: ["http://site.example/x"],
      names: ["site.example"],
      endpoints: { ready: 1, total: 1 },
    },
    {
      namespace: "shop",
      kind: "TCPRoute",
      name: "db",
      way: "TCPRoute",
      addresses: ["192.0.2.9:5432/TCP", "[2001:db8::9]:5432/TCP"],
      names: [],
      endpoints: { ready: 1, total: 1 },
    },
  ]);
});

it("gives the first cause why not", () => {
  const tls = { certificateRefs: [{ name: "missing" }] };
  const found = rows(
    gateway("edge", { listeners: [http] }),
    gateway("foreign", { gatewayClassName: "theirs", listeners: [http] }),
    gateway("bare", { listeners: [{ ...http, port: 443, protocol: "HTTPS", tls }] }, ["192.0.2.9"]),
    route("idle", "empty"),
    route("lost", "none"),
    route("elsewhere", "web", { parentRefs: [{ name: "edge", sectionName: "no-such" }] }),
  );
  const reasons = found.flatMap(({ kind, name, reason }) => (reason ? [`${kind} ${name}: ${reason}`] : []));
  expect(reasons).toEqual([
    "Gateway edge: it has no address yet",
    'Gateway foreign: class "theirs" is served by another controller',
    expect.stringMatching(/^Gateway bare: spec\.listeners\[0\].*missing/),
    "HTTPRoute idle: Service empty has no ready endpoint: its own row says why",
    expect.stringMatching(/^HTTPRoute elsewhere: at edge: .*no-such/),
    expect.stringMatching(/^HTTPRoute lost: at edge: .*none/),
  ]);
});

it("traces a request by one Gateway, found by its address", () => {
  const two = ["edge", "other"].map((name, i) => gateway(name, { listeners: [http] }, [`192.0.2.${i}`]));
  const { meaning } = read(...two, route("site", "web"));
  expect(gatewayWith(meaning, "192.0.2.0")).toBe("shop/edge");
  expect(gatewayWith(meaning, "192.0.2.7")).toBeUndefined();
  const verdict = (key: string): string => {
    const found = routingOfGateway(meaning, key);
    if (!found) return "no Gateway";
    const question = { method: "GET", url: new URL("http://site.example/x/y"), headers: {} };
    return traceRequest(found.routing, question).verdict;
  };
  expect(["shop/edge", "shop/other", "shop/none"].map(verdict)).toEqual(["forward", "refuse", "no Gateway"]);
});

const ports = { http: 80, https: 443 };
const options = { controllerName, inspect: () => undefined, frontends: [], nodes: [], now: 0, ports };
const told = { ...options, clusterDomain: "cluster.local" };

it("doctor tells what is wrong with Gateways and routes, and of classes that there are not", () => {
  const older = {
    ...route("site", "web"),
    metadata: { namespace: "shop", name: "site", creationTimestamp: "2026-01-01T00:00:00Z" },
  };
  const shadowed = {
    ...route("site", "empty"),
    metadata: { namespace: "shop", name: "twin", creationTimestamp: "2026-02-01T00:00:00Z" },
  };
  const gateways = read(
    gateway("edge", { listeners: [http] }, ["192.0.2.9"]),
    gateway("typo", { gatewayClassName: "our", listeners: [http] }),
    route("lost", "none"),
    older,
    shadowed,
  );
  const findings = examine(factsOf(cluster, { ...options, gateways })).filter(({ check }) =>
    check.startsWith("gateway"),
  );
  expect(findings.map(({ severity, object, remedy }) => [severity, object, remedy])).toEqual([
    ["error", "Gateway shop/typo", "did you mean ours"],
    ["error", "HTTPRoute shop/lost", "bring what it names, or a ReferenceGrant for it"],
    ["warning", "HTTPRoute shop/twin", "take one of the two away, or tell them apart"],
  ]);
});

it("explain tells the way of a Gateway and of a route", () => {
  const gateways = read(gateway("edge", { listeners: [http] }, ["192.0.2.9"]), route("site", "web"));
  const story = (subject: string) =>
    tell(factsOf(cluster, { ...options, gateways }), parseSubject(subject, "shop"), told);
  const linesOf = (subject: string) =>
    Object.fromEntries(story(subject).chapters.map(({ title, lines }) => [title, lines]));
  expect(linesOf("gateway/edge")).toEqual({
    class: ["ours: served by Fairlead"],
    addresses: ["192.0.2.9"],
    listeners: ["http: HTTP 80, any host: 1 route"],
    routes: ["HTTPRoute shop/site"],
  });
  expect(linesOf("httproute/site")).toMatchObject({
    addresses: ["http://site.example/x"],
    routes: [
      "site.example Prefix /x -> Service shop/web port 80",
      "    1 of 1 endpoints ready; spec.rules[0].matches[0]",
    ],
  });
  expect(() => story("httproute/none")).toThrow("HTTPRoute shop/none");
});
