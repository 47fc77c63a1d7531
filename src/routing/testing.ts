// Objects for the tests of this room.
import type { EndpointSlice, Ingress, IngressClass, IngressSpec, Secret, Service } from "../kube/index.ts";
import { translateIngresses, type Translation } from "./ingress.ts";
import { match, poolsOf } from "./match.ts";

export const controllerName = "example.test/ours";

export function ingressClass(
  name: string,
  more: { controller?: string; isDefault?: boolean; created?: string } = {},
): IngressClass {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "IngressClass",
    metadata: {
      name,
      creationTimestamp: more.created ?? "2030-01-01T00:00:00Z",
      annotations: more.isDefault ? { "ingressclass.kubernetes.io/is-default-class": "true" } : {},
    },
    spec: { controller: more.controller ?? controllerName },
  };
}

export function ingress(
  name: string,
  spec: IngressSpec,
  more: { created?: string; annotations?: Record<string, string>; classless?: boolean } = {},
): Ingress {
  const { created = "2030-01-01T00:00:00Z", annotations = {} } = more;
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: { name, namespace: "ns", creationTimestamp: created, annotations },
    spec: more.classless ? spec : { ingressClassName: "ours", ...spec },
  };
}

export const to = (service: string, port: { number?: number; name?: string } = { number: 80 }) => ({
  service: { name: service, port },
});

export type PathRule = [type: string, path: string | undefined, service: string];

export function rule(host: string | undefined, ...paths: PathRule[]) {
  return {
    ...(host === undefined ? {} : { host }),
    http: {
      paths: paths.map(([pathType, path, service]) => ({
        pathType,
        ...(path === undefined ? {} : { path }),
        backend: to(service),
      })),
    },
  };
}

export function service(
  name: string,
  ports: object[] = [{ name: "http", port: 80, targetPort: 8080 }],
  more: object = {},
): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "ns" },
    spec: { ports, ...more },
  } as Service;
}

export function slice(
  of: string,
  endpoints: object[],
  ports: object[] = [{ name: "http", port: 8080 }],
): EndpointSlice {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `${of}-1`, namespace: "ns", labels: { "kubernetes.io/service-name": of } },
    addressType: "IPv4",
    ports,
    endpoints,
  } as EndpointSlice;
}

export interface World {
  classes?: IngressClass[];
  services?: Service[];
  slices?: EndpointSlice[];
  secrets?: Secret[];
}

const everyService = ["a", "b", "c", "d"].map((name) => service(name));

export function translate(ingresses: Ingress[], world: World = {}): Translation {
  const { classes = [ingressClass("ours")], services = everyService, slices = [], secrets = [] } = world;
  const key = (object: { metadata: { namespace?: string; name: string } }) =>
    `${object.metadata.namespace}/${object.metadata.name}`;
  return translateIngresses({
    ingresses,
    classes,
    service: (wanted) => services.find((each) => key(each) === wanted),
    slices: (wanted) =>
      slices.filter((each) => `ns/${each.metadata.labels?.["kubernetes.io/service-name"]}` === wanted),
    secret: (wanted) => secrets.find((each) => key(each) === wanted),
    inspect: (_certificate, keyText) => (keyText === "bad" ? "has a bad key" : undefined),
    controllerName,
    ports: { http: 80, https: 443 },
  });
}

/** Name of the Service that a request reaches; `undefined` for 404. */
export function reached(translation: Translation, host: string, path: string): string | undefined {
  const found = match(translation.model, { host, path });
  return found.outcome === "route" ? poolsOf(translation.model, found.route)[0]?.pool.service.name : undefined;
}

/** Numbers from 0 to 1 that are the same in every run (mulberry32). */
export function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A value without maps: what they hold comes in the order of the keys. */
export function plain(value: unknown): unknown {
  if (value instanceof Map) return [...value].map(([key, each]) => [key, plain(each)]).sort(byText);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
}

function byText(a: unknown, b: unknown): number {
  const [left, right] = [String((a as [unknown])[0]), String((b as [unknown])[0])];
  return left < right ? -1 : left > right ? 1 : 0;
}
