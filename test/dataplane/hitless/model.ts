// The routes of the hitless test, as Ingresses.
import type { EndpointSlice, Ingress, IngressClass, Secret, Service } from "../../../src/kube/index.ts";
import {
  type Listener,
  type Pool,
  type RoutingModel,
  translateIngresses,
  type TranslationMemory,
} from "../../../src/routing/index.ts";
import type { Backends } from "./backends.ts";

const namespace = "shop";
const controllerName = "example.test/hitless";

const ingressClass: IngressClass = {
  apiVersion: "networking.k8s.io/v1",
  kind: "IngressClass",
  metadata: { name: "ours" },
  spec: { controller: controllerName },
};

export interface Wish {
  /** Names of the backends that are ready. */
  readonly ready: readonly string[];
  /** Paths below `/route/` that there are. */
  readonly routes: readonly string[];
  /** Version of the certificate. */
  readonly certificate: number;
  /** Another port, or none. */
  readonly extraPort?: number;
}

export interface Fixed {
  readonly backends: Backends;
  readonly ports: { readonly http: number; readonly https: number };
  /** Routes that are always there, of hosts that nobody asks for. */
  readonly others: readonly Ingress[];
  readonly memory: TranslationMemory;
}

const serviceOf = (name: string, appProtocol?: string): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, namespace },
  spec: { ports: [{ name: "p", port: 80, protocol: "TCP", ...(appProtocol === undefined ? {} : { appProtocol }) }] },
});
const services = new Map([
  [`${namespace}/web`, serviceOf("web")],
  [`${namespace}/ws`, serviceOf("ws")],
  [`${namespace}/grpc`, serviceOf("grpc", "kubernetes.io/h2c")],
]);

const sliceOf = (port: number): EndpointSlice => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name: `s-${port}`, namespace },
  addressType: "IPv4",
  ports: [{ name: "p", port, protocol: "TCP" }],
  endpoints: [{ addresses: ["127.0.0.1"], conditions: { ready: true } }],
});

const ingressOf = (
  name: string,
  host: string,
  paths: readonly (readonly [path: string, service: string])[],
  tls = false,
): Ingress => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "Ingress",
  metadata: { name, namespace, creationTimestamp: "2030-01-01T00:00:00Z" },
  spec: {
    ingressClassName: "ours",
    ...(tls ? { tls: [{ hosts: [host], secretName: "cert" }] } : {}),
    rules: [
      {
        host,
        http: {
          paths: paths.map(([path, name]) => ({
            path,
            pathType: "Prefix",
            backend: { service: { name, port: { number: 80 } } },
          })),
        },
      },
    ],
  },
});

export function otherRoutes(count: number): Ingress[] {
  return Array.from({ length: count }, (_, index) => ingressOf(`other-${index}`, `h${index}.test`, [["/", "web"]]));
}

const main = ingressOf(
  "main",
  "shop.test",
  [
    ["/", "web"],
    ["/ws", "ws"],
    ["/grpc.Echo", "grpc"],
  ],
  true,
);

export function modelOf(wish: Wish, { backends, ports, others, memory }: Fixed): RoutingModel {
  const slices = (key: string): EndpointSlice[] => {
    if (key === `${namespace}/ws`) return [sliceOf(backends.echo)];
    if (key === `${namespace}/grpc`) return [sliceOf(backends.grpc)];
    return wish.ready.flatMap((name) => {
      const port = backends.web.get(name);
      return port === undefined ? [] : [sliceOf(port)];
    });
  };
  const secret: Secret = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "cert", namespace, resourceVersion: String(wish.certificate) },
    type: "kubernetes.io/tls",
    data: { "tls.crt": "AA==", "tls.key": "AA==" },
  };
  const routes = wish.routes.map((name) => ingressOf(`route-${name}`, "shop.test", [[`/route/${name}`, "web"]]));
  const { model } = translateIngresses({
    ingresses: [main, ...others, ...routes],
    classes: [ingressClass],
    service: (key) => services.get(key),
    slices,
    secret: () => secret,
    inspect: () => undefined,
    controllerName,
    ports: { http: 80, https: 443 },
    bindPorts: ports,
    memory,
  });
  const [first] = model.listeners;
  const extra: Listener[] =
    first && wish.extraPort !== undefined ? [{ ...first, name: "extra", port: 8080, bindPort: wish.extraPort }] : [];
  return { ...model, listeners: [...model.listeners, ...extra] };
}

/** The pool of the Service whose endpoints change. */
export function webPool({ pools }: RoutingModel): Pool {
  for (const pool of pools.values()) if (pool.service.name === "web") return pool;
  throw new Error("there is no pool of the Service web");
}
