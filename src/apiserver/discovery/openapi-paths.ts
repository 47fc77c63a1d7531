import { definitionOf, type GroupVersionKind, type NamedDefinition } from "../../kube/index.ts";
import type { CatalogEntry, CatalogGroup } from "./groups.ts";
import { listSchema } from "./list-schema.ts";

/** How a verb of the API looks in OpenAPI. */
const operations: Readonly<Record<string, { method: string; action: string; of: "collection" | "object" }>> = {
  list: { method: "get", action: "list", of: "collection" },
  create: { method: "post", action: "post", of: "collection" },
  deletecollection: { method: "delete", action: "deletecollection", of: "collection" },
  get: { method: "get", action: "get", of: "object" },
  update: { method: "put", action: "put", of: "object" },
  patch: { method: "patch", action: "patch", of: "object" },
  delete: { method: "delete", action: "delete", of: "object" },
};

type Parameter = { name: string; in: "query" | "path"; required?: true; schema: { type: string; uniqueItems?: true } };

const query = (name: string, type = "string"): Parameter => ({
  name,
  in: "query",
  schema: { type, uniqueItems: true },
});
const pathPart = (name: string): Parameter => ({
  name,
  in: "path",
  required: true,
  schema: { type: "string", uniqueItems: true },
});

const writing = [query("dryRun"), query("fieldManager"), query("fieldValidation")];
const selecting = [
  query("continue"),
  query("fieldSelector"),
  query("labelSelector"),
  query("limit", "integer"),
  query("resourceVersion"),
  query("resourceVersionMatch"),
  query("timeoutSeconds", "integer"),
];
const deleting = [query("dryRun"), query("gracePeriodSeconds", "integer"), query("propagationPolicy")];

/** What a verb takes in its query: clients look here to see what a server supports. */
const parameters: Readonly<Record<string, readonly Parameter[]>> = {
  list: [
    ...selecting,
    query("allowWatchBookmarks", "boolean"),
    query("sendInitialEvents", "boolean"),
    query("watch", "boolean"),
  ],
  create: writing,
  deletecollection: [...selecting, ...deleting],
  get: [],
  update: writing,
  patch: [...writing, query("force", "boolean")],
  delete: deleting,
};

/** The `paths` of the OpenAPI document of a group, with the extensions by which clients find a kind's operations. */
export function pathsOf({ group, version, entries }: CatalogGroup): Record<string, object> {
  const root = group ? `/apis/${group}/${version}` : `/api/${version}`;
  const paths: Record<string, object> = {};
  for (const entry of entries) {
    const scope = entry.namespaced ? "/namespaces/{namespace}" : "";
    const collection = `${root}${scope}/${entry.plural}`;
    const scoped = entry.namespaced ? [pathPart("namespace")] : [];
    const named = [pathPart("name"), ...scoped];
    const add = (path: string, item: object, where: Parameter[]): void => {
      if (Object.keys(item).length > 0) paths[path] = where.length > 0 ? { ...item, parameters: where } : item;
    };
    add(collection, operationsOf(entry, entry.verbs, "collection", entry.kind), scoped);
    if (entry.namespaced)
      add(
        `${root}/${entry.plural}`,
        operationsOf(
          entry,
          entry.verbs.filter((verb) => verb === "list"),
          "collection",
          entry.kind,
        ),
        [],
      );
    add(`${collection}/{name}`, operationsOf(entry, entry.verbs, "object", entry.kind), named);
    for (const part of entry.subresources) {
      const item = {
        ...operationsOf(entry, part.verbs, "object", part.kind),
        ...operationsOf(entry, part.verbs, "collection", part.kind),
      };
      add(`${collection}/{name}/${part.name}`, item, named);
    }
  }
  return paths;
}

function operationsOf(
  entry: CatalogEntry,
  verbs: readonly string[],
  of: "collection" | "object",
  kind: GroupVersionKind,
): Record<string, object> {
  const item: Record<string, object> = {};
  for (const verb of verbs) {
    const operation = operations[verb];
    if (!operation || operation.of !== of) continue;
    const own = kind === entry.kind ? entry.schema() : definitionOf(kind);
    const answer = verb === "list" ? listSchema(entry) : own;
    item[operation.method] = {
      tags: [entry.plural],
      operationId: `${operation.action}${entry.kind.group.replace(/[^a-zA-Z0-9]/g, "")}${kind.kind}`,
      ...(parameters[verb]?.length ? { parameters: parameters[verb] } : {}),
      ...(verb === "create" || verb === "update" ? { requestBody: { content: { "*/*": content(own) } } } : {}),
      ...(verb === "patch" ? { requestBody: { content: patchContent(kind) } } : {}),
      responses: { "200": { description: "OK", content: { "application/json": content(answer) } } },
      "x-kubernetes-action": operation.action,
      "x-kubernetes-group-version-kind": { group: kind.group, kind: kind.kind, version: kind.version },
    };
  }
  return item;
}

function content({ name }: Partial<NamedDefinition> = {}): object {
  return name ? { schema: { $ref: `#/components/schemas/${name}` } } : {};
}

const patchSchema = { schema: { type: "object" } };
const patchTypes = [
  "application/apply-patch+yaml",
  "application/json-patch+json",
  "application/merge-patch+json",
  "application/strategic-merge-patch+json",
];

/** Clients look here for how a kind can be patched: custom resources say nothing of how their lists are merged. */
function patchContent(kind: GroupVersionKind): Record<string, object> {
  const types = definitionOf(kind) ? patchTypes : patchTypes.slice(0, -1);
  return Object.fromEntries(types.map((type) => [type, patchSchema]));
}
