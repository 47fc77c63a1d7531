import type { GroupVersionKind, Resource } from "../../kube/index.ts";
import { reviews } from "../resources/reviews.ts";
import { served } from "../resources/served.ts";

/** A collection or a part of an object, as discovery shows it. */
export interface CatalogEntry {
  readonly plural: string;
  readonly singular: string;
  readonly namespaced: boolean;
  /** The kind that travels; a subresource may have one of another group. */
  readonly kind: GroupVersionKind;
  readonly verbs: readonly string[];
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly subresources: readonly Subresource[];
}

export interface Subresource {
  readonly name: string;
  readonly kind: GroupVersionKind;
  readonly verbs: readonly string[];
}

export interface CatalogGroup {
  /** "" for the core group. */
  readonly group: string;
  readonly version: string;
  readonly entries: readonly CatalogEntry[];
}

function subresource(resource: Resource, name: string): Subresource {
  const own = { group: resource.group, version: resource.version, kind: resource.kind };
  const readWrite = ["get", "patch", "update"];
  switch (name) {
    case "scale":
      return { name, kind: { group: "autoscaling", version: "v1", kind: "Scale" }, verbs: readWrite };
    case "log":
      return { name, kind: own, verbs: ["get"] };
    case "binding":
      return { name, kind: { group: "", version: "v1", kind: "Binding" }, verbs: ["create"] };
    case "eviction":
      return { name, kind: { group: "policy", version: "v1", kind: "Eviction" }, verbs: ["create"] };
    case "finalize":
      return { name, kind: own, verbs: ["update"] };
    default:
      return { name, kind: own, verbs: readWrite };
  }
}

/** Subresources that are served, of those that a kind has. */
const servedParts: ReadonlySet<string> = new Set(["status", "scale", "log", "binding", "eviction", "finalize"]);

function entryOf(resource: Resource, verbs: readonly string[]): CatalogEntry {
  const { plural, singular, namespaced, shortNames, categories } = resource;
  return {
    plural,
    singular,
    namespaced,
    shortNames,
    categories,
    kind: { group: resource.group, version: resource.version, kind: resource.kind },
    verbs,
    subresources: resource.subresources
      .filter((name) => servedParts.has(name))
      .map((name) => subresource(resource, name)),
  };
}

/** Everything that is served, by group: the one source of discovery and of the OpenAPI documents. */
export const catalog: readonly CatalogGroup[] = groups();

function groups(): CatalogGroup[] {
  const byName = new Map<string, { group: string; version: string; entries: CatalogEntry[] }>();
  const add = (resource: Resource, verbs: readonly string[]): void => {
    const name = `${resource.group}/${resource.version}`;
    const group = byName.get(name) ?? { group: resource.group, version: resource.version, entries: [] };
    group.entries.push(entryOf(resource, verbs));
    byName.set(name, group);
  };
  for (const { resource, verbs } of served) add(resource, verbs);
  for (const { resource } of reviews) add(resource, ["create"]);
  for (const group of byName.values()) group.entries.sort((a, b) => (a.plural < b.plural ? -1 : 1));
  return [...byName.values()];
}
