import { createStrategy, type KindRules } from "../base-strategy.ts";
import type {
  AuditAnnotation,
  MutatingAdmissionPolicy,
  Mutation,
  ParamKind,
  TypeChecking,
  ValidatingAdmissionPolicy,
  Validation,
  Variable,
} from "../generated/types.ts";
import type * as Cel from "../cel/index.ts";
import { resources } from "../resource.ts";
import type { Strategy } from "../strategy.ts";
import { validateConditions } from "../validation/condition.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateChoice, validateOneOf } from "../validation/ports.ts";
import { jsonEqual } from "../values/equal.ts";
import { isQualifiedName } from "../values/names.ts";
import {
  compileFor,
  createLanguage,
  mutationStructs,
  validateExpression,
  type Declared,
  type ExpressionCheck,
} from "./expressions.ts";
import { validateMatchConditions } from "./match-conditions.ts";
import { defaultMatch, failurePolicies, validateMatch, validateParamKind } from "./match-resources.ts";

const mostAnnotations = 20;
const longestAnnotation = 5 * 1024;
const reasons = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
const neither = "validations or auditAnnotations must contain at least one item";

type Policy = ValidatingAdmissionPolicy | MutatingAdmissionPolicy;

const language = createLanguage();

/** What both kinds of policies do alike. */
const common = {
  allowUnconditionalUpdate: false,
  generationOf: ({ spec }: Policy) => spec,
  defaults({ spec }: Policy) {
    if (!spec) return;
    spec.failurePolicy ??= "Fail";
    if (spec.matchConstraints) defaultMatch(spec.matchConstraints);
  },
} satisfies KindRules<Policy>;

/** Expressions that an update leaves as they are were checked when they came. */
const checkOf = (policy: Policy, old: Policy | undefined): ExpressionCheck =>
  old && jsonEqual(old.spec, policy.spec) ? undefined : language.loaded();

/** Policies that refuse requests by expressions (KEP-3488). */
export const validatingAdmissionPolicyStrategy: Strategy = {
  ...createStrategy(resources.ValidatingAdmissionPolicy, {
    ...common,
    statusKeeps: "metadata",
    *validate(policy, _context, old) {
      const check = checkOf(policy, old);
      const declared = yield* validateCommon(policy, check);
      const { validations = [], auditAnnotations = [] } = policy.spec;
      if (validations.length === 0 && auditAnnotations.length === 0) {
        yield fault.required("spec.validations", neither);
        yield fault.required("spec.auditAnnotations", neither);
      }
      for (const [i, validation] of validations.entries())
        yield* validateValidation(validation, `spec.validations[${i}]`, check, declared);
      yield* validateAnnotations(policy.metadata.name, auditAnnotations, check, declared);
    },
    *validateStatus({ status }) {
      yield* validateWarnings(status?.typeChecking ?? {});
      yield* validateConditions(status?.conditions ?? [], "status.conditions");
    },
  }),
  ready: language.ready,
};

/** Policies that change objects by expressions (KEP-3962). */
export const mutatingAdmissionPolicyStrategy: Strategy = {
  ...createStrategy(resources.MutatingAdmissionPolicy, {
    ...common,
    *validate(policy, _context, old) {
      const check = checkOf(policy, old);
      const declared = yield* validateCommon(policy, check);
      const { mutations = [], reinvocationPolicy } = policy.spec;
      if (mutations.length === 0) yield fault.required("spec.mutations", "mutations must contain at least one item");
      for (const [i, mutation] of mutations.entries())
        yield* validateMutation(mutation, `spec.mutations[${i}]`, check, declared);
      yield* validateChoice(reinvocationPolicy, ["IfNeeded", "Never"], "spec.reinvocationPolicy");
    },
  }),
  ready: language.ready,
};

/** Faults of what both kinds of policies have; gives what their further expressions may read. */
function* validateCommon({ kind, spec }: Policy, check: ExpressionCheck): Generator<FaultOf, Declared> {
  const { paramKind, matchConstraints, matchConditions = [], variables = [] } = spec;
  yield* validateOneOf(spec.failurePolicy ?? "", failurePolicies, "spec.failurePolicy");
  if (paramKind) yield* validateParamKind(paramKind, "spec.paramKind");
  if (!matchConstraints) yield fault.required("spec.matchConstraints");
  else {
    yield* validateMatch(matchConstraints, "spec.matchConstraints");
    // They say of what types the objects are.
    if (!matchConstraints.resourceRules?.length) yield fault.required("spec.matchConstraints.resourceRules");
  }
  const declared = declaredBy(kind, paramKind, check);
  // Conditions are asked before any variable has a value.
  yield* validateMatchConditions(matchConditions, "spec.matchConditions", check, declared);
  const types = new Map<string, Cel.CelType>();
  for (const [i, variable] of variables.entries())
    yield* validateVariable(variable, `spec.variables[${i}]`, check, { ...declared, variables: types }, types);
  return variables.length > 0 ? { ...declared, variables: types } : declared;
}

type FaultOf = Faults extends Iterable<infer F> ? F : never;

const declaredBy = (kind: string, paramKind: ParamKind | undefined, check: ExpressionCheck): Declared => ({
  params: paramKind !== undefined,
  authorizer: true,
  ...(check && kind === "MutatingAdmissionPolicy" ? { structs: mutationStructs(check) } : {}),
});

const reserved: ReadonlySet<string> = new Set(
  "true false null in as break const continue else for function if import let loop package namespace return var void while".split(
    " ",
  ),
);

const isIdentifier = (name: string): boolean => /^[_a-zA-Z][_a-zA-Z0-9]*$/.test(name) && !reserved.has(name);

function* validateVariable(
  { name, expression }: Variable,
  path: string,
  check: ExpressionCheck,
  declared: Declared,
  types: Map<string, Cel.CelType>,
): Faults {
  if (name.trim() === "") yield fault.required(`${path}.name`, "name is not specified");
  else if (!isIdentifier(name)) yield fault.invalid(`${path}.name`, name, "must be a valid CEL identifier");
  if (expression.trim() === "") {
    yield fault.required(`${path}.expression`, "expression is not specified");
    return;
  }
  if (!check) return;
  const compiled = compileFor(check, expression, declared);
  if ("compileError" in compiled) yield fault.invalid(`${path}.expression`, expression, compiled.compileError);
  // What reads it need not be told again that it is wrong.
  types.set(name, "compiled" in compiled ? compiled.compiled.type : check.dyn);
}

function* validateValidation(
  { expression, message = "", messageExpression = "", reason }: Validation,
  path: string,
  check: ExpressionCheck,
  declared: Declared,
): Faults {
  if (expression.trim() === "") yield fault.required(`${path}.expression`, "expression is not specified");
  else yield* validateExpression(check, expression, `${path}.expression`, declared, check?.bool);
  const at = `${path}.messageExpression`;
  if (messageExpression.trim() !== "")
    yield* validateExpression(check, messageExpression, at, { ...declared, authorizer: false }, check?.string);
  else if (messageExpression !== "") yield fault.invalid(at, messageExpression, "must be non-empty if specified");
  const text = message.trim();
  if (message !== "" && text === "") yield fault.invalid(`${path}.message`, message, "must be non-empty if specified");
  else if (/[\n\r]/.test(text)) yield fault.invalid(`${path}.message`, message, "must not contain line breaks");
  if (reason !== undefined) yield* validateOneOf(reason, reasons, `${path}.reason`);
}

function* validateAnnotations(
  name: string,
  annotations: readonly AuditAnnotation[],
  check: ExpressionCheck,
  declared: Declared,
): Faults {
  if (annotations.length > mostAnnotations)
    yield fault.invalid(
      "spec.auditAnnotations",
      annotations,
      `must not have more than ${mostAnnotations} auditAnnotations`,
    );
  const keys = new Set<string>();
  for (const [i, { key, valueExpression }] of annotations.entries()) {
    const path = `spec.auditAnnotations[${i}]`;
    const full = `${name}/${key}`;
    yield* invalids(`${path}.key`, full, isQualifiedName(full));
    const at = `${path}.valueExpression`;
    const source = valueExpression.trim();
    if (source === "") yield fault.required(at, "valueExpression is not specified");
    else if (Buffer.byteLength(source) > longestAnnotation)
      yield fault.required(at, `must not exceed ${longestAnnotation} bytes in length`);
    else {
      const types = check && [check.string, check.nullType];
      yield* validateExpression(check, source, at, declared, types, valueExpression);
    }
    if (keys.has(key)) yield fault.duplicate(`${path}.key`, key);
    keys.add(key);
  }
}

const patchFields = { ApplyConfiguration: "applyConfiguration", JSONPatch: "jsonPatch" } as const;

function* validateMutation(mutation: Mutation, path: string, check: ExpressionCheck, declared: Declared): Faults {
  const { patchType } = mutation;
  const types = Object.keys(patchFields);
  if (!types.includes(patchType)) {
    yield* validateChoice(patchType, types, `${path}.patchType`);
    return;
  }
  const own = patchFields[patchType as keyof typeof patchFields];
  const other = own === "jsonPatch" ? "applyConfiguration" : "jsonPatch";
  if (mutation[other])
    yield fault.forbidden(`${path}.${other}`, `must not be specified when patchType is ${patchType}`);
  const { expression = "" } = mutation[own] ?? {};
  if (!mutation[own]) yield fault.required(`${path}.${own}`, `must be specified when patchType is ${patchType}`);
  else if (expression.trim() === "") yield fault.required(`${path}.${own}.expression`, "expression is not specified");
  else {
    const object: Cel.CelType = { kind: "object", name: "Object", fields: () => new Map() };
    const type = own === "jsonPatch" ? check?.listOf(check.dyn) : object;
    yield* validateExpression(check, expression, `${path}.${own}.expression`, declared, type);
  }
}

function* validateWarnings({ expressionWarnings = [] }: TypeChecking): Faults {
  for (const [i, { fieldRef, warning }] of expressionWarnings.entries()) {
    const path = `status.typeChecking.expressionWarnings[${i}]`;
    if (warning === "") yield fault.required(`${path}.warning`);
    if (fieldRef.trim() === "") yield fault.required(`${path}.fieldRef`);
  }
}
