import { isObject } from "../../kube/index.ts";
import type { CatalogEntry, CatalogGroup, Subresource } from "../discovery/index.ts";
import type { Aggregated } from "./api-services.ts";

/** Resources that one server may name. */
const mostResources = 2_000;

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === "string") : [];

/** What a server says it has (an APIResourceList) as discovery shows it. Throws Error for what is no such list. */
export function groupFrom({ group, version }: Pick<Aggregated, "group" | "version">, list: unknown): CatalogGroup {
  const found = isObject(list) ? list["resources"] : undefined;
  if (!Array.isArray(found)) throw new Error("the answer is no APIResourceList");
  const named = (found as unknown[]).slice(0, mostResources).flatMap((one) => (isObject(one) ? [one] : []));
  const kindOf = (one: Record<string, unknown>) => ({
    group: typeof one["group"] === "string" ? one["group"] : group,
    version: typeof one["version"] === "string" ? one["version"] : version,
    kind: text(one["kind"]),
  });
  const parts = new Map<string, Subresource[]>();
  for (const one of named) {
    const [plural = "", name] = text(one["name"]).split("/");
    if (name === undefined) continue;
    parts.set(plural, [...(parts.get(plural) ?? []), { name, kind: kindOf(one), verbs: texts(one["verbs"]) }]);
  }
  const entries = named
    .filter((one) => !text(one["name"]).includes("/"))
    .map((one): CatalogEntry => ({
      plural: text(one["name"]),
      singular: text(one["singularName"]),
      namespaced: one["namespaced"] === true,
      kind: kindOf(one),
      verbs: texts(one["verbs"]),
      shortNames: texts(one["shortNames"]),
      categories: texts(one["categories"]),
      subresources: parts.get(text(one["name"])) ?? [],
      source: one,
      schema: () => undefined,
      ...(typeof one["storageVersionHash"] === "string" ? { storageVersionHash: one["storageVersionHash"] } : {}),
    }));
  return { group, version, entries };
}
