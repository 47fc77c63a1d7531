import { createStrategy } from "./base-strategy.ts";
import type { KubeObject } from "./object.ts";
import type { Resource } from "./resource.ts";
import type { Strategy } from "./strategy.ts";

export interface StructuralOptions {
  /** `metadata.generation` counts the changes of the spec. */
  readonly generation?: boolean;
}

const specOf = (object: KubeObject): unknown => (object as { spec?: unknown }).spec;

/**
 * The Strategy of a kind that has no rules of its own: its structure is checked when it is read, its metadata here. A status that is a
 * subresource is written apart from the rest.
 */
export function structuralStrategy(resource: Resource, { generation = false }: StructuralOptions = {}): Strategy {
  return createStrategy(resource, generation ? { generationOf: specOf } : {});
}
