import type { EndpointSlice, Ingress, IngressBackend, Node, Secret, Service } from "../../kube/index.ts";
import { poolOf, readKeyPair } from "../../routing/index.ts";
import type { Capabilities, Exposure, HttpBackend, HttpCertificate, HttpRule } from "./contract.ts";
import { annotationsFor, ownerKey, targetsOf } from "./exposure.ts";

/** Look-ups by `namespace/name`. */
export interface HttpObjects {
  service(key: string): Service | undefined;
  slices(key: string): readonly EndpointSlice[];
  secret(key: string): Secret | undefined;
}

/** An Ingress as a load balancer has to have it, and what of it cannot be: the rest is served. */
export interface HttpReading {
  readonly exposure: Exposure;
  readonly problems: readonly string[];
}

/** Services that an Ingress sends to, `namespace/name`. */
export function servicesOf({ metadata, spec }: Ingress): readonly string[] {
  const backends = [
    spec.defaultBackend,
    ...(spec.rules ?? []).flatMap(({ http }) => http?.paths.map((one) => one.backend)),
  ];
  const names = backends.flatMap((one) => one?.service?.name ?? []);
  return [...new Set(names)].map((name) => `${metadata.namespace ?? ""}/${name}`);
}

/** Secrets that an Ingress serves TLS with, `namespace/name`. */
export function secretsOf({ metadata, spec }: Ingress): readonly string[] {
  return (spec.tls ?? []).flatMap(({ secretName }) =>
    secretName ? [`${metadata.namespace ?? ""}/${secretName}`] : [],
  );
}

/** Pure. */
export function httpExposureOf(
  cluster: string,
  ingress: Ingress,
  objects: HttpObjects,
  nodes: readonly Node[],
  can: Capabilities,
): HttpReading {
  const { spec, metadata } = ingress;
  const namespace = metadata.namespace ?? "";
  const problems: string[] = [];

  function backendOf(backend: IngressBackend | undefined, field: string): HttpBackend | undefined {
    if (!backend?.service) {
      if (backend) problems.push(`${field}.resource is not supported; name a Service`);
      return undefined;
    }
    const { name, port } = backend.service;
    const key = `${namespace}/${name}`;
    const service = objects.service(key);
    const { pool, absence } = poolOf({ namespace, service: name, port }, service, objects.slices(key));
    const found = service?.spec.ports?.find((one) =>
      port?.name === undefined ? one.port === port?.number : one.name === port.name,
    );
    if (absence || !service || !found) {
      problems.push(`${field}.service: ${pool.absent ?? "it has no such port"}; the rule is left out`);
      return undefined;
    }
    const { targetPort } = found;
    return {
      namespace,
      service: name,
      uid: service.metadata.uid ?? "",
      port: found.port,
      targetPort: typeof targetPort === "number" ? targetPort : (pool.endpoints[0]?.port ?? found.port),
      ...(found.nodePort ? { nodePort: found.nodePort } : {}),
      endpoints: can.http?.endpoints
        ? pool.endpoints.map(({ address, port: number }) => ({ address, port: number })).sort(byAddress)
        : [],
    };
  }

  const fallback = backendOf(spec.defaultBackend, "spec.defaultBackend");
  const rules = (spec.rules ?? []).flatMap(({ host = "", http }, i) =>
    (http?.paths ?? []).flatMap(({ path = "/", pathType, backend }, j): HttpRule[] => {
      const found = backendOf(backend, `spec.rules[${i}].http.paths[${j}].backend`);
      return found
        ? [{ host, path: path || "/", match: pathType === "Exact" ? "Exact" : "Prefix", backend: found }]
        : [];
    }),
  );
  const certificates = (spec.tls ?? []).flatMap(({ secretName, hosts = [] }, i): HttpCertificate[] => {
    if (!secretName) {
      problems.push(`spec.tls[${i}].secretName is missing; name a Secret`);
      return [];
    }
    const secret = objects.secret(`${namespace}/${secretName}`);
    const pair = secret && readKeyPair(secret);
    if (typeof pair === "string") {
      problems.push(`spec.tls[${i}]: Secret ${namespace}/${secretName} ${pair}; it is left out`);
      return [];
    }
    return [{ name: secretName, hosts: [...hosts], ...(pair ? { pair } : {}) }];
  });
  const exposure: Exposure = {
    key: ownerKey(cluster, ingress),
    families: can.families.slice(0, 1),
    ports: [
      { name: "http", protocol: "TCP", port: 80 },
      ...(certificates.length > 0 ? [{ name: "https", protocol: "TCP" as const, port: 443 }] : []),
    ],
    targets: targetsOf(nodes, can.families.slice(0, 1)),
    sourceRanges: [],
    sessionAffinity: "None",
    annotations: annotationsFor(ingress, can),
    http: { rules: rules.sort(byPrecedence), ...(fallback ? { fallback } : {}), certificates },
  };
  return { exposure, problems };
}

/** Exact hosts, then wildcards, then any; of one host the longer path, and of equal ones Exact first (Ingress API). */
function byPrecedence(a: HttpRule, b: HttpRule): number {
  const rank = ({ host }: HttpRule) => (host === "" ? 2 : host.startsWith("*") ? 1 : 0);
  return (
    rank(a) - rank(b) ||
    b.host.length - a.host.length ||
    (a.host < b.host ? -1 : a.host > b.host ? 1 : 0) ||
    b.path.length - a.path.length ||
    (a.match === b.match ? (a.path < b.path ? -1 : a.path > b.path ? 1 : 0) : a.match === "Exact" ? -1 : 1)
  );
}

function byAddress(a: { address: string; port: number }, b: { address: string; port: number }): number {
  return a.address < b.address ? -1 : a.address > b.address ? 1 : a.port - b.port;
}
