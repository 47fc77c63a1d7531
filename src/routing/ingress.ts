import type { EndpointSlice, Ingress, IngressBackend, IngressClass, Secret, Service } from "../kube/index.ts";
import { isRuleHost } from "./host.ts";
import { createHostTable } from "./host-table.ts";
import { classSelector } from "./ingress-class.ts";
import type { Owner, Pool, Route, RoutingModel } from "./model.ts";
import { oldestFirst, refOf, textOf } from "./owner.ts";
import { canonicalPathOfObject } from "./path.ts";
import { poolKey, poolOf, type Absence, type PoolTarget } from "./pool.ts";
import type { Problem } from "./problem.ts";
import { readTls, type InspectKeyPair } from "./tls.ts";

/** Look-ups are by `namespace/name`, so that a translation costs what the Ingresses use and not what exists. */
export interface IngressInput {
  readonly ingresses: readonly Ingress[];
  readonly classes: readonly IngressClass[];
  readonly service: (key: string) => Service | undefined;
  /** EndpointSlices of a Service. */
  readonly slices: (key: string) => readonly EndpointSlice[];
  readonly secret: (key: string) => Secret | undefined;
  readonly inspect: InspectKeyPair;
  /** Default: `poolOf`. A `PoolMemory`'s spares work that was done before. */
  readonly poolOf?: typeof poolOf;
  /** `spec.controller` of the classes that are ours. */
  readonly controllerName: string;
  /** Ports to listen on. */
  readonly ports: { readonly http: number; readonly https: number };
}

export interface Translation {
  readonly model: RoutingModel;
  readonly problems: readonly Problem[];
  /** The Ingresses that the model serves, oldest first. */
  readonly served: readonly Ingress[];
  /** What each pool of the model stands for, to make it anew when its endpoints change. */
  readonly targets: ReadonlyMap<string, PoolTarget>;
}

/** What Ingress objects mean (networking.k8s.io/v1). Faults become problems; all else still works. */
export function translateIngresses(input: IngressInput): Translation {
  const { poolOf: makePool = poolOf } = input;
  const problems: Problem[] = [];
  const pools = new Map<string, Pool>();
  const absences = new Map<string, Absence>();
  const targets = new Map<string, PoolTarget>();
  const hosts = createHostTable((problem) => problems.push(problem));

  const served = selectServed(input, problems);
  for (const ingress of served) readIngress(ingress);
  const table = hosts.finish();
  const tls = readTls(served, input);
  problems.push(...tls.problems);

  const listeners: RoutingModel["listeners"] = [
    { name: "http", port: input.ports.http, protocol: "HTTP", certificates: new Map(), hosts: table },
    { name: "https", port: input.ports.https, protocol: "HTTPS", certificates: tls.certificates, hosts: table },
  ];
  return { model: { listeners, pools }, problems, served, targets };

  function readIngress(ingress: Ingress): void {
    const named = new Set<string>();
    for (const [r, rule] of (ingress.spec.rules ?? []).entries()) {
      const host = rule.host ?? "";
      if (host !== "" && !isRuleHost(host)) {
        problems.push({
          object: refOf(ingress),
          field: `spec.rules[${r}].host`,
          reason: "InvalidHost",
          message: `${JSON.stringify(host)} is not a host name`,
          remedy: "use a DNS name such as www.example.com, or *.example.com",
        });
        continue;
      }
      named.add(host);
      hosts.addHost(host);
      for (const [p, path] of (rule.http?.paths ?? []).entries()) {
        const field = `spec.rules[${r}].http.paths[${p}]`;
        const value = readPath(ingress, path.path, `${field}.path`);
        if (value === undefined) continue;
        const pool = readBackend(ingress, path.backend, `${field}.backend`);
        // ImplementationSpecific means Prefix here.
        const match =
          path.pathType === "Exact"
            ? ({ type: "Exact", value } as const)
            : ({ type: "Prefix", value: value.replace(/\/+$/, "") } as const);
        hosts.add(routeOf(ingress, host, pool, field, match));
      }
    }
    if (!ingress.spec.defaultBackend) return;
    const field = "spec.defaultBackend";
    const pool = readBackend(ingress, ingress.spec.defaultBackend, field);
    hosts.addDefault(routeOf(ingress, "", pool, field), [...named]);
  }

  function readPath(ingress: Ingress, raw: string | undefined, field: string): string | undefined {
    const path = canonicalPathOfObject(raw || "/");
    if (typeof path === "string") return path;
    problems.push({
      object: refOf(ingress),
      field,
      reason: "InvalidPath",
      message: path.refused,
      remedy: "use an absolute path such as /shop",
    });
    return undefined;
  }

  function readBackend(ingress: Ingress, backend: IngressBackend, field: string): string {
    if (!backend.service) return refuseResource(ingress, backend, field);
    const { name, port } = backend.service;
    const target: PoolTarget = { namespace: ingress.metadata.namespace ?? "", service: name, port };
    const key = poolKey(target);
    if (!pools.has(key)) {
      const serviceKey = `${target.namespace}/${name}`;
      const { pool, absence } = makePool(target, input.service(serviceKey), input.slices(serviceKey));
      pools.set(key, pool);
      targets.set(key, target);
      if (absence) absences.set(key, absence);
    }
    const absence = absences.get(key);
    if (absence) problems.push(absenceProblem(ingress, target, absence, pools.get(key)?.absent ?? "", field));
    return key;
  }

  // Its requests get 503: to leave the path out would hand them to whatever a shorter path names.
  function refuseResource(ingress: Ingress, { resource }: IngressBackend, field: string): string {
    const namespace = ingress.metadata.namespace ?? "";
    const name = `${resource?.kind ?? ""}.${resource?.name ?? ""}`;
    const key = `${namespace}/${name}:resource`;
    const absent = `backend ${JSON.stringify(name)} is a resource, and none is supported`;
    pools.set(key, { key, service: { namespace, name }, port: "", protocol: "http", endpoints: [], absent });
    problems.push({
      object: refOf(ingress),
      field: `${field}.resource`,
      reason: "UnsupportedBackend",
      message: `${absent}; its requests get 503`,
      remedy: "name a Service in backend.service",
    });
    return key;
  }

  function absenceProblem(ingress: Ingress, target: PoolTarget, reason: Absence, why: string, field: string): Problem {
    const known = (input.service(`${target.namespace}/${target.service}`)?.spec.ports ?? []).map((port) =>
      port.name ? `${port.name} (${port.port})` : String(port.port),
    );
    const remedies: Record<Absence, string> = {
      ServiceNotFound: `create Service ${target.service} in namespace ${target.namespace}, or correct the name`,
      ServicePortNotFound: `name one of its ports: ${known.join(", ")}`,
      UnsupportedService: "use a Service with endpoints that speak HTTP",
    };
    return {
      object: refOf(ingress),
      field: `${field}.service${reason === "ServicePortNotFound" ? ".port" : ".name"}`,
      reason,
      message: `${why}; its requests get 503`,
      remedy: remedies[reason],
    };
  }
}

function selectServed(input: IngressInput, problems: Problem[]): Ingress[] {
  const select = classSelector(input.classes, input.controllerName);
  const served = input.ingresses.filter((ingress) => {
    const { ours, problem } = select(ingress);
    if (problem) problems.push(problem);
    return ours;
  });
  return served.sort(oldestFirst);
}

function routeOf(ingress: Ingress, host: string, pool: string, field: string, path?: Route["path"]): Route {
  const owner: Owner = { object: refOf(ingress), field };
  const where = path ? `${path.type} ${path.value || "/"}` : "default";
  return { id: `${textOf(owner.object)} ${host || "*"} ${where}`, host, pool, owner, ...(path ? { path } : {}) };
}
