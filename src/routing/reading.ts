import type { Ingress, IngressBackend } from "../kube/index.ts";
import { isRuleHost } from "./host.ts";
import type { HostSource } from "./hosts.ts";
import type { ClientValidation, Owner, PathMatch, Pool, Route, StreamRoute } from "./model.ts";
import { refOf, textOf } from "./owner.ts";
import { canonicalPathOfObject } from "./path.ts";
import { poolKey, type PoolTarget } from "./pool.ts";
import type { Backend, PoolSource } from "./pool-table.ts";
import type { Problem } from "./problem.ts";
import { plainRule } from "./rule.ts";

/** What one Ingress says, taken by itself. */
export interface Reading extends HostSource, PoolSource {
  readonly problems: readonly Problem[];
  /** Hosts whose TLS is not that of all others. */
  readonly servers?: readonly HostServer[];
}

/** A host that asks its clients for certificates, or whose TLS is passed through. */
export interface HostServer {
  readonly hostname: string;
  readonly tls: ClientValidation | StreamRoute;
  readonly owner: Owner;
}

/** What a class may see otherwise. */
export interface ReadingWays {
  /** What a path means, or why it means nothing. Default: `ImplementationSpecific` is `Prefix`, in canonical form. */
  readonly pathOf?: (path: string, type: string) => PathMatch | { readonly refused: string };
  /** How a Service port is reached. */
  readonly targetOf?: (target: PoolTarget) => PoolTarget;
}

/** Reads an Ingress without looking at any other object. */
export function readIngress(ingress: Ingress, ways: ReadingWays = {}): Reading {
  const { pathOf = plainPath, targetOf = (target: PoolTarget) => target } = ways;
  const object = refOf(ingress);
  const namespace = ingress.metadata.namespace ?? "";
  const hosts = new Set<string>();
  const routes: Route[] = [];
  const backends: Backend[] = [];
  const problems: Problem[] = [];

  for (const [r, rule] of (ingress.spec.rules ?? []).entries()) {
    const host = rule.host ?? "";
    if (host !== "" && !isRuleHost(host)) {
      problems.push({
        object,
        field: `spec.rules[${r}].host`,
        reason: "InvalidHost",
        message: `${JSON.stringify(host)} is not a host name`,
        remedy: "use a DNS name such as www.example.com, or *.example.com",
      });
      continue;
    }
    hosts.add(host);
    for (const [p, path] of (rule.http?.paths ?? []).entries()) {
      const field = `spec.rules[${r}].http.paths[${p}]`;
      const match = pathOf(path.path || "/", path.pathType);
      if ("refused" in match) {
        problems.push({
          object,
          field: `${field}.path`,
          reason: "InvalidPath",
          message: match.refused,
          remedy: "use an absolute path such as /shop",
        });
        continue;
      }
      routes.push(routeOf(host, readBackend(path.backend, `${field}.backend`), field, match));
    }
  }
  const { defaultBackend } = ingress.spec;
  const field = "spec.defaultBackend";
  const fallback = defaultBackend && routeOf("", readBackend(defaultBackend, field), field);
  return { object, hosts: [...hosts], routes, ...(fallback ? { fallback } : {}), backends, problems };

  function routeOf(host: string, pool: string, field: string, path?: Route["path"]): Route {
    const where = path ? `${path.type} ${path.value || "/"}` : "default";
    const id = `${textOf(object)} ${host || "*"} ${where}`;
    const owner = { object, field };
    return { id, host, headers: [], query: [], rule: plainRule(id, pool, owner), owner, ...(path ? { path } : {}) };
  }

  function readBackend({ service, resource }: IngressBackend, field: string): string {
    if (!service) return refuseResource(`${resource?.kind ?? ""}.${resource?.name ?? ""}`, field);
    const target = targetOf({ namespace, service: service.name, port: service.port });
    const key = poolKey(target);
    backends.push({ key, field, target });
    return key;
  }

  // Its requests get 503: to leave the path out would hand them to whatever a shorter path names.
  function refuseResource(name: string, field: string): string {
    const key = `${namespace}/${name}:resource`;
    const absent = `backend ${JSON.stringify(name)} is a resource, and none is supported`;
    const unsupported: Pool = { key, service: { namespace, name }, port: "", protocol: "http", endpoints: [], absent };
    backends.push({ key, field, unsupported });
    problems.push({
      object,
      field: `${field}.resource`,
      reason: "UnsupportedBackend",
      message: `${absent}; its requests get 503`,
      remedy: "name a Service in backend.service",
    });
    return key;
  }
}

/** The path of an object as it is matched. */
export function plainPath(path: string, type: string): PathMatch | { readonly refused: string } {
  const value = canonicalPathOfObject(path);
  if (typeof value !== "string") return value;
  return type === "Exact" ? { type: "Exact", value } : { type: "Prefix", value: value.replace(/\/+$/, "") };
}
