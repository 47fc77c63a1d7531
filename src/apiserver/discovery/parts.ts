import type { Definition } from "../../kube/index.ts";

/** What the schemas directly beneath one are made into; `field` is the name of a property, empty in lists and maps. */
export function partsOf<T>(
  { items, additionalProperties, properties }: Definition,
  make: (part: Definition, field: string) => T,
): { items?: T; additionalProperties?: T; properties?: Record<string, T> } {
  return {
    ...(items ? { items: make(items, "") } : {}),
    ...(additionalProperties ? { additionalProperties: make(additionalProperties, "") } : {}),
    ...(properties
      ? { properties: Object.fromEntries(Object.entries(properties).map(([name, part]) => [name, make(part, name)])) }
      : {}),
  };
}
