import { hasInside, type FieldError, type JsonSchema, type KubeObject } from "../../kube/index.ts";

/** The rules of one schema (`x-kubernetes-validations`). */
export interface Rules {
  /** False for a schema that has none. */
  readonly any: boolean;
  validate(object: KubeObject, old: KubeObject | undefined): FieldError[];
}

export function lazyRules(schema: JsonSchema): Rules {
  return { any: hasInside(schema, "x-kubernetes-validations"), validate: () => [] };
}
