import {
  compileFor,
  resolve,
  type Cel,
  type CelModule,
  type ExpressionWarning,
  type ValidatingAdmissionPolicy,
} from "../../../kube/index.ts";
import type { Catalog, Served } from "../../resources/index.ts";
import { compileVariables } from "./expressions.ts";

/** Kinds that one policy is checked against at most. */
const maxKinds = 10;

/**
 * What is wrong with the expressions of a policy for the kinds that its rules name: `status.typeChecking`. Rules with a star name none.
 * Nothing of this keeps the policy from being evaluated.
 */
export function typeCheck(cel: CelModule, catalog: Catalog, policy: ValidatingAdmissionPolicy): ExpressionWarning[] {
  const { spec } = policy;
  const kinds = kindsOf(catalog, policy);
  const { paramKind } = spec;
  const params = paramKind && catalog.all().find((served) => isKind(served, paramKind));
  const paramsType = params && typeOf(cel, params);
  const warnings: ExpressionWarning[] = [];
  const check = (fieldRef: string, source: string): void => {
    let warning = "";
    for (const served of kinds) {
      const objectType = typeOf(cel, served);
      if (!objectType) continue;
      const declared = { params: paramKind !== undefined, authorizer: true, objectType, paramsType };
      const { types } = compileVariables(cel, spec.variables ?? [], declared);
      const expression = compileFor(cel, source, { ...declared, variables: types });
      if ("compiled" in expression) continue;
      const { group, version, kind } = served.resource;
      const issues = expression.compileError.replace(/^compilation failed: /, "");
      warning += `${warning ? "\n" : ""}${group}/${version}, Kind=${kind}: ${issues}\n`;
    }
    if (warning) warnings.push({ fieldRef, warning });
  };
  for (const [i, { expression, messageExpression }] of (spec.validations ?? []).entries()) {
    check(`spec.validations[${i}].expression`, expression);
    if (messageExpression) check(`spec.validations[${i}].messageExpression`, messageExpression);
  }
  return warnings;
}

const isKind = ({ resource }: Served, { apiVersion, kind }: { apiVersion?: string; kind?: string }): boolean =>
  resource.kind === kind &&
  (resource.group ? `${resource.group}/${resource.version}` : resource.version) === apiVersion;

function typeOf(cel: CelModule, served: Served): Cel.CelType | undefined {
  const schema = served.schema();
  return schema && cel.typeOfSchema(schema.definition, { resolve, plainKeywords: true });
}

/** The kinds that rules name in full, in the order of group, version and kind. */
function kindsOf(catalog: Catalog, { spec }: ValidatingAdmissionPolicy): Served[] {
  const found = new Set<Served>();
  for (const { apiGroups = [], apiVersions = [], resources = [] } of spec.matchConstraints?.resourceRules ?? []) {
    if ([...apiGroups, ...apiVersions].some((name) => name.includes("*"))) continue;
    for (const group of apiGroups)
      for (const version of apiVersions)
        for (const resource of resources) {
          const served = /[*/]/.test(resource) ? undefined : catalog.find(group, version, resource);
          if (served && found.size < maxKinds) found.add(served);
        }
  }
  const order = ({ resource: { group, version, kind } }: Served): string => `${group}\0${version}\0${kind}`;
  return [...found].sort((a, b) => (order(a) < order(b) ? -1 : 1));
}
