import type { Ingress, Service } from "../kube/index.ts";
import { keyOf } from "../kube/index.ts";
import {
  certificatesOf,
  type InspectKeyPair,
  type Pool,
  type Problem,
  type Route,
  routesOf,
  translateIngresses,
} from "../routing/index.ts";
import type { ClusterObjects, Exposure } from "./exposure.ts";
import { slicesByService } from "./slices.ts";

export interface IngressOptions {
  /** `spec.controller` of the IngressClasses that Fairlead serves. */
  readonly controllerName: string;
  /** Ports that the data plane listens on. */
  readonly ports: { readonly http: number; readonly https: number };
  readonly inspect: InspectKeyPair;
}

/** What each Ingress exposes: a row for each path, as the routing model has it; problems become reasons. */
export function ingressExposures(objects: ClusterObjects, options: IngressOptions): Exposure[] {
  const byKey = <T extends { metadata: { namespace?: string; name?: string } }>(items: readonly T[]) =>
    new Map(items.map((item) => [keyOf(item), item]));
  const services: Map<string, Service> = byKey(objects.services);
  const secrets = byKey(objects.secrets);
  const slices = slicesByService(objects.slices);
  const { model, problems, served } = translateIngresses({
    ingresses: objects.ingresses,
    classes: objects.classes,
    service: (key) => services.get(key),
    slices: (key) => slices.get(key) ?? [],
    secret: (key) => secrets.get(key),
    inspect: options.inspect,
    controllerName: options.controllerName,
    // Whoever serves them: what they mean is the same.
    nginx: { controllers: ["fairlead.dev/ingress-nginx", "k8s.io/ingress-nginx"], options: {} },
    ports: options.ports,
  });
  const routes = model.listeners.filter(({ protocol }) => protocol === "HTTP").flatMap((l) => [...routesOf(l)]);
  const secured = new Set(model.listeners.flatMap((l) => [...certificatesOf(l)].map(({ hostname }) => hostname)));

  return objects.ingresses.flatMap((ingress) => {
    const own = problems.filter(({ object }) => isAbout(object, ingress));
    if (!served.includes(ingress)) return [unserved(ingress, own)];
    const rows = routes
      .filter(({ owner }) => isAbout(owner.object, ingress))
      .map((route) => {
        const pool = model.pools.get(route.rule.backends[0]?.pool ?? "");
        return rowOf(ingress, route, pool, own, urls(ingress, route, secured, options.ports));
      });
    // What the problems took away has no route, but is told all the same.
    const told = new Set(rows.map(({ reason }) => reason));
    const silent = own.map(textOf).filter((text) => !told.has(text));
    return [...rows, ...silent.map((reason) => ({ ...bare(ingress), reason }))];
  });
}

const isAbout = (object: { kind: string; namespace?: string; name: string }, ingress: Ingress) =>
  object.kind === "Ingress" && object.namespace === ingress.metadata.namespace && object.name === ingress.metadata.name;

const textOf = (problem: Problem) => `${problem.field}: ${problem.message}: ${problem.remedy}`;

const bare = (ingress: Ingress) =>
  ({
    namespace: ingress.metadata.namespace ?? "",
    kind: "Ingress",
    name: ingress.metadata.name,
    way: "Ingress",
    addresses: [],
    names: [],
  }) as const;

function unserved(ingress: Ingress, problems: readonly Problem[]): Exposure {
  const first = problems[0];
  const name = ingress.spec.ingressClassName;
  const why = name
    ? `class ${JSON.stringify(name)} is served by another controller`
    : "no ingressClassName, and no class is the default";
  return { ...bare(ingress), reason: first ? textOf(first) : why };
}

function rowOf(
  ingress: Ingress,
  route: Route,
  pool: Pool | undefined,
  problems: readonly Problem[],
  addresses: readonly string[],
): Exposure {
  const endpoints = pool?.endpoints ?? [];
  const ready = endpoints.filter((endpoint) => endpoint.ready).length;
  const problem = problems.find(({ field }) => field.startsWith(route.owner.field));
  const where = `Service ${pool?.service.name}`;
  const reason = problem
    ? textOf(problem)
    : (ingress.status?.loadBalancer?.ingress ?? []).length === 0
      ? "no data plane has confirmed it yet"
      : ready === 0
        ? `${where} has no ready endpoint: its own row says why`
        : undefined;
  return {
    ...bare(ingress),
    addresses,
    names: route.host ? [route.host] : [],
    endpoints: { ready, total: endpoints.length },
    ...(reason === undefined ? {} : { reason }),
  };
}

/** URLs of a route: by its host, or for any host by the addresses that the Ingress has. */
function urls(
  ingress: Ingress,
  route: Route,
  secured: ReadonlySet<string>,
  ports: IngressOptions["ports"],
): readonly string[] {
  const given = (ingress.status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => ip ?? hostname ?? []);
  const hosts = route.host ? [route.host] : given;
  const parent = route.host.replace(/^[^.]+/, "*");
  const isSecure = secured.has(route.host) || secured.has(parent) || secured.has("");
  const path = route.path?.value || "/";
  return hosts.flatMap((host) => [
    `http://${host}${ports.http === 80 ? "" : `:${ports.http}`}${path}`,
    ...(isSecure ? [`https://${host}${ports.https === 443 ? "" : `:${ports.https}`}${path}`] : []),
  ]);
}
