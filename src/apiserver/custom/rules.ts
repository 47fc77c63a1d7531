import {
  createRuleWalk,
  hasInside,
  loadCel,
  type FieldError,
  type JsonSchema,
  type KubeObject,
  type RuleWalk,
} from "../../kube/index.ts";

/** The rules of one schema (`x-kubernetes-validations`). */
export interface Rules {
  /** False for a schema that has none. */
  readonly any: boolean;
  /** Loads the expression language; undefined when it is there, or is not needed. Settled before `validate`. */
  ready(): Promise<void> | undefined;
  validate(object: KubeObject, old: KubeObject | undefined): FieldError[];
}

/** Rules that are compiled when the first object comes: most kinds that are defined are never used. */
export function lazyRules(schema: JsonSchema): Rules {
  const any = hasInside(schema, "x-kubernetes-validations");
  let walk: RuleWalk | undefined;
  return {
    any,
    ready() {
      if (!any || walk) return undefined;
      return loadCel().then((cel) => {
        walk ??= createRuleWalk(cel, schema);
      });
    },
    validate(object, old) {
      if (!walk) throw new Error("the rules were not loaded");
      return walk.validate(object, old);
    },
  };
}
