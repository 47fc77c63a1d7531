import {
  fault,
  invalid,
  jsonEqual,
  loadCel,
  resources,
  type Cel,
  type CelModule,
  type FieldError,
  type KubeObject,
  type MatchCondition,
  type MutatingAdmissionPolicy,
  type MutatingWebhookConfiguration,
  type Resource,
  type ValidatingAdmissionPolicy,
} from "../../../kube/index.ts";
import type { Admission } from "../../registry/index.ts";
import type { Declared } from "./environment.ts";
import { compileFor } from "./expressions.ts";
import { mutationStructs } from "./structs.ts";

type Check = (
  path: string,
  source: string,
  declared: Declared,
  type?: Cel.CelType | readonly Cel.CelType[],
) => Cel.CelType;

/** Policies and webhooks whose expressions do not compile are refused when they are written. Nothing is checked that an update leaves as it was. */
export const checkExpressions: Admission = ({ operation, context, object, old, name }) => {
  if (!object || (operation !== "CREATE" && operation !== "UPDATE") || context.subresource !== "") return undefined;
  const find = checks.get(context.resource);
  if (!find || (old && jsonEqual(bodyOf(old), bodyOf(object)))) return undefined;
  return loadCel().then((cel) => {
    const faults: FieldError[] = [];
    find(cel, object, (path, source, declared, type) => {
      const expression = compileFor(cel, source, declared, type);
      if ("compiled" in expression) return expression.compiled.type;
      faults.push(fault.invalid(path, source, expression.compileError));
      return cel.dyn;
    });
    if (faults.length > 0) throw invalid(context.resource, object.metadata?.name ?? name, faults);
  });
};

const bodyOf = (object: KubeObject): unknown => {
  const { spec, webhooks } = object as { spec?: unknown; webhooks?: unknown };
  return { spec, webhooks };
};

type Find = (cel: CelModule, object: KubeObject, check: Check) => void;

const checks = new Map<Resource, Find>([
  [
    resources.ValidatingAdmissionPolicy,
    (cel, object, check) => validating(cel, object as ValidatingAdmissionPolicy, check),
  ],
  [resources.MutatingAdmissionPolicy, (cel, object, check) => mutating(cel, object as MutatingAdmissionPolicy, check)],
  [resources.ValidatingWebhookConfiguration, webhooks],
  [resources.MutatingWebhookConfiguration, webhooks],
]);

function conditions(
  cel: CelModule,
  path: string,
  matchConditions: readonly MatchCondition[] | undefined,
  declared: Declared,
  check: Check,
): void {
  for (const [i, { expression }] of (matchConditions ?? []).entries())
    check(`${path}[${i}].expression`, expression, declared, cel.bool);
}

/** The expressions that policies of both kinds have; what those after them may read. */
function common(
  cel: CelModule,
  spec: ValidatingAdmissionPolicy["spec"] | MutatingAdmissionPolicy["spec"],
  declared: Declared,
  check: Check,
): Declared {
  const types = new Map<string, Cel.CelType>();
  for (const [i, { name, expression }] of (spec.variables ?? []).entries())
    types.set(name, check(`spec.variables[${i}].expression`, expression, { ...declared, variables: types }));
  const full = { ...declared, variables: types };
  conditions(cel, "spec.matchConditions", spec.matchConditions, full, check);
  return full;
}

function validating(cel: CelModule, { spec }: ValidatingAdmissionPolicy, check: Check): void {
  const full = common(cel, spec, { params: spec.paramKind !== undefined, authorizer: true }, check);
  for (const [i, { expression, messageExpression }] of (spec.validations ?? []).entries()) {
    check(`spec.validations[${i}].expression`, expression, full, cel.bool);
    if (messageExpression)
      check(`spec.validations[${i}].messageExpression`, messageExpression, { ...full, authorizer: false }, cel.string);
  }
  for (const [i, { valueExpression }] of (spec.auditAnnotations ?? []).entries())
    check(`spec.auditAnnotations[${i}].valueExpression`, valueExpression, full, [cel.string, cel.nullType]);
}

function mutating(cel: CelModule, { spec }: MutatingAdmissionPolicy, check: Check): void {
  const declared = { params: spec.paramKind !== undefined, authorizer: true, structs: mutationStructs(cel) };
  const full = common(cel, spec, declared, check);
  const object: Cel.CelType = { kind: "object", name: "Object", fields: () => new Map() };
  for (const [i, { applyConfiguration, jsonPatch }] of (spec.mutations ?? []).entries()) {
    const path = `spec.mutations[${i}]`;
    if (applyConfiguration?.expression)
      check(`${path}.applyConfiguration.expression`, applyConfiguration.expression, full, object);
    if (jsonPatch?.expression) check(`${path}.jsonPatch.expression`, jsonPatch.expression, full, cel.listOf(cel.dyn));
  }
}

function webhooks(cel: CelModule, object: KubeObject, check: Check): void {
  for (const [i, { matchConditions }] of ((object as MutatingWebhookConfiguration).webhooks ?? []).entries())
    conditions(cel, `webhooks[${i}].matchConditions`, matchConditions, { params: false, authorizer: true }, check);
}
