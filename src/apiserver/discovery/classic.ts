import type { Advertised } from "../own-service.ts";
import type { CatalogEntry, CatalogGroup } from "./groups.ts";

const hostPort = (address: string, port: number): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;

/** `/api`: the versions of the core group, and where the server is. */
export function apiVersions(groups: readonly CatalogGroup[], { address, port }: Advertised): object {
  return {
    kind: "APIVersions",
    versions: groups.filter(({ group }) => group === "").map(({ version }) => version),
    serverAddressByClientCIDRs: [{ clientCIDR: "0.0.0.0/0", serverAddress: hostPort(address, port) }],
  };
}

export interface ApiGroup {
  readonly name: string;
  readonly versions: readonly { readonly groupVersion: string; readonly version: string }[];
  readonly preferredVersion: { readonly groupVersion: string; readonly version: string };
}

/** All groups but the core one, each with its versions, the preferred one first. */
export function apiGroups(groups: readonly CatalogGroup[]): ApiGroup[] {
  const byName = new Map<string, { groupVersion: string; version: string }[]>();
  for (const { group, version } of groups) {
    if (group === "") continue;
    const versions = byName.get(group) ?? [];
    versions.push({ groupVersion: `${group}/${version}`, version });
    byName.set(group, versions);
  }
  return [...byName].flatMap(([name, versions]) => {
    const [preferredVersion] = versions;
    return preferredVersion ? [{ name, versions, preferredVersion }] : [];
  });
}

/** `/apis`: all groups but the core one. */
export function apiGroupList(groups: readonly CatalogGroup[]): object {
  return { kind: "APIGroupList", apiVersion: "v1", groups: apiGroups(groups) };
}

/** `/apis/GROUP`; undefined when there is none of that name. */
export function apiGroup(groups: readonly CatalogGroup[], wanted: string): object | undefined {
  const found = apiGroups(groups).find(({ name }) => name === wanted);
  return found && { kind: "APIGroup", apiVersion: "v1", ...found };
}

/** `/api/v1` and `/apis/GROUP/VERSION`; undefined when there is none. */
export function apiResourceList(groups: readonly CatalogGroup[], group: string, version: string): object | undefined {
  const found = groups.find((one) => one.group === group && one.version === version);
  return (
    found && {
      kind: "APIResourceList",
      // The oldest of these lists has never said its version.
      ...(group ? { apiVersion: "v1" } : {}),
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
      ...(entry.storageVersionHash ? { storageVersionHash: entry.storageVersionHash } : {}),
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
