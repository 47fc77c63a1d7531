// Objects for the tests of this folder.
import type { ConfigMap, EndpointSlice, Secret, Service } from "../../kube/index.ts";
import { match, poolsOf, type RoutingRequest } from "../match.ts";
import { type GatewayInput, type GatewayTranslation, translateGateways } from "./translate.ts";
import type { Gateway, GatewayClass, HTTPRoute, ListenerSet, ListenerSpec, RouteKindName } from "./types.ts";

export const controllerName = "example.test/gateway";

const meta = (name: string, namespace: string, created = "2030-01-01T00:00:00Z") => ({
  name,
  namespace,
  uid: `${namespace}-${name}`,
  generation: 1,
  creationTimestamp: created,
});

export const gatewayClass: GatewayClass = {
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "GatewayClass",
  metadata: { name: "ours" },
  spec: { controllerName },
};

export const http = (name: string, more: Partial<ListenerSpec> = {}): ListenerSpec => ({
  name,
  port: 80,
  protocol: "HTTP",
  ...more,
});

export function gateway(listeners: readonly ListenerSpec[], more: Partial<Gateway["spec"]> = {}): Gateway {
  return {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "Gateway",
    metadata: meta("gw", "ns"),
    spec: { gatewayClassName: "ours", listeners, ...more },
  };
}

export function listenerSet(name: string, listeners: readonly ListenerSpec[], created?: string): ListenerSet {
  return {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "ListenerSet",
    metadata: meta(name, "ns", created),
    spec: { parentRef: { name: "gw" }, listeners },
  };
}

export function route(
  name: string,
  spec: HTTPRoute["spec"],
  more: { kind?: RouteKindName; namespace?: string; created?: string } = {},
): HTTPRoute {
  const { kind = "HTTPRoute", namespace = "ns", created } = more;
  return {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind,
    metadata: meta(name, namespace, created),
    spec: { parentRefs: [{ name: "gw", namespace: "ns" }], ...spec },
  };
}

export const to = (name: string, more: object = {}) => ({ backendRefs: [{ name, port: 80, ...more }] });

export function service(name: string, namespace = "ns", port: object = {}): Service {
  const ports = [{ name: "http", port: 80, ...port }];
  return { apiVersion: "v1", kind: "Service", metadata: { name, namespace }, spec: { ports } };
}

function slice(name: string): EndpointSlice {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `${name}-1`, namespace: "ns" },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080 }],
    endpoints: [{ addresses: ["10.0.0.1"], conditions: { ready: true } }],
  };
}

export interface World extends Partial<GatewayInput> {
  readonly services?: readonly Service[];
  readonly secrets?: readonly Secret[];
  readonly configMaps?: readonly ConfigMap[];
}

const key = (object: { metadata: { namespace?: string; name: string } }) =>
  `${object.metadata.namespace}/${object.metadata.name}`;

export function translate(world: World): GatewayTranslation {
  const { services = ["a", "b", "c"].map((name) => service(name)), secrets = [], configMaps = [], ...rest } = world;
  return translateGateways({
    controllerName,
    classes: [gatewayClass],
    gateways: [gateway([http("http")])],
    listenerSets: [],
    httpRoutes: [],
    grpcRoutes: [],
    tlsRoutes: [],
    tcpRoutes: [],
    udpRoutes: [],
    grants: [],
    policies: [],
    namespaceLabels: (name) => ({ "kubernetes.io/metadata.name": name }),
    service: (wanted) => services.find((each) => key(each) === wanted),
    slices: (wanted) => [slice(wanted.split("/")[1] ?? "")],
    secret: (wanted) => secrets.find((each) => key(each) === wanted),
    configMap: (wanted) => configMaps.find((each) => key(each) === wanted),
    inspect: () => undefined,
    inspectAuthorities: (pem) => (pem === "" ? "is empty" : undefined),
    namesOf: () => [],
    protocols: new Set(["HTTP", "HTTPS", "TLS", "TCP", "UDP"]),
    mixedTls: true,
    bindPort: (_gateway, _transport, port) => 15_000 + port,
    ...rest,
  });
}

/** Name of the Service that a request reaches, or its outcome. */
export function reached(translation: GatewayTranslation, request: Partial<RoutingRequest>): string | undefined {
  const found = match(translation.model, { host: "x.test", path: "/", ...request });
  if (found.outcome !== "route") return found.outcome;
  return poolsOf(translation.model, found.route)[0]?.pool.service.name;
}
