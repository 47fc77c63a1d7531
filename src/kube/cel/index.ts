import { check, type Checked } from "./checker.ts";
import { costLimits, type Range } from "./cost.ts";
import { estimate } from "./estimate.ts";
import { compile, costExceeded, type Frame } from "./evaluator.ts";
import { kubernetesFunctions } from "./libraries/index.ts";
import type { Expr } from "./syntax/ast.ts";
import { showIssues, SyntaxFault } from "./syntax/errors.ts";
import { parse } from "./syntax/parser.ts";
import { describeType, isDyn, type CelType, type ObjectType } from "./types.ts";
import { EvaluationFault, type Value } from "./values.ts";

export { costLimits, type Range } from "./cost.ts";
export {
  authorizerType,
  authorizerValue,
  resourceCheckType,
  resourceCheckValue,
  type AuthorizationAnswer,
  type AuthorizationQuestion,
  type ExpressionAuthorizer,
} from "./libraries/authorization.ts";
export {
  dynamicValue,
  escapeProperty,
  toJson,
  typeOfSchema,
  valueOf,
  type CelSchema,
  type SchemaOptions,
} from "./schema.ts";
export * from "./types.ts";
export {
  EvaluationFault,
  itemsOf,
  listValue,
  mapValue,
  type ListValue,
  type MapValue,
  type ObjectValue,
  type OpaqueValue,
  type Value,
} from "./values.ts";

export interface ExpressionOptions {
  /** Names (which may have dots) and what is known of them; `dyn` for nothing. */
  readonly variables: Readonly<Record<string, CelType>>;
  /** Types that the result may have; absent: any. A result of which nothing is known is taken, and looked at by who asked. */
  readonly resultType?: CelType | readonly CelType[];
  /** Types that can be written as `Name{field: value}`. */
  readonly structs?: (name: string) => ObjectType | undefined;
}

export interface CompileError {
  readonly ok: false;
  /** As upstream: with the place in the expression, over several lines. */
  readonly message: string;
  /** `syntax` and `type`: `message` tells what is wrong where; `result`: the expression is right but gives something else. */
  readonly reason: "syntax" | "type" | "result";
}

/** Values by name; one that is missing fails when it is read. */
export type Bindings = Readonly<Record<string, Value | undefined>> | ((name: string) => Value | undefined);

export type Evaluation = {
  /** What the run cost. */
  readonly cost: number;
} & (
  | { readonly value: Value; readonly error?: never; readonly costExceeded?: never }
  | { readonly error: string; readonly value?: never; readonly costExceeded?: never }
  /** `call`: more than one evaluation may cost; `budget`: more than was left. */
  | { readonly costExceeded: "call" | "budget"; readonly value?: never; readonly error?: never }
);

export interface Compiled {
  readonly ok: true;
  readonly source: string;
  readonly type: CelType;
  /** What one run costs at least and at most; `max` is Infinity when nothing bounds it. */
  estimate(): Range;
  /** Runs the expression. `budget` is what it may cost, beside the limit for one call. Never throws for what the expression does. */
  evaluate(bindings: Bindings, options?: { readonly budget?: number }): Evaluation;
  /** True when the expression reads the variable. */
  uses(variable: string): boolean;
}

/** Reads and checks an expression with Kubernetes' functions. */
export function compileExpression(source: string, options: ExpressionOptions): Compiled | CompileError {
  const { variables, resultType, structs } = options;
  let expr: Expr;
  try {
    expr = parse(source);
  } catch (error) {
    if (!(error instanceof SyntaxFault)) throw error;
    return { ok: false, reason: "syntax", message: showIssues(source, [error]) };
  }
  const checked = check(expr, {
    functions: kubernetesFunctions,
    variables: new Map(Object.entries(variables)),
    ...(structs ? { structs } : {}),
  });
  if (checked.issues.length > 0) return { ok: false, reason: "type", message: showIssues(source, checked.issues) };
  const wanted = resultType === undefined ? [] : Array.isArray(resultType) ? resultType : [resultType as CelType];
  if (wanted.length > 0 && !isDyn(checked.type) && !wanted.some((type: CelType) => type.kind === checked.type.kind)) {
    const names = wanted.map(resultName).join(" ");
    const what = wanted.length === 1 ? names : `one of [${names}]`;
    return { ok: false, reason: "result", message: `must evaluate to ${what} but got ${resultName(checked.type)}` };
  }
  return compiled(source, expr, checked);
}

const ownNames: Readonly<Record<string, string>> = {
  null: "null_type",
  timestamp: "google.protobuf.Timestamp",
  duration: "google.protobuf.Duration",
};

/** Types of results have the names of their protobuf messages. */
const resultName = (type: CelType): string => ownNames[type.kind] ?? describeType(type);

function compiled(source: string, expr: Expr, checked: Checked): Compiled {
  const program = compile(expr, checked);
  let estimated: Range | undefined;
  return {
    ok: true,
    source,
    type: checked.type,
    estimate: () => (estimated ??= estimate(expr, checked)),
    uses: (variable) => [...checked.notes.values()].some((note) => note.variable === variable),
    evaluate: (bindings, { budget = costLimits.perCall } = {}) => {
      const frame: Frame = {
        cost: 0,
        limit: Math.min(budget, costLimits.perCall),
        variable: typeof bindings === "function" ? bindings : (name) => bindings[name],
        locals: [],
      };
      try {
        return { value: program(frame), cost: frame.cost };
      } catch (error) {
        const { cost } = frame;
        if (error instanceof EvaluationFault) {
          if (error.code === "EvaluationFault") return { error: error.message, cost };
          return { costExceeded: budget < costLimits.perCall ? "budget" : "call", cost };
        }
        throw error;
      }
    },
  };
}

export { costExceeded };
