import type { Pool, Route } from "../routing/index.ts";

// A route and its pool, for tests of what is told of requests.

interface Parts {
  readonly id?: string;
  readonly host?: string;
  readonly path?: Route["path"];
  /** Of the object that the route is of. */
  readonly kind?: string;
  readonly name?: string;
  readonly field?: string;
}

/** A route of an object in the namespace `shop`: of the Ingress `web`, for shop.test, unless it is said otherwise. */
export function sampleRoute(parts: Parts = {}): Route {
  const { id = "a", host = "shop.test", path, kind = "Ingress", name = "web", field = "spec.rules[0]" } = parts;
  const owner = { object: { kind, namespace: "shop", name }, field };
  const rule = { id, filters: [], backends: [], timeouts: {}, owner };
  return { id, host, ...(path ? { path } : {}), headers: [], query: [], rule, owner };
}

/** The port 80 of the Service `web`, without endpoints. */
export const samplePool: Pool = {
  key: "shop/web:80",
  service: { namespace: "shop", name: "web" },
  port: "80",
  protocol: "http",
  endpoints: [],
};
