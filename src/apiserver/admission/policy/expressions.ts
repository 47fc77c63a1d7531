import {
  compileFor,
  type Cel,
  type CelModule,
  type Declared,
  type Expression,
  type MatchCondition,
  type Variable,
} from "../../../kube/index.ts";
import { bindingsOf, type Inputs } from "./environment.ts";

/** What is left of the costs that the expressions of one request may have. */
export interface Budget {
  left: number;
}

export const outOfBudget =
  "validation failed due to running out of cost budget, no further validation rules will be run";

/** The budget is used up: nothing more is evaluated. */
export class OutOfBudget extends Error {
  override name = "OutOfBudget";
  readonly code = "OutOfBudget";

  constructor() {
    super(outOfBudget);
  }
}

/** The policy's own variables, each of which may read those before it, and their types. */
export function compileVariables(
  cel: CelModule,
  variables: readonly Variable[],
  declared: Declared,
): { expressions: ReadonlyMap<string, Expression>; types: ReadonlyMap<string, Cel.CelType> } {
  const expressions = new Map<string, Expression>();
  const types = new Map<string, Cel.CelType>();
  for (const { name, expression } of variables) {
    const compiled = compileFor(cel, expression, { ...declared, variables: types });
    expressions.set(name, compiled);
    types.set(name, "compiled" in compiled ? compiled.compiled.type : cel.dyn);
  }
  return { expressions, types };
}

/** Reads the variables of expressions about one request; the policy's own are evaluated when they are first read. */
export function createBindings(
  cel: CelModule,
  inputs: Inputs,
  variables: ReadonlyMap<string, Expression>,
  budget: Budget,
): (name: string) => Cel.Value | undefined {
  const given = bindingsOf(cel, inputs);
  const results = new Map<string, { value: Cel.Value } | { error: string }>();
  const own: Cel.ObjectValue = {
    kind: "object",
    type: "kubernetes.variables",
    get: (name) => {
      const expression = variables.get(name);
      if (!expression) return undefined;
      let result = results.get(name);
      if (!result) {
        result = evaluateOwn(expression, bindings, budget);
        results.set(name, result);
      }
      if ("value" in result) return result.value;
      throw new cel.EvaluationFault(`composited variable ${JSON.stringify(name)} fails to ${result.error}`);
    },
    fields: () => [...variables.keys()],
  };
  const bindings = (name: string): Cel.Value | undefined => (name === "variables" ? own : given(name));
  return bindings;
}

function evaluateOwn(
  expression: Expression,
  bindings: (name: string) => Cel.Value | undefined,
  budget: Budget,
): { value: Cel.Value } | { error: string } {
  if ("compileError" in expression) return { error: `compile: ${expression.compileError}` };
  const result = evaluate(expression, bindings, budget);
  return "value" in result ? result : { error: `evaluate: ${result.cause}` };
}

const tooCostly = "operation cancelled: actual cost limit exceeded";

/** One expression's value, or why it has none. Throws OutOfBudget. */
export function evaluate(
  expression: Expression,
  bindings: (name: string) => Cel.Value | undefined,
  budget: Budget,
): { value: Cel.Value } | { error: string; cause: string } {
  if ("compileError" in expression) {
    const cause = `compilation error: ${expression.compileError}`;
    return { error: cause, cause };
  }
  const { compiled, source } = expression;
  const result = compiled.evaluate(bindings, { budget: budget.left });
  budget.left -= result.cost;
  if (result.costExceeded === "budget" || budget.left < 0) throw new OutOfBudget();
  if (result.value !== undefined) return { value: result.value };
  const cause = result.error ?? tooCostly;
  return { error: `expression '${source}' resulted in error: ${cause}`, cause };
}

/** Match conditions, ready to be asked. */
export interface Conditions {
  /** The name of the first one that is false; undefined when all are true. Throws an Error with upstream's words when one fails and none is false. */
  firstFalse(bindings: (name: string) => Cel.Value | undefined): string | undefined;
}

export function compileConditions(
  cel: CelModule,
  conditions: readonly MatchCondition[],
  declared: Declared,
): Conditions {
  const compiled = conditions.map(({ name, expression }) => ({
    name,
    expression: compileFor(cel, expression, declared, cel.bool),
  }));
  return {
    firstFalse(bindings) {
      const budget: Budget = { left: cel.costLimits.matchConditions };
      const errors: string[] = [];
      for (const { name, expression } of compiled) {
        const result = evaluate(expression, bindings, budget);
        if ("error" in result) errors.push(result.error);
        else if (result.value !== true) return name;
      }
      if (errors.length === 0) return undefined;
      throw new Error(errors.length === 1 ? errors[0] : `[${errors.join(", ")}]`);
    },
  };
}
