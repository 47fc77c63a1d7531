import {
  checkFieldSelector,
  meetsFields,
  meetsRequirements,
  parseFieldSelector,
  parseLabelSelector,
  type KubeObject,
  type Resource,
  type Strategy,
} from "../../kube/index.ts";
import { prefixFor, type Entry } from "../storage/index.ts";

/** Which stored objects a list, watch or deletecollection is about. */
export interface Selection {
  /** They all have keys that begin with this. */
  readonly prefix: string;
  /** Absent: all under the prefix. */
  readonly selects: ((entry: Entry) => boolean) | undefined;
}

/** Reads label and field selector of a query. Throws StatusError BadRequest for one that is not well formed or names unknown fields. */
export function selection(
  { resource, strategy, custom = false }: { resource: Resource; strategy: Strategy; custom?: boolean },
  namespace: string,
  name: string,
  query: URLSearchParams,
  /** The name that a field has in stored objects, where it is shown under another. */
  fieldOf: (shown: string) => string = (shown) => shown,
): Selection {
  const labels = parseLabelSelector(query.get("labelSelector") ?? "");
  const fields = parseFieldSelector(query.get("fieldSelector") ?? "").map((requirement) => ({
    ...requirement,
    field: fieldOf(requirement.field),
  }));
  if (fields.length > 0)
    checkFieldSelector(fields, Object.keys(strategy.selectableFields(emptyObject(resource))), resource.kind, custom);
  if (name) fields.push({ field: "metadata.name", operator: "=", value: name });

  const scope = prefixFor(resource, resource.namespaced ? namespace : undefined);
  const named = fields.find(({ field, operator }) => field === "metadata.name" && operator === "=");
  const whole = named && (namespace || !resource.namespaced);
  const prefix = whole ? scope + named.value : scope;
  if (labels.length === 0 && fields.length === 0) return { prefix, selects: undefined };
  return {
    prefix,
    selects(entry) {
      // Objects of other names need not be read.
      if (named && !entry.key.endsWith(`/${named.value}`)) return false;
      const { object } = entry;
      return (
        meetsRequirements(labels, object.metadata.labels ?? {}) &&
        (fields.length === 0 || meetsFields(fields, fieldsOf(object, strategy.selectableFields(object))))
      );
    },
  };
}

function fieldsOf(object: KubeObject, own: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const { name, namespace = "" } = object.metadata;
  return { ...own, "metadata.name": name, "metadata.namespace": namespace };
}

/** Any object of the kind: it tells which fields can be selected by. */
function emptyObject(resource: Resource): KubeObject {
  return { apiVersion: "", kind: resource.kind, metadata: { name: "" } };
}
