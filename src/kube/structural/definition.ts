import type { Definition } from "../definition.ts";
import type { GroupVersionKind, NamedDefinition } from "../schema.ts";
import { itemsOf, valuesOf, type JsonSchema } from "./json-schema.ts";

const objectMeta = "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/** `io.k8s.networking.gateway.v1.HTTPRoute`: how OpenAPI names a custom kind. */
export function definitionName({ group, version, kind }: GroupVersionKind): string {
  return [...group.split(".").reverse(), version, kind].join(".");
}

/**
 * The structure of a custom kind from its structural schema, for OpenAPI and for putting objects together: descriptions, list and map
 * types and what values must be like are kept; `apiVersion`, `kind` and `metadata` are those of every object.
 */
export function definitionFor(kind: GroupVersionKind, schema: JsonSchema | undefined): NamedDefinition {
  const { properties, ...root }: Definition = schema ? toDefinition(schema) : { type: "object", ...open };
  const definition: Definition = {
    ...root,
    properties: {
      ...properties,
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: { $ref: objectMeta },
    },
    "x-kubernetes-group-version-kind": [{ group: kind.group, kind: kind.kind, version: kind.version }],
  };
  return { name: definitionName(kind), definition };
}

const open: Definition = { "x-kubernetes-preserve-unknown-fields": true };

function toDefinition(schema: JsonSchema): Definition {
  const { items: _items, properties, additionalProperties, ...rest } = schema;
  const [items, values] = [itemsOf(schema), valuesOf(schema)];
  const definition: Record<string, unknown> = { ...rest };
  if (items) definition["items"] = toDefinition(items);
  if (values) definition["additionalProperties"] = toDefinition(values);
  // Values of any kind, which a Definition says of the values.
  else if (additionalProperties === true) definition["additionalProperties"] = open;
  const embedded = schema["x-kubernetes-embedded-resource"];
  if (properties || embedded) {
    const own = Object.fromEntries(Object.entries(properties ?? {}).map(([name, one]) => [name, toDefinition(one)]));
    const meta = { apiVersion: { type: "string" }, kind: { type: "string" }, metadata: { $ref: objectMeta } };
    definition["properties"] = embedded ? { ...own, ...meta } : own;
  }
  // The words are the same; what they mean has been checked when the schema was accepted.
  return definition;
}
