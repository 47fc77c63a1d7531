import {
  resources,
  type MatchCondition,
  type MatchResources,
  type Namespace,
  type ParamKind,
  type ParamRef,
  type Resource,
  type Variable,
} from "../../../kube/index.ts";
import type { Authorizer } from "../../auth/index.ts";
import type { AdmissionRequest } from "../../registry/index.ts";
import type { Catalog } from "../../resources/index.ts";
import { keyFor, prefixFor, type Storage } from "../../storage/index.ts";
import {
  isAdmissionConfiguration,
  matchRequest,
  type AdmissionMatch,
  type AdmissionSubject,
  type ResourceName,
} from "../match.ts";
import { subjectOf, type Equivalent, type FindEquivalents } from "../subject.ts";
import type { SeenRequest } from "./environment.ts";

export interface PolicyOptions {
  readonly storage: Storage;
  readonly catalog: Catalog;
  readonly authorizer: Authorizer;
  readonly equivalents: FindEquivalents;
}

/** What policies of both kinds say alike. */
export interface AnyPolicy {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly failurePolicy?: string;
    readonly matchConditions?: readonly MatchCondition[];
    readonly matchConstraints?: MatchResources;
    readonly paramKind?: ParamKind;
    readonly variables?: readonly Variable[];
  };
}
export interface AnyBinding {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly policyName?: string;
    readonly paramRef?: ParamRef;
    readonly matchResources?: MatchResources;
  };
}

/** A policy with its bindings, in the order of their names. */
export interface Hook<P extends AnyPolicy, B extends AnyBinding, C> {
  readonly policy: P;
  readonly match: AdmissionMatch;
  readonly bindings: readonly { readonly binding: B; readonly match: AdmissionMatch | undefined }[];
  /** Compiled when the first request matches. */
  compiled: C | undefined;
}

export interface Match<P extends AnyPolicy, B extends AnyBinding, C> {
  readonly hook: Hook<P, B, C>;
  readonly subject: AdmissionSubject;
  /** The resource in whose form the policy wants to see the request. */
  readonly found: ResourceName;
}

const reviewGroups: ReadonlySet<string> = new Set(["authentication.k8s.io", "authorization.k8s.io"]);

/** Finds the policies that are about a request. Costs a look at two numbers when there are none. */
export function createPolicyMatcher<P extends AnyPolicy, B extends AnyBinding, C>(
  policyKind: Resource,
  bindingKind: Resource,
  { storage, equivalents }: PolicyOptions,
): (request: AdmissionRequest) => readonly Match<P, B, C>[] {
  const policies = storage.of(policyKind);
  const bindings = storage.of(bindingKind);
  let hooks: readonly Hook<P, B, C>[] = [];
  let madeOf = "";

  const currentHooks = (): readonly Hook<P, B, C>[] => {
    const now = `${policies.changed}/${bindings.changed}`;
    if (now === madeOf) return hooks;
    madeOf = now;
    const known = new Map(hooks.map((hook) => [hook.policy, hook.compiled]));
    const all = bindings.under(prefixFor(bindingKind)).map(({ object }) => object as unknown as B);
    hooks = policies.under(prefixFor(policyKind)).flatMap(({ object }): Hook<P, B, C>[] => {
      const policy = object as unknown as P;
      const own = all.filter(({ spec }) => spec.policyName === policy.metadata.name);
      if (own.length === 0) return [];
      return [
        {
          policy,
          match: matchOf(policy.spec.matchConstraints),
          bindings: own.map((binding) => ({
            binding,
            match: binding.spec.matchResources && matchOf(binding.spec.matchResources),
          })),
          compiled: known.get(policy),
        },
      ];
    });
    return hooks;
  };

  return (request) => {
    if (policies.size === 0 || bindings.size === 0) return [];
    const { group, version, plural } = request.context.resource;
    if (isAdmissionConfiguration({ group, version, resource: plural }) || reviewGroups.has(group)) return [];
    const subject = subjectOf(request, storage, equivalents);
    return currentHooks().flatMap((hook): Match<P, B, C>[] => {
      const found = matchRequest(hook.match, subject);
      return found ? [{ hook, subject, found }] : [];
    });
  };
}

/** Rules of a policy, as `match.ts` reads them; a list that is empty matches all. */
const matchOf = (match: MatchResources | undefined): AdmissionMatch => ({
  ...(match?.resourceRules?.length ? { rules: match.resourceRules } : {}),
  ...(match?.excludeResourceRules ? { excludeRules: match.excludeResourceRules } : {}),
  ...(match?.namespaceSelector ? { namespaceSelector: match.namespaceSelector } : {}),
  ...(match?.objectSelector ? { objectSelector: match.objectSelector } : {}),
  ...(match?.matchPolicy ? { matchPolicy: match.matchPolicy } : {}),
});

/** The other version in which the policy sees the request; undefined when it sees it as it is. */
export const equivalentOf = ({ found, subject }: { found: ResourceName; subject: AdmissionSubject }) =>
  found === subject ? undefined : (found as Equivalent);

/** The request in the version that the policy asked for. */
export async function seenAs(
  request: AdmissionRequest,
  match: { found: ResourceName; subject: AdmissionSubject },
): Promise<SeenRequest> {
  const { found } = match;
  const equivalent = equivalentOf(match);
  const { object, old } = request;
  return {
    request,
    kind: equivalent ? { group: found.group, version: found.version, kind: equivalent.kind } : request.kind,
    resource: { group: found.group, version: found.version, resource: found.resource },
    object: object && equivalent ? await equivalent.show(object) : object,
    old: old && equivalent ? await equivalent.show(old) : old,
  };
}

/** A Namespace is in no namespace, though its request names one. */
export const namespaceNameOf = ({ context }: AdmissionRequest): string =>
  context.resource.namespaced ? context.namespace : "";

export function namespaceOf(storage: Storage, request: AdmissionRequest): Namespace | undefined {
  const name = namespaceNameOf(request);
  if (!name) return undefined;
  return storage.of(resources.Namespace).get(keyFor(resources.Namespace, { name }))?.object as Namespace | undefined;
}
