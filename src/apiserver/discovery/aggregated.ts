import { parseAccept } from "../request/negotiate.ts";
import type { CatalogEntry, CatalogGroup } from "./groups.ts";

/** True when a client asks for aggregated discovery v2 before the classic form (KEP-3352). */
export function wantsAggregated(accept: string | undefined): boolean {
  for (const { type, parameters } of parseAccept(accept)) {
    if (type !== "application/json" && type !== "*/*" && type !== "application/*") continue;
    const { g, v, as } = parameters;
    if (g === undefined && v === undefined && as === undefined) return false;
    if (g === "apidiscovery.k8s.io" && v === "v2" && as === "APIGroupDiscoveryList") return true;
  }
  return false;
}

export const aggregatedType = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/** All groups but the core one, or that one alone, with their resources in one document. */
export function groupDiscoveryList(groups: readonly CatalogGroup[], core: boolean): object {
  const byName = new Map<string, CatalogGroup[]>();
  for (const one of groups) {
    if ((one.group === "") === core) byName.set(one.group, [...(byName.get(one.group) ?? []), one]);
  }
  return {
    kind: "APIGroupDiscoveryList",
    apiVersion: "apidiscovery.k8s.io/v2",
    metadata: {},
    items: [...byName].map(([name, versions]) => ({
      metadata: { ...(name ? { name } : {}), creationTimestamp: null },
      versions: versions.map(({ version, entries, stale }) => ({
        version,
        resources: entries.map(resourceOf),
        freshness: stale ? "Stale" : "Current",
      })),
    })),
  };
}

function resourceOf(entry: CatalogEntry): object {
  const scope = entry.namespaced ? "Namespaced" : "Cluster";
  return {
    resource: entry.plural,
    responseKind: entry.kind,
    scope,
    singularResource: entry.singular,
    verbs: entry.verbs,
    ...(entry.shortNames.length > 0 ? { shortNames: entry.shortNames } : {}),
    ...(entry.categories.length > 0 ? { categories: entry.categories } : {}),
    ...(entry.subresources.length > 0
      ? {
          subresources: entry.subresources.map((part) => ({
            subresource: part.name,
            responseKind: part.kind,
            verbs: part.verbs,
          })),
        }
      : {}),
  };
}
