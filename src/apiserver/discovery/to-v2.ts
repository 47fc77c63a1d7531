import type { Definition } from "../../kube/index.ts";

/** Keywords of OpenAPI v3 that v2 does not have. */
const unknown: ReadonlySet<string> = new Set(["nullable", "oneOf", "anyOf", "not", "default"]);

/**
 * A definition in the words of OpenAPI v2, as far as they go: what v2 can not say (a null, one of several types, fields that are not
 * named) is left open, so that a client that checks by it refuses nothing that the server takes (apiextensions' `ToStructuralOpenAPIV2`).
 */
export function toV2(definition: Definition): Definition {
  const kept = Object.fromEntries(Object.entries(definition).filter(([key]) => !unknown.has(key)));
  const { items, additionalProperties, properties, type, ...rest } = kept as Definition;
  const isOpen = definition["x-kubernetes-preserve-unknown-fields"] || definition["x-kubernetes-int-or-string"];
  // A value of any kind, null included: nothing more can be said of it.
  if (isOpen || definition.nullable) return rest;
  return {
    ...rest,
    ...(type === undefined ? {} : { type }),
    ...(items ? { items: toV2(items) } : {}),
    ...(additionalProperties ? { additionalProperties: toV2(additionalProperties) } : {}),
    ...(properties
      ? { properties: Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, toV2(one)])) }
      : {}),
  };
}
