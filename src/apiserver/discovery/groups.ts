import { createHash } from "node:crypto";
import { definitionOf, type GroupVersionKind, type Resource } from "../../kube/index.ts";
import { metricsKinds } from "../metrics-api/kinds.ts";
import { componentStatus } from "../resources/component-statuses.ts";
import { bindingKind } from "../resources/pod-actions.ts";
import type { ResourceVerb } from "../request/request-info.ts";
import { reviews } from "../resources/reviews.ts";
import type { Catalog, Served } from "../resources/index.ts";
import type { RemoteDocument } from "./merge-v2.ts";
import { byPriority } from "./priority.ts";

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
  /** What this entry was made of: the same object as long as nothing about it changes. */
  readonly source: object;
  /** The structure of `kind`. */
  readonly schema: Served["schema"];
  /** Names group, version and kind in which the objects are stored; absent for what is not stored. */
  readonly storageVersionHash?: string;
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
  /** What another server had when it was last heard of: it does not answer now. */
  readonly stale?: boolean;
}

const connectKinds = {
  exec: "PodExecOptions",
  attach: "PodAttachOptions",
  portforward: "PodPortForwardOptions",
} as const;

function subresource(resource: Resource, name: string): Subresource {
  const own = { group: resource.group, version: resource.version, kind: resource.kind };
  const readWrite = ["get", "patch", "update"];
  switch (name) {
    case "scale":
      return { name, kind: { group: "autoscaling", version: "v1", kind: "Scale" }, verbs: readWrite };
    case "exec":
    case "attach":
    case "portforward":
      return { name, kind: { group: "", version: "v1", kind: connectKinds[name] }, verbs: ["create", "get"] };
    case "proxy":
      return {
        name,
        kind: { group: "", version: "v1", kind: `${resource.kind}ProxyOptions` },
        verbs: ["create", "delete", "get", "patch", "update"],
      };
    case "log":
      return { name, kind: own, verbs: ["get"] };
    case "binding":
      return { name, kind: { group: "", version: "v1", kind: "Binding" }, verbs: ["create"] };
    case "token":
      return { name, kind: { group: "authentication.k8s.io", version: "v1", kind: "TokenRequest" }, verbs: ["create"] };
    case "eviction":
      return { name, kind: { group: "policy", version: "v1", kind: "Eviction" }, verbs: ["create"] };
    case "finalize":
      return { name, kind: own, verbs: ["update"] };
    default:
      return { name, kind: own, verbs: readWrite };
  }
}

/** Subresources that are served, of those that a kind has. */
const servedParts: ReadonlySet<string> = new Set([
  "status",
  "approval",
  "scale",
  "log",
  "binding",
  "eviction",
  "finalize",
  "exec",
  "attach",
  "portforward",
  "proxy",
  "ephemeralcontainers",
  "resize",
  "token",
]);

function entryOf(
  source: object,
  { resource, verbs, schema, stored, conversion }: Pick<Served, "resource" | "verbs" | "schema"> & Partial<Served>,
): CatalogEntry {
  const { plural, singular, namespaced, shortNames, categories } = resource;
  const custom = conversion !== undefined;
  return {
    plural,
    singular,
    namespaced,
    shortNames,
    categories,
    kind: { group: resource.group, version: resource.version, kind: resource.kind },
    verbs,
    source,
    schema,
    ...(stored ? { storageVersionHash: storageVersionHash(stored) } : {}),
    subresources: (custom ? resource.subresources : [...resource.subresources].sort())
      .filter((name) => servedParts.has(name))
      .map((name) => subresource(resource, name)),
  };
}

/** Kinds that upstream stores in an older version than the one it serves first. */
const storedElsewhere: Readonly<Record<string, string>> = {
  "storage.k8s.io/VolumeAttributesClass": "v1beta1",
  "apiextensions.k8s.io/CustomResourceDefinition": "v1beta1",
};

/** As upstream makes it: clients only compare it with an earlier one. */
function storageVersionHash({ group, version, kind }: GroupVersionKind): string {
  const stored = storedElsewhere[`${group}/${kind}`] ?? version;
  return createHash("sha256").update(`${group}/${stored}/${kind}`).digest().subarray(0, 8).toString("base64");
}

/** Everything that is served, by group, in the order of discovery: the one source of it and of the OpenAPI documents. */
export interface Groups {
  all(): readonly CatalogGroup[];
  /** Another text after each change. */
  readonly version: string;
}

/** What other servers have that are reached through this one. */
export interface RemoteGroups {
  all(): readonly CatalogGroup[];
  /** Their OpenAPI v2 documents, as far as they have any; of higher priority first. */
  documents(): readonly RemoteDocument[];
  /** Another text after each change. */
  readonly version: string;
}

/** The groups of this server and of others, each in its place. */
export function withRemote(own: Groups, remote: RemoteGroups): Groups {
  let made: { version: string; groups: readonly CatalogGroup[] } | undefined;
  const groups: Groups = {
    all() {
      const others = remote.all();
      if (others.length === 0) return own.all();
      const { version } = groups;
      if (made?.version !== version) {
        const taken = new Set(others.map((one) => `${one.group}/${one.version}`));
        const left = own.all().filter((one) => !taken.has(`${one.group}/${one.version}`));
        made = { version, groups: [...left, ...others].sort(byPriority) };
      }
      return made.groups;
    },
    get version() {
      return `${own.version} ${remote.version}`;
    },
  };
  return groups;
}

/** The groups of a catalog and of the reviews, put together anew after a change. */
export function createGroups(catalog: Catalog): Groups {
  let version: string | undefined;
  let groups: readonly CatalogGroup[] = [];
  return {
    all() {
      if (version !== catalog.version) {
        version = catalog.version;
        groups = groupsOf(catalog.all());
      }
      return groups;
    },
    get version() {
      return catalog.version;
    },
  };
}

/** Kinds of the core group that can be asked, but are not stored. */
const unstored: readonly (readonly [Resource, readonly ResourceVerb[]])[] = [
  [
    {
      ...bindingKind,
      plural: "bindings",
      singular: "binding",
      namespaced: true,
      shortNames: [],
      categories: [],
      subresources: [],
    },
    ["create"],
  ],
  [componentStatus, ["get", "list"]],
];

function groupsOf(all: readonly Served[]): CatalogGroup[] {
  const byName = new Map<string, { group: string; version: string; entries: CatalogEntry[] }>();
  const add = (entry: CatalogEntry): void => {
    const { group, version } = entry.kind;
    const name = `${group}/${version}`;
    const found = byName.get(name) ?? { group, version, entries: [] };
    found.entries.push(entry);
    byName.set(name, found);
  };
  for (const served of all) add(entryOf(served, served));
  for (const review of reviews) {
    const { resource } = review;
    add(entryOf(review, { resource, verbs: ["create"], schema: () => definitionOf(resource) }));
  }
  for (const [resource, verbs] of unstored)
    add(entryOf(resource, { resource, verbs, schema: () => definitionOf(resource) }));
  for (const resource of metricsKinds) {
    add(entryOf(resource, { resource, verbs: ["get", "list"], schema: () => undefined }));
  }
  for (const group of byName.values()) group.entries.sort((a, b) => (a.plural < b.plural ? -1 : 1));
  return [...byName.values()].sort(byPriority);
}
