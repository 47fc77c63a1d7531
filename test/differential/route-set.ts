// Route sets: Ingresses on one listener, a Gateway's HTTPRoutes on two others, as the routing room reads them.
import type { EndpointSlice, Ingress, IngressClass, Secret, Service } from "../../src/kube/index.ts";
import {
  type GatewayInput,
  type HttpMatchSpec,
  type RouteFilterSpec,
  type RouteRuleSpec,
  type RoutingModel,
  translateGateways,
  translateIngresses,
  type TranslationMemory,
} from "../../src/routing/index.ts";
import type { Random } from "./random.ts";

const controllerName = "example.test/differential";
const namespace = "ns";
const created = (index: number): string => new Date(Date.UTC(2030, 0, 1, 0, 0, index)).toISOString();

const ruleHosts = [undefined, "a.test", "b.a.test", "c.b.a.test", "*.a.test", "*.test", "x-y.test"] as const;
const objectSegments = [
  "a",
  "b",
  "ab",
  "a.b",
  "~",
  "a%20b",
  "a%2fb",
  "%61",
  "A",
  "a;b",
  "a+b",
  "é",
  "a=b,c@d",
] as const;
const expressions = ["/a.*", "/[ab]+", "/(a|b)/.*", "/a(/.*)?", "/.*b"] as const;

function path(random: Random, most = 3): string {
  const parts = Array.from({ length: random.below(most + 1) }, () => random.pick(objectSegments));
  return `/${parts.join("/")}${parts.length > 0 && random.chance(0.15) ? "/" : ""}`;
}

function service(name: string): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace },
    spec: { ports: [{ name: "http", port: 80, protocol: "TCP" }] },
  };
}

/** `endpoints` has the port of each Service's endpoint, by the Service's name: those of other names do not exist. */
export function makeRouteSet(
  random: Random,
  endpoints: ReadonlyMap<string, number>,
  certificate: { readonly "tls.crt": string; readonly "tls.key": string },
  memory?: TranslationMemory,
): RoutingModel {
  const names = [...endpoints.keys()] as [string, ...string[]];
  const target = (): string => (random.chance(0.04) ? "missing" : random.pick(names));
  const lookUps = {
    service: (key: string) => {
      const name = key.slice(namespace.length + 1);
      return endpoints.has(name) ? service(name) : undefined;
    },
    slices: (key: string): EndpointSlice[] => {
      const port = endpoints.get(key.slice(namespace.length + 1));
      if (port === undefined) return [];
      return [
        {
          apiVersion: "discovery.k8s.io/v1",
          kind: "EndpointSlice",
          metadata: { name: "s", namespace },
          addressType: "IPv4",
          ports: [{ name: "http", port, protocol: "TCP" }],
          // Port 1 of a Service without an endpoint.
          endpoints: port === 1 ? [] : [{ addresses: ["127.0.0.1"], conditions: { ready: true } }],
        },
      ];
    },
    secret: (key: string): Secret | undefined =>
      key === `${namespace}/cert`
        ? {
            apiVersion: "v1",
            kind: "Secret",
            metadata: { name: "cert", namespace, resourceVersion: "1" },
            type: "kubernetes.io/tls",
            data: Object.fromEntries(
              Object.entries(certificate).map(([k, v]) => [k, Buffer.from(v).toString("base64")]),
            ),
          }
        : undefined,
    inspect: () => undefined,
  };
  const ingresses = translateIngresses({
    ...lookUps,
    ingresses: Array.from({ length: 1 + random.below(5) }, (_, index) => ingress(random, index, target)),
    classes: [ingressClass],
    controllerName,
    ports: { http: 80, https: 443 },
    ...(memory ? { memory } : {}),
  });
  const gateways = translateGateways({ ...lookUps, ...gatewayWorld, ...gatewayObjects(random, target) });
  return {
    listeners: [
      ...ingresses.model.listeners.filter(({ protocol }) => protocol === "HTTP"),
      ...gateways.model.listeners,
    ],
    pools: new Map([...ingresses.model.pools, ...gateways.model.pools]),
  };
}

const ingressClass: IngressClass = {
  apiVersion: "networking.k8s.io/v1",
  kind: "IngressClass",
  metadata: { name: "ours" },
  spec: { controller: controllerName },
};

function ingress(random: Random, index: number, target: () => string): Ingress {
  const backend = () => ({ service: { name: target(), port: { number: 80 } } });
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: { name: `i${index}`, namespace, creationTimestamp: created(index) },
    spec: {
      ingressClassName: "ours",
      ...(random.chance(0.15) ? { defaultBackend: backend() } : {}),
      rules: Array.from({ length: 1 + random.below(3) }, () => {
        const host = random.pick(ruleHosts);
        return {
          ...(host === undefined ? {} : { host }),
          http: {
            paths: Array.from({ length: 1 + random.below(4) }, () => ({
              path: path(random),
              pathType: random.pick(["Prefix", "Prefix", "Exact", "ImplementationSpecific"]),
              backend: backend(),
            })),
          },
        };
      }),
    },
  };
}

const gatewayWorld: Omit<GatewayInput, "service" | "slices" | "secret" | "inspect" | "gateways" | "httpRoutes"> = {
  controllerName,
  classes: [
    {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "GatewayClass",
      metadata: { name: "ours" },
      spec: { controllerName },
    },
  ],
  listenerSets: [],
  grpcRoutes: [],
  tlsRoutes: [],
  tcpRoutes: [],
  udpRoutes: [],
  grants: [],
  policies: [],
  namespaceLabels: () => ({}),
  configMap: () => undefined,
  inspectAuthorities: () => undefined,
  namesOf: () => [],
  protocols: new Set(["HTTP", "HTTPS"]),
  mixedTls: false,
  bindPort: (_gateway, _transport, port) => port,
};

function gatewayObjects(random: Random, target: () => string): Pick<GatewayInput, "gateways" | "httpRoutes"> {
  const certificateRefs = [{ name: "cert" }];
  const listener = (name: string, port: number, hostname?: string) => ({
    name,
    port,
    protocol: port === 8080 ? "HTTP" : "HTTPS",
    ...(hostname === undefined ? {} : { hostname }),
    ...(port === 8080 ? {} : { tls: { mode: "Terminate" as const, certificateRefs } }),
  });
  const listeners = [
    listener("any", 8080, random.chance(0.6) ? undefined : "*.test"),
    ...(random.chance(0.5) ? [listener("one", 8080, "b.a.test")] : []),
    ...(random.chance(0.4) ? [listener("wild", 8080, "*.a.test")] : []),
    listener("secure-a", 443, "a.test"),
    listener("secure-wild", 443, random.chance(0.5) ? "*.a.test" : "*.test"),
  ];
  return {
    gateways: [
      {
        apiVersion: "gateway.networking.k8s.io/v1",
        kind: "Gateway",
        metadata: { name: "gw", namespace, uid: "gw", generation: 1, creationTimestamp: created(0) },
        spec: { gatewayClassName: "ours", listeners },
      },
    ],
    httpRoutes: Array.from({ length: 1 + random.below(6) }, (_, index) => ({
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute" as const,
      metadata: { name: `r${index}`, namespace, uid: `r${index}`, generation: 1, creationTimestamp: created(index) },
      spec: {
        parentRefs: [{ name: "gw" }],
        ...(random.chance(0.7)
          ? { hostnames: [random.pick(ruleHosts) ?? "a.test", "x-y.test"].slice(0, 1 + random.below(2)) }
          : {}),
        rules: Array.from({ length: 1 + random.below(3) }, () => httpRule(random, target)),
      },
    })),
  };
}

function httpRule(random: Random, target: () => string): RouteRuleSpec<HttpMatchSpec> {
  const type = random.pick(["PathPrefix", "PathPrefix", "Exact", "RegularExpression"]);
  const matches = Array.from({ length: random.below(3) }, () => ({
    path:
      type === "RegularExpression"
        ? { type, value: random.pick(expressions) }
        : { type, value: path(random).replaceAll(/[^A-Za-z0-9/._~;+=,@-]/g, "") },
    ...(random.chance(0.25) ? { method: random.pick(["GET", "POST", "OPTIONS"]) } : {}),
    ...(random.chance(0.25)
      ? {
          headers: [
            {
              name: random.pick(["X-Pick", "x-other"]),
              ...(random.chance(0.2)
                ? { type: "RegularExpression", value: random.pick(["[12]", "1.*", "a|b"]) }
                : { type: "Exact", value: random.pick(["1", "2", "1, 2"]) }),
            },
          ],
        }
      : {}),
    ...(random.chance(0.25)
      ? { queryParams: [{ type: "Exact", name: random.pick(["q", "a b"]), value: random.pick(["1", "x y", ""]) }] }
      : {}),
  }));
  const filters: readonly RouteFilterSpec[] = random.chance(0.12)
    ? [
        {
          type: "RequestRedirect",
          requestRedirect: {
            statusCode: random.pick([301, 302, 308]),
            ...(random.chance(0.5) ? { scheme: random.pick(["http", "https"]) } : {}),
            ...(random.chance(0.5) ? { hostname: "other.test" } : {}),
            ...(random.chance(0.4) ? { port: random.pick([80, 443, 8080]) } : {}),
          },
        },
      ]
    : random.chance(0.15)
      ? [
          {
            type: "URLRewrite",
            urlRewrite: {
              ...(random.chance(0.4) ? { hostname: "inner.test" } : {}),
              path:
                type === "PathPrefix" && random.chance(0.7)
                  ? { type: "ReplacePrefixMatch", replacePrefixMatch: random.pick(["/", "/new", "/new/", "/n/m"]) }
                  : { type: "ReplaceFullPath", replaceFullPath: random.pick(["/full", "/"]) },
            },
          },
        ]
      : [];
  const redirected = filters[0]?.type === "RequestRedirect";
  return {
    ...(matches.length > 0 ? { matches } : {}),
    ...(filters.length > 0 ? { filters } : {}),
    ...(redirected ? {} : { backendRefs: [{ name: target(), port: 80 }] }),
  };
}
