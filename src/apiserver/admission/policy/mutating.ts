import {
  type Expression,
  mutationStructs,
  compileFor,
  applyJsonPatch,
  isObject,
  jsonEqual,
  loadCel,
  mergeTyped,
  objectAtom,
  resources,
  StatusError,
  type Cel,
  type CelModule,
  type KubeObject,
  type MutatingAdmissionPolicy,
  type MutatingAdmissionPolicyBinding,
  type Mutation,
} from "../../../kube/index.ts";
import type { Admission, AdmissionRequest } from "../../registry/index.ts";
import { matchRequest } from "../match.ts";
import {
  compileConditions,
  compileVariables,
  createBindings,
  evaluate,
  type Budget,
  type Conditions,
} from "./expressions.ts";
import {
  createPolicyMatcher,
  equivalentOf,
  namespaceNameOf,
  namespaceOf,
  seenAs,
  type Match as AnyMatch,
  type PolicyOptions,
} from "./hooks.ts";
import { createParamFinder } from "./params.ts";
import { configurationOf } from "./structs.ts";
import { denied } from "./validating.ts";

interface CompiledPolicy {
  readonly conditions: Conditions | undefined;
  readonly variables: ReadonlyMap<string, Expression>;
  readonly mutations: readonly { readonly type: Mutation["patchType"]; readonly expression: Expression }[];
}
type Match = AnyMatch<MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, CompiledPolicy>;

export interface MutatingPolicyOptions extends PolicyOptions {
  /** The object that a policy has changed, read again in the structure of its kind and with its defaults. Throws StatusError. */
  readonly settle: (request: AdmissionRequest, kind: AdmissionRequest["kind"], object: unknown) => KubeObject;
}

/**
 * MutatingAdmissionPolicies: objects are changed by configurations and patches that expressions give. In the second round, which a
 * change after them brings about, only those are asked whose reinvocationPolicy is IfNeeded.
 */
export function mutatingPolicies(options: MutatingPolicyOptions): Admission {
  const { storage, catalog, authorizer, settle } = options;
  const paramsFor = createParamFinder(storage, catalog);
  const matching = createPolicyMatcher<MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, CompiledPolicy>(
    resources.MutatingAdmissionPolicy,
    resources.MutatingAdmissionPolicyBinding,
    options,
  );

  const askAll = async (request: AdmissionRequest, matches: readonly Match[]): Promise<void> => {
    const cel = await loadCel();
    for (const match of matches) {
      if (request.round.again && match.hook.policy.spec.reinvocationPolicy !== "IfNeeded") continue;
      for (const own of match.hook.bindings)
        if (!own.match || matchRequest(own.match, match.subject)) await ask(cel, request, match, own.binding);
    }
  };

  const ask = async (
    cel: CelModule,
    request: AdmissionRequest,
    match: Match,
    binding: MutatingAdmissionPolicyBinding,
  ): Promise<void> => {
    const { policy } = match.hook;
    const { metadata, spec } = policy;
    try {
      const params = await paramsFor(spec.paramKind, binding.spec.paramRef, namespaceNameOf(request));
      for (const param of params) {
        const before = request.object;
        await mutateBy(cel, request, match, param);
        if (before !== request.object) request.round.wanted = true;
      }
    } catch (error) {
      if (error instanceof StatusError || !(error instanceof Error)) throw error;
      if (spec.failurePolicy === "Ignore") return;
      throw denied(request, {
        message: `policy '${metadata.name}' with binding '${binding.metadata.name}' denied request: ${error.message}`,
      });
    }
  };

  /** Puts the object that all mutations of the policy make in the place of the request's. */
  const mutateBy = async (
    cel: CelModule,
    request: AdmissionRequest,
    match: Match,
    params: KubeObject | undefined,
  ): Promise<void> => {
    const compiled = (match.hook.compiled ??= compilePolicy(cel, match.hook.policy));
    const namespace = namespaceOf(storage, request);
    const budget: Budget = { left: cel.costLimits.perObject };
    const equivalent = equivalentOf(match);
    for (const [i, { type, expression }] of compiled.mutations.entries()) {
      const seen = await seenAs(request, match);
      const bindings = createBindings(cel, { seen, namespace, params, authorizer }, compiled.variables, budget);
      if (i === 0 && compiled.conditions?.firstFalse(bindings) !== undefined) return;
      const result = evaluate(expression, bindings, budget);
      if ("error" in result) throw new Error(result.error);
      const { group, version, resource } = match.found;
      const mutated =
        type === "JSONPatch"
          ? applyJsonPatch(seen.object, cel.toJson(result.value))
          : configured(
              seen.object,
              configurationOf(cel, result.value),
              () => catalog.find(group, version, resource)?.schema()?.definition,
            );
      if (!isObject(mutated) || jsonEqual(mutated, seen.object)) continue;
      const settled = settle(request, seen.kind, mutated);
      request.object = equivalent ? await equivalent.take(settled) : settled;
    }
  };

  return (request) => {
    if (!request.object) return undefined;
    const matches = matching(request);
    return matches.length === 0 ? undefined : askAll(request, matches);
  };
}

/** Merged as a server-side apply would, without anybody coming to manage fields. Throws an Error for what a policy may not set. */
function configured(
  object: KubeObject | undefined,
  configuration: unknown,
  definition: () => Parameters<typeof objectAtom>[0],
): unknown {
  if (!isObject(configuration)) throw new Error("the configuration is no object");
  const metadata = configuration["metadata"];
  if (isObject(metadata) && "managedFields" in metadata)
    throw new Error("managedFields may not be set by an apply configuration");
  const { apiVersion, kind } = object ?? {};
  return mergeTyped(objectAtom(definition()), object, { ...configuration, apiVersion, kind });
}

function compilePolicy(cel: CelModule, { spec }: MutatingAdmissionPolicy): CompiledPolicy {
  const declared = { params: spec.paramKind !== undefined, authorizer: true, structs: mutationStructs(cel) };
  const { expressions: variables, types } = compileVariables(cel, spec.variables ?? [], declared);
  const full = { ...declared, variables: types };
  const { matchConditions = [], mutations = [] } = spec;
  const object: Cel.CelType = { kind: "object", name: "Object", fields: () => new Map(), open: true };
  return {
    conditions: matchConditions.length > 0 ? compileConditions(cel, matchConditions, full) : undefined,
    variables,
    mutations: mutations.map(({ patchType, applyConfiguration, jsonPatch }) => ({
      type: patchType,
      expression:
        patchType === "JSONPatch"
          ? compileFor(cel, jsonPatch?.expression ?? "", full, cel.listOf(cel.dyn))
          : compileFor(cel, applyConfiguration?.expression ?? "", full, object),
    })),
  };
}
