import { type Listener, type Pool, type Route, routesOf, type RoutingModel } from "../routing/index.ts";
import type { Feature, Refusal } from "./dataplane.ts";

/** What a data plane must be able to do to serve a route. */
export function featuresOf(route: Route, listener: Listener, pool: Pool | undefined): Feature[] {
  const features: Feature[] = [];
  if (!route.path) features.push("DefaultBackend");
  else features.push(route.path.type === "Exact" ? "ExactPath" : "PrefixPath");
  if (route.host.startsWith("*.")) features.push("WildcardHost");
  if (listener.protocol === "HTTPS") features.push("TLSTermination");
  if (pool?.protocol === "h2c") features.push("BackendH2C");
  return features;
}

/** The routes of a model that a data plane with these capabilities does not serve. */
export function refusalsOf(model: RoutingModel, capabilities: ReadonlySet<Feature>): Refusal[] {
  const refused: Refusal[] = [];
  for (const listener of model.listeners)
    for (const route of routesOf(listener))
      for (const feature of featuresOf(route, listener, model.pools.get(route.pool)))
        if (!capabilities.has(feature)) refused.push({ route: route.id, feature });
  return refused;
}
