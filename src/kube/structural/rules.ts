import type { Compiled, CelType, Value } from "../cel/index.ts";
import type { FieldError } from "../field-error.ts";
import type { CelModule } from "../load-cel.ts";
import { isObject, jsonEqual } from "../values/equal.ts";
import { fieldSchema, hasInside, itemsOf, valuesOf, type JsonSchema, type ValidationRule } from "./json-schema.ts";
import { child, textOf, type Path } from "./path.ts";
import { correlatedField, correlatedItems } from "./validate.ts";

/** A rule of a schema, read and checked. */
export interface CompiledRule {
  readonly rule: ValidationRule;
  readonly program?: Compiled;
  readonly message?: Compiled;
  /** What is wrong with the rule, or with the expression of its message. */
  readonly problem?: string;
  readonly messageProblem?: string;
  readonly usesOld: boolean;
}

/** Compiles the rules that stand at one node of a schema. `isRoot`: the node is a whole object. */
export function compileRules(cel: CelModule, schema: JsonSchema, isRoot: boolean): CompiledRule[] {
  const rules = schema["x-kubernetes-validations"] ?? [];
  if (rules.length === 0) return [];
  const type = typeOf(cel, schema, isRoot);
  return rules.map((rule) => compileRule(cel, rule, type));
}

function typeOf(cel: CelModule, schema: JsonSchema, isRoot: boolean): CelType {
  // The words of a structural schema that expressions look at are those of a Definition.
  const known = cel.typeOfSchema(schema as Parameters<CelModule["typeOfSchema"]>[0], { root: isRoot });
  return known ?? { kind: "dyn" };
}

function compileRule(cel: CelModule, rule: ValidationRule, type: CelType): CompiledRule {
  if (rule.rule.trim() === "") return { rule, usesOld: false };
  const variables = { self: type, oldSelf: rule.optionalOldSelf ? cel.optionalOf(type) : type };
  const program = cel.compileExpression(rule.rule, { variables, resultType: { kind: "bool" } });
  if (!program.ok) {
    const problem =
      program.reason === "result" ? "cel expression must evaluate to a bool" : `compilation failed: ${program.message}`;
    return { rule, usesOld: false, problem };
  }
  const usesOld = program.uses("oldSelf");
  if (!rule.messageExpression) return { rule, program, usesOld };
  const message = cel.compileExpression(rule.messageExpression, { variables, resultType: { kind: "string" } });
  if (message.ok) return { rule, program, message, usesOld };
  const messageProblem =
    message.reason === "result"
      ? "messageExpression must evaluate to a string"
      : `messageExpression compilation failed: ${message.message}`;
  return { rule, program, usesOld, messageProblem };
}

/** What one run of all rules over an object works on. */
interface Run {
  readonly faults: FieldError[];
  /** Units of cost that are left; below 0: nothing more is run. */
  budget: number;
}

/** A value with what it was before, as far as the two can be told to belong together. */
interface Place {
  readonly value: unknown;
  readonly path: Path | undefined;
  readonly before: { readonly value: unknown } | undefined;
  /** True when this value, or the nearest one around it that is known from before, has not changed. */
  readonly isUnchanged: () => boolean;
}

/** Checks objects by the rules of a schema. Rules are compiled when the first object comes that they apply to. */
export interface RuleWalk {
  validate(object: unknown, old: unknown): FieldError[];
}

export function createRuleWalk(cel: CelModule, root: JsonSchema): RuleWalk {
  const compiled = new WeakMap<JsonSchema, readonly CompiledRule[]>();
  const types = new WeakMap<JsonSchema, CelType>();
  const isObjectRoot = (schema: JsonSchema): boolean =>
    schema === root || schema["x-kubernetes-embedded-resource"] === true;
  const rulesOf = (schema: JsonSchema): readonly CompiledRule[] => {
    let rules = compiled.get(schema);
    if (!rules) compiled.set(schema, (rules = compileRules(cel, schema, isObjectRoot(schema))));
    return rules;
  };
  const typeAt = (schema: JsonSchema): CelType => {
    let type = types.get(schema);
    if (!type) types.set(schema, (type = typeOf(cel, schema, isObjectRoot(schema))));
    return type;
  };

  const walk = (schema: JsonSchema, place: Place, run: Run): void => {
    const { value, path, before } = place;
    // A rule speaks of values; that a null may stand is for the rules around it.
    if (value === null || value === undefined || run.budget < 0) return;
    if (!hasInside(schema, "x-kubernetes-validations")) return;
    if (schema["x-kubernetes-validations"]) runRules(schema, place, run);
    const visit = (inner: JsonSchema | undefined, next: unknown, step: Path["step"], old: Place["before"]): void => {
      if (!inner || run.budget < 0) return;
      const isUnchanged = old ? once(() => jsonEqual(old.value, next)) : place.isUnchanged;
      walk(inner, { value: next, path: child(path, step), before: old, isUnchanged }, run);
    };
    if (Array.isArray(value)) {
      const items = itemsOf(schema);
      const oldOf = correlatedItems(schema, before);
      for (const [i, item] of value.entries()) visit(items, item, i, oldOf(item));
    } else if (isObject(value)) {
      for (const key of Object.keys(value)) {
        const isNamed = schema.properties !== undefined && Object.hasOwn(schema.properties, key);
        visit(fieldSchema(schema, key), value[key], isNamed ? key : { key }, correlatedField(before, key));
      }
    }
  };

  const runRules = (schema: JsonSchema, place: Place, run: Run): void => {
    const type = typeAt(schema);
    const self = once(() => cel.valueOf(place.value, type));
    const { before } = place;
    const hasOld = before !== undefined && before.value !== null && before.value !== undefined;
    const old = once(() => cel.valueOf(before?.value, type));
    for (const one of rulesOf(schema)) {
      if (run.budget < 0) return;
      const { rule, program, problem, usesOld } = one;
      const refuse = (detail: string): void => {
        run.faults.push({ type: "Invalid", field: shownPath(place.path), value: schema.type ?? "", detail });
      };
      if (problem !== undefined) refuse(`rule compile error: ${problem}`);
      if (!program || (usesOld && !hasOld && !rule.optionalOldSelf)) continue;
      if (run.budget === 0) {
        refuse(outOfBudget);
        run.budget = -1;
        return;
      }
      const bindings = (name: string): Value | undefined => {
        if (name === "self") return self();
        if (name !== "oldSelf") return undefined;
        if (rule.optionalOldSelf) return hasOld ? { kind: "optional", value: old() } : { kind: "optional" };
        return hasOld ? old() : undefined;
      };
      const result = program.evaluate(bindings, { budget: run.budget });
      run.budget -= result.cost;
      if (result.costExceeded !== undefined) {
        refuse(
          result.costExceeded === "budget"
            ? outOfBudget
            : `'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: ${nameOf(rule)}`,
        );
        run.budget = -1;
      } else if (result.error !== undefined) {
        refuse(
          result.error.startsWith("no such overload")
            ? `'${result.error}': call arguments did not match a supported operator, function or macro signature for rule: ${nameOf(rule)}`
            : `${result.error} evaluating rule: ${nameOf(rule)}`,
        );
      } else if (result.value !== true && (usesOld || !place.isUnchanged())) {
        run.faults.push(faultOf(one, schema, place, messageOf(one, bindings, run)));
      }
    }
  };

  return {
    validate(object, old) {
      const run: Run = { faults: [], budget: cel.costLimits.perObject };
      const before = old === undefined ? undefined : { value: old };
      const isUnchanged = once(() => before !== undefined && jsonEqual(before.value, object));
      walk(root, { value: object, path: undefined, before, isUnchanged }, run);
      return run.faults;
    },
  };
}

const outOfBudget = "validation failed due to running out of cost budget, no further validation rules will be run";
/** Bytes that the text of a message expression may have. */
const longestMessage = 5 * 1024;

const nameOf = ({ message, rule }: ValidationRule): string => (message ? message.trim() : rule.trim());
const shownPath = (path: Path | undefined): string => textOf(path) || "<nil>";

/** What a rule that does not hold says: its expression's text if it gives one, its message, or itself. */
function messageOf({ rule, message }: CompiledRule, bindings: (name: string) => Value | undefined, run: Run): string {
  const plain = rule.message ? rule.message.trim() : `failed rule: ${rule.rule.trim()}`;
  if (!message || run.budget <= 0) return plain;
  const result = message.evaluate(bindings, { budget: run.budget });
  run.budget -= result.cost;
  if (typeof result.value !== "string") return plain;
  const text = result.value.trim();
  return text === "" || text.includes("\n") || Buffer.byteLength(text) > longestMessage ? plain : text;
}

const types: Readonly<Record<string, FieldError["type"]>> = {
  FieldValueForbidden: "Forbidden",
  FieldValueRequired: "Required",
  FieldValueDuplicate: "Duplicate",
};

function faultOf({ rule }: CompiledRule, schema: JsonSchema, { value, path }: Place, detail: string): FieldError {
  const own = rule.fieldPath ? pathText(rule.fieldPath) : "";
  const at = textOf(path);
  const field = (own === "" ? at : at === "" ? own : `${at}.${own}`) || "<nil>";
  const type = types[rule.reason ?? ""] ?? "Invalid";
  const isBig = schema.type === "object" || schema.type === "array";
  if (type === "Duplicate")
    return isBig ? { type, field, withoutValue: true, detail: "" } : { type, field, value, detail: "" };
  return isBig ? { type, field, withoutValue: true, detail } : { type, field, value, detail };
}

/** `.spec['a.b']` as a path of a fault has it. */
function pathText(fieldPath: string): string {
  return fieldPath
    .trim()
    .replace(/^\./, "")
    .replace(/\['((?:[^'\\]|\\.)*)'\]/g, "[$1]");
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** The nodes of a schema that have rules, with how often a rule is run at most for one object: `Infinity` when nothing bounds it. */
export function* nodesWithRules(
  schema: JsonSchema,
  path: string,
  times = 1,
  isRoot = true,
): Generator<{ schema: JsonSchema; path: string; times: number; isRoot: boolean }> {
  if (!hasInside(schema, "x-kubernetes-validations")) return;
  const inner = (part: JsonSchema): boolean => part["x-kubernetes-embedded-resource"] === true;
  if (schema["x-kubernetes-validations"]) yield { schema, path, times, isRoot };
  const items = itemsOf(schema);
  const values = valuesOf(schema);
  if (items) yield* nodesWithRules(items, `${path}.items`, times * (schema.maxItems ?? Infinity), inner(items));
  if (values)
    yield* nodesWithRules(
      values,
      `${path}.additionalProperties`,
      times * (schema.maxProperties ?? Infinity),
      inner(values),
    );
  for (const [name, property] of Object.entries(schema.properties ?? {}))
    yield* nodesWithRules(property, `${path}.properties[${name}]`, times, inner(property));
}
