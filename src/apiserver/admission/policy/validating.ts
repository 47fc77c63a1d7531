import {
  loadCel,
  resources,
  StatusError,
  statusError,
  type Cel,
  type CelModule,
  type KubeObject,
  type MatchResources,
  type Namespace,
  type StatusReason,
  type ValidatingAdmissionPolicy,
  type ValidatingAdmissionPolicyBinding,
} from "../../../kube/index.ts";
import type { Authorizer } from "../../auth/index.ts";
import { qualified, type Admission, type AdmissionRequest } from "../../registry/index.ts";
import type { Catalog } from "../../resources/index.ts";
import { keyFor, prefixFor, type Storage } from "../../storage/index.ts";
import { isAdmissionConfiguration, matchRequest, type AdmissionMatch, type AdmissionSubject } from "../match.ts";
import { subjectOf, type Equivalent, type FindEquivalents } from "../subject.ts";
import type { SeenRequest } from "./environment.ts";
import {
  compileConditions,
  compileFor,
  compileVariables,
  createBindings,
  evaluate,
  OutOfBudget,
  type Budget,
  type Conditions,
  type Expression,
} from "./expressions.ts";
import { createParamFinder } from "./params.ts";

export interface PolicyOptions {
  readonly storage: Storage;
  readonly catalog: Catalog;
  readonly authorizer: Authorizer;
  readonly equivalents: FindEquivalents;
}

const policyKind = resources.ValidatingAdmissionPolicy;
const bindingKind = resources.ValidatingAdmissionPolicyBinding;
const maxMessage = 5 * 1024;
const maxAnnotation = 10 * 1024;
const reviewGroups: ReadonlySet<string> = new Set(["authentication.k8s.io", "authorization.k8s.io"]);

/** A policy with its bindings, in the order of their names. */
interface Hook {
  readonly policy: ValidatingAdmissionPolicy;
  readonly match: AdmissionMatch;
  readonly bindings: readonly { readonly binding: ValidatingAdmissionPolicyBinding; readonly match?: AdmissionMatch }[];
  /** Compiled when the first request matches. */
  compiled?: CompiledPolicy;
}

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

interface Refusal {
  readonly message: string;
  readonly reason?: string | undefined;
}

/** Rules of a policy, as `match.ts` reads them; a list that is empty matches all. */
export const matchOf = (match: MatchResources | undefined): AdmissionMatch => ({
  ...(match?.resourceRules?.length ? { rules: match.resourceRules } : {}),
  ...(match?.excludeResourceRules ? { excludeRules: match.excludeResourceRules } : {}),
  ...(match?.namespaceSelector ? { namespaceSelector: match.namespaceSelector } : {}),
  ...(match?.objectSelector ? { objectSelector: match.objectSelector } : {}),
  ...(match?.matchPolicy ? { matchPolicy: match.matchPolicy } : {}),
});

/** ValidatingAdmissionPolicies: refuses, warns of or remarks on what their expressions say no to. Costs a look at two numbers when there are none. */
export function validatingPolicies({ storage, catalog, authorizer, equivalents }: PolicyOptions): Admission {
  const policies = storage.of(policyKind);
  const bindings = storage.of(bindingKind);
  const paramsFor = createParamFinder(storage, catalog);
  let hooks: readonly Hook[] = [];
  let madeOf = "";

  const currentHooks = (): readonly Hook[] => {
    const now = `${policies.changed}/${bindings.changed}`;
    if (now === madeOf) return hooks;
    madeOf = now;
    const known = new Map(hooks.map((hook) => [hook.policy, hook.compiled]));
    const all = bindings.under(prefixFor(bindingKind)).map(({ object }) => object as ValidatingAdmissionPolicyBinding);
    hooks = policies.under(prefixFor(policyKind)).flatMap(({ object }): Hook[] => {
      const policy = object as ValidatingAdmissionPolicy;
      const own = all.filter(({ spec }) => spec.policyName === policy.metadata.name);
      if (own.length === 0) return [];
      const compiled = known.get(policy);
      return [
        {
          policy,
          match: matchOf(policy.spec.matchConstraints),
          bindings: own.map((binding) => ({
            binding,
            ...(binding.spec.matchResources ? { match: matchOf(binding.spec.matchResources) } : {}),
          })),
          ...(compiled ? { compiled } : {}),
        },
      ];
    });
    return hooks;
  };

  const askAll = async (request: AdmissionRequest, subject: AdmissionSubject, matching: readonly Match[]) => {
    const cel = await loadCel();
    const refusals: Refusal[] = [];
    for (const match of matching) await ask(cel, request, subject, match, refusals);
    const [first] = refusals;
    if (first) throw denied(request, first);
  };

  const ask = async (
    cel: CelModule,
    request: AdmissionRequest,
    subject: AdmissionSubject,
    { hook, found }: Match,
    refusals: Refusal[],
  ): Promise<void> => {
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
    const seen = await seenAs(request, subject, found);
    const annotations = new Map<string, string[]>();
    for (const { binding, match } of hook.bindings) {
      if (match && !matchRequest(match, subject)) continue;
      const bindingName = binding.metadata.name;
      let params: readonly (KubeObject | undefined)[];
      try {
        params = paramsFor(policy.spec.paramKind, binding.spec.paramRef, namespaceOf(request));
      } catch (error) {
        misconfigured(error, bindingName);
        continue;
      }
      const namespaceName = namespaceOf(request);
      const namespace = namespaceName
        ? storage.of(resources.Namespace).get(keyFor(resources.Namespace, { name: namespaceName }))?.object
        : undefined;
      for (const param of params) {
        const compiled = (hook.compiled ??= compilePolicy(cel, policy));
        const inputs = { seen, authorizer, params: param, namespace: namespace as Namespace | undefined };
        const result = evaluatePolicy(cel, compiled, inputs, ignores);
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
    if (policies.size === 0 || bindings.size === 0) return undefined;
    const { resource } = request.context;
    if (isAdmissionConfiguration({ group: resource.group, version: resource.version, resource: resource.plural }))
      return undefined;
    if (reviewGroups.has(resource.group)) return undefined;
    const subject = subjectOf(request, storage, equivalents);
    const matching = currentHooks().flatMap((hook): Match[] => {
      const found = matchRequest(hook.match, subject);
      return found ? [{ hook, found }] : [];
    });
    return matching.length === 0 ? undefined : askAll(request, subject, matching);
  };
}

interface Match {
  readonly hook: Hook;
  readonly found: NonNullable<ReturnType<typeof matchRequest>>;
}

/** A Namespace is in no namespace, though its request names one. */
export const namespaceOf = ({ context }: AdmissionRequest): string =>
  context.resource.namespaced ? context.namespace : "";

/** The request in the version that the policy asked for. */
export async function seenAs(
  request: AdmissionRequest,
  subject: AdmissionSubject,
  found: NonNullable<ReturnType<typeof matchRequest>>,
): Promise<SeenRequest> {
  const equivalent = found === subject ? undefined : (found as Equivalent);
  const show = async (object: KubeObject | undefined): Promise<KubeObject | undefined> =>
    object && equivalent ? equivalent.show(object) : object;
  return {
    request,
    kind: equivalent ? { ...found, kind: equivalent.kind } : request.kind,
    resource: { group: found.group, version: found.version, resource: found.resource },
    object: await show(request.object),
    old: await show(request.old),
  };
}

/** The policy's expressions with what they may read. One that is wrong fails when it is asked. */
export function compilePolicy(cel: CelModule, { spec }: ValidatingAdmissionPolicy): CompiledPolicy {
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

export function evaluatePolicy(
  cel: CelModule,
  policy: CompiledPolicy,
  inputs: Parameters<typeof createBindings>[1],
  ignores: boolean,
): Outcome {
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
function denied({ context, name, object }: AdmissionRequest, { message, reason = "Invalid" }: Refusal): StatusError {
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
