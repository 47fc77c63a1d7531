import {
  type Expression,
  compileFor,
  loadCel,
  resources,
  StatusError,
  statusError,
  type Cel,
  type CelModule,
  type KubeObject,
  type StatusReason,
  type ValidatingAdmissionPolicy,
  type ValidatingAdmissionPolicyBinding,
} from "../../../kube/index.ts";
import { qualified, type Admission, type AdmissionRequest } from "../../registry/index.ts";
import { matchRequest } from "../match.ts";
import type { Inputs } from "./environment.ts";
import {
  compileConditions,
  compileVariables,
  createBindings,
  evaluate,
  OutOfBudget,
  type Budget,
  type Conditions,
} from "./expressions.ts";
import {
  createPolicyMatcher,
  namespaceNameOf,
  namespaceOf,
  seenAs,
  type Match as AnyMatch,
  type PolicyOptions,
} from "./hooks.ts";
import { createParamFinder } from "./params.ts";

const maxMessage = 5 * 1024;
const maxAnnotation = 10 * 1024;

type Match = AnyMatch<ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, CompiledPolicy>;

interface CompiledPolicy {
  readonly conditions?: Conditions;
  readonly variables: ReadonlyMap<string, Expression>;
  readonly validations: readonly {
    readonly expression: Expression;
    readonly messageExpression?: Expression;
    readonly message: string | undefined;
    readonly reason: string | undefined;
  }[];
  readonly annotations: readonly { readonly key: string; readonly expression: Expression }[];
}

export interface Refusal {
  readonly message: string;
  readonly reason?: string | undefined;
}

/** ValidatingAdmissionPolicies: refuses, warns of or remarks on what their expressions say no to. */
export function validatingPolicies(options: PolicyOptions): Admission {
  const { storage, catalog, authorizer } = options;
  const paramsFor = createParamFinder(storage, catalog);
  const matching = createPolicyMatcher<ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, CompiledPolicy>(
    resources.ValidatingAdmissionPolicy,
    resources.ValidatingAdmissionPolicyBinding,
    options,
  );

  const askAll = async (request: AdmissionRequest, matches: readonly Match[]): Promise<void> => {
    const cel = await loadCel();
    const refusals: Refusal[] = [];
    for (const match of matches) await ask(cel, request, match, refusals);
    const [first] = refusals;
    if (first) throw denied(request, first);
  };

  const ask = async (cel: CelModule, request: AdmissionRequest, match: Match, refusals: Refusal[]): Promise<void> => {
    const { hook, subject } = match;
    const { policy } = hook;
    const name = policy.metadata.name;
    const ignores = policy.spec.failurePolicy === "Ignore";
    const misconfigured = (error: unknown, binding?: string): void => {
      if (ignores) return;
      const message = error instanceof Error ? error.message : String(error);
      refusals.push({
        message: binding
          ? `ValidatingAdmissionPolicy '${name}' with binding '${binding}' denied request: failed to configure binding: ${message}`
          : `ValidatingAdmissionPolicy '${name}' denied request: failed to configure policy: ${message}`,
      });
    };
    const seen = await seenAs(request, match);
    const namespace = namespaceOf(storage, request);
    const annotations = new Map<string, string[]>();
    for (const { binding, match: own } of hook.bindings) {
      if (own && !matchRequest(own, subject)) continue;
      const bindingName = binding.metadata.name;
      let params: readonly (KubeObject | undefined)[];
      try {
        params = await paramsFor(policy.spec.paramKind, binding.spec.paramRef, namespaceNameOf(request));
      } catch (error) {
        misconfigured(error, bindingName);
        continue;
      }
      for (const param of params) {
        const compiled = (hook.compiled ??= compilePolicy(cel, policy));
        const result = evaluatePolicy(cel, compiled, { seen, authorizer, params: param, namespace }, ignores);
        for (const [index, decision] of result.decisions.entries()) {
          if (!decision) continue;
          for (const action of binding.spec.validationActions) {
            if (action === "Deny")
              refusals.push({
                message: `ValidatingAdmissionPolicy '${name}' with binding '${bindingName}' denied request: ${decision.message}`,
                reason: decision.reason,
              });
            else if (action === "Warn")
              request.context.warn(
                `Validation failed for ValidatingAdmissionPolicy '${name}' with binding '${bindingName}': ${decision.message}`,
              );
            else if (action === "Audit")
              request.context.annotate?.(
                "validation.policy.admission.k8s.io/validation_failure",
                JSON.stringify([
                  {
                    message: decision.message,
                    policy: binding.spec.policyName,
                    binding: bindingName,
                    expressionIndex: index,
                    validationActions: binding.spec.validationActions,
                  },
                ]),
              );
          }
        }
        for (const { key, value, error } of result.annotations) {
          if (error !== undefined) {
            if (!ignores)
              refusals.push({
                message: `ValidatingAdmissionPolicy '${name}' with binding '${bindingName}' denied request: ${error}`,
              });
          } else if (value !== undefined) {
            const values = annotations.get(key) ?? [];
            if (!values.includes(value)) annotations.set(key, [...values, value]);
          }
        }
      }
    }
    for (const [key, values] of annotations) request.context.annotate?.(`${name}/${key}`, values.join(", "));
  };

  return (request) => {
    const matches = matching(request);
    return matches.length === 0 ? undefined : askAll(request, matches);
  };
}

/** The policy's expressions with what they may read. One that is wrong fails when it is asked. */
function compilePolicy(cel: CelModule, { spec }: ValidatingAdmissionPolicy): CompiledPolicy {
  const declared = { params: spec.paramKind !== undefined, authorizer: true };
  const { expressions: variables, types } = compileVariables(cel, spec.variables ?? [], declared);
  const full = { ...declared, variables: types };
  const { matchConditions = [], validations = [], auditAnnotations = [] } = spec;
  return {
    ...(matchConditions.length > 0 ? { conditions: compileConditions(cel, matchConditions, full) } : {}),
    variables,
    validations: validations.map(({ expression, message, messageExpression, reason }) => ({
      expression: compileFor(cel, expression, full, cel.bool),
      ...(messageExpression
        ? { messageExpression: compileFor(cel, messageExpression, { ...full, authorizer: false }, cel.string) }
        : {}),
      message,
      reason,
    })),
    annotations: auditAnnotations.map(({ key, valueExpression }) => ({
      key,
      expression: compileFor(cel, valueExpression, full, [cel.string, cel.nullType]),
    })),
  };
}

interface Outcome {
  /** What each validation says; undefined for yes. */
  readonly decisions: readonly (Refusal | undefined)[];
  readonly annotations: readonly { readonly key: string; readonly value?: string; readonly error?: string }[];
}

const nothing: Outcome = { decisions: [], annotations: [] };

function evaluatePolicy(cel: CelModule, policy: CompiledPolicy, inputs: Inputs, ignores: boolean): Outcome {
  const budget: Budget = { left: cel.costLimits.perObject };
  const bindings = createBindings(cel, inputs, policy.variables, budget);
  const failed = (error: unknown): Outcome => {
    const message = error instanceof Error ? error.message : String(error);
    return ignores ? nothing : { decisions: [{ message }], annotations: [] };
  };
  try {
    if (policy.conditions?.firstFalse(bindings) !== undefined) return nothing;
    const decisions = policy.validations.map((validation): Refusal | undefined => {
      const result = evaluate(validation.expression, bindings, budget);
      if ("error" in result) return ignores ? undefined : { message: result.error };
      if (result.value === true) return undefined;
      return { message: messageOf(validation, bindings, budget), reason: validation.reason };
    });
    const annotations = policy.annotations.map(({ key, expression }) => {
      const result = evaluate(expression, bindings, budget);
      if ("error" in result) return { key, error: result.error };
      if (result.value === null) return { key };
      if (typeof result.value !== "string")
        return {
          key,
          error: `valueExpression '${expression.source}' resulted in unsupported return type. Return type must be either string or null.`,
        };
      const value = result.value.trim().slice(0, maxAnnotation);
      return value ? { key, value } : { key };
    });
    return { decisions, annotations };
  } catch (error) {
    if (error instanceof StatusError || !(error instanceof Error)) throw error;
    return failed(error);
  }
}

/** What the policy's author wants to be said: by an expression, else the text, else the expression that was false. */
function messageOf(
  { messageExpression, message, expression }: CompiledPolicy["validations"][number],
  bindings: (name: string) => Cel.Value | undefined,
  budget: Budget,
): string {
  if (messageExpression) {
    try {
      const result = evaluate(messageExpression, bindings, budget);
      if ("value" in result && typeof result.value === "string") {
        const text = result.value.trim();
        if (text && !text.includes("\n") && Buffer.byteLength(text) <= maxMessage) return text;
      }
    } catch (error) {
      if (error instanceof OutOfBudget) return `failed messageExpression: ${error.message}`;
      throw error;
    }
  }
  return message?.trim() || `failed expression: ${expression.source.trim()}`;
}

const reasons: ReadonlySet<string> = new Set(["Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge"]);

/** A StatusError with the policy's reason and its code; the text is that of all refusals of admission. */
export function denied(
  { context, name, object }: AdmissionRequest,
  { message, reason = "Invalid" }: Refusal,
): StatusError {
  const { resource } = context;
  const shown = name || object?.metadata?.generateName || "Unknown";
  return statusError(
    (reasons.has(reason) ? reason : "Invalid") as StatusReason,
    `${qualified(resource)} ${JSON.stringify(shown)} is forbidden: ${message}`,
    {
      ...(name ? { name } : {}),
      ...(resource.group ? { group: resource.group } : {}),
      kind: resource.plural,
      causes: [{ message }],
    },
  );
}
