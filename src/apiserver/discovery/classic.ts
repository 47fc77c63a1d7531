import { catalog, type CatalogGroup, type CatalogEntry } from "./catalog.ts";

/** `/api`: the versions of the core group. */
export function apiVersions(): object {
  return {
    kind: "APIVersions",
    versions: catalog.filter(({ group }) => group === "").map(({ version }) => version),
    serverAddressByClientCIDRs: [],
  };
}

/** `/apis`: all groups but the core one. */
export function apiGroupList(): object {
  return {
    kind: "APIGroupList",
    apiVersion: "v1",
    groups: catalog.filter(({ group }) => group !== "").map((group) => groupOf(group)),
  };
}

/** `/apis/GROUP`; undefined when there is none of that name. */
export function apiGroup(name: string): object | undefined {
  const found = catalog.find(({ group }) => group !== "" && group === name);
  return found && { kind: "APIGroup", apiVersion: "v1", ...groupOf(found) };
}

function groupOf({ group, version }: CatalogGroup): { name: string; versions: object[]; preferredVersion: object } {
  const own = { groupVersion: `${group}/${version}`, version };
  return { name: group, versions: [own], preferredVersion: own };
}

/** `/api/v1` and `/apis/GROUP/VERSION`; undefined when there is none. */
export function apiResourceList(group: string, version: string): object | undefined {
  const found = catalog.find((one) => one.group === group && one.version === version);
  return (
    found && {
      kind: "APIResourceList",
      apiVersion: "v1",
      groupVersion: group ? `${group}/${version}` : version,
      resources: found.entries.flatMap(resourcesOf),
    }
  );
}

function resourcesOf(entry: CatalogEntry): object[] {
  const { plural, singular, namespaced, kind, verbs, shortNames, categories } = entry;
  return [
    {
      name: plural,
      singularName: singular,
      namespaced,
      kind: kind.kind,
      verbs,
      ...(shortNames.length > 0 ? { shortNames } : {}),
      ...(categories.length > 0 ? { categories } : {}),
    },
    ...entry.subresources.map((part) => ({
      name: `${plural}/${part.name}`,
      singularName: "",
      namespaced,
      // A kind of another group than the list's names it.
      ...(part.kind.group === kind.group ? {} : { group: part.kind.group, version: part.kind.version }),
      kind: part.kind.kind,
      verbs: part.verbs,
    })),
  ];
}
