import {
  invalid,
  type KubeObject,
  type Resource,
  type SelfSubjectRulesReview,
  type SubjectAccessReview,
} from "../../kube/index.ts";
import type { Action, Authorizer } from "../auth/index.ts";
import type { UserInfo } from "../handler.ts";

/** A question that is answered and not stored: POST alone. */
export interface Review {
  readonly resource: Resource;
  answer(object: KubeObject, asker: UserInfo, authorizer: Authorizer, namespace: string): KubeObject;
}

function review(group: string, kind: string, namespaced: boolean, answer: Review["answer"]): Review {
  const singular = kind.toLowerCase();
  const names = { kind, plural: `${singular}s`, singular, shortNames: [], categories: [], subresources: [] };
  return { resource: { group, version: "v1", namespaced, ...names }, answer };
}

const authorization = "authorization.k8s.io";

/** Reviews by which clients ask who they are and what they or others may do. */
export const reviews: readonly Review[] = [
  review(authorization, "SelfSubjectAccessReview", false, (object, asker, authorizer) =>
    accessAnswer(object as SubjectAccessReview, asker, authorizer),
  ),
  review(authorization, "SubjectAccessReview", false, (object, _asker, authorizer) =>
    accessAnswer(object as SubjectAccessReview, subjectOf(object as SubjectAccessReview), authorizer),
  ),
  review(authorization, "LocalSubjectAccessReview", true, (object, _asker, authorizer, namespace) => {
    const asked = object as SubjectAccessReview;
    if (asked.spec.resourceAttributes?.namespace !== namespace)
      throw invalid({ group: authorization, kind: object.kind }, "", [
        {
          type: "Invalid",
          field: "spec.resourceAttributes.namespace",
          value: asked.spec.resourceAttributes?.namespace ?? "",
          detail: "must match metadata.namespace",
        },
      ]);
    return accessAnswer(asked, subjectOf(asked), authorizer);
  }),
  review(authorization, "SelfSubjectRulesReview", false, (object, asker, authorizer) => {
    const asked = object as SelfSubjectRulesReview;
    const rules = authorizer.rulesFor(asker, asked.spec.namespace ?? "");
    const answered: SelfSubjectRulesReview = {
      ...asked,
      status: {
        resourceRules: rules.flatMap(({ nonResourceURLs: _urls, ...rule }) => (rule.resources?.length ? [rule] : [])),
        nonResourceRules: rules.flatMap(({ verbs, nonResourceURLs }) =>
          nonResourceURLs?.length ? [{ verbs, nonResourceURLs }] : [],
        ),
        incomplete: false,
      },
    };
    return answered;
  }),
  review("authentication.k8s.io", "SelfSubjectReview", false, (object, asker) => {
    const { name, uid, groups, extra } = asker;
    const userInfo = { username: name, groups, ...(uid ? { uid } : {}), ...(extra ? { extra } : {}) };
    return { ...object, status: { userInfo } } as KubeObject;
  }),
];

export function findReview(info: { group: string; version: string; resource: string }): Review | undefined {
  return reviews.find(
    ({ resource }) =>
      resource.group === info.group && resource.version === info.version && resource.plural === info.resource,
  );
}

function accessAnswer(asked: SubjectAccessReview, user: UserInfo, authorizer: Authorizer): SubjectAccessReview {
  const allowed = authorizer.allows(user, askedAction(asked));
  return { ...asked, status: { allowed } };
}

function askedAction(asked: SubjectAccessReview): Action {
  const { resourceAttributes: resource, nonResourceAttributes: path } = asked.spec;
  if ((resource === undefined) === (path === undefined))
    throw invalid({ group: authorization, kind: asked.kind }, "", [
      {
        type: "Invalid",
        field: "spec.resourceAttributes",
        value: resource ?? null,
        detail: "exactly one of nonResourceAttributes or resourceAttributes must be specified",
      },
    ]);
  if (path) return { type: "path", verb: path.verb ?? "", path: path.path ?? "" };
  return {
    type: "resource",
    verb: resource?.verb ?? "",
    group: resource?.group ?? "",
    resource: resource?.resource ?? "",
    subresource: resource?.subresource ?? "",
    namespace: resource?.namespace ?? "",
    name: resource?.name ?? "",
  };
}

function subjectOf({ kind, spec }: SubjectAccessReview): UserInfo {
  if (!spec.user && !spec.groups?.length)
    throw invalid({ group: authorization, kind }, "", [
      { type: "Invalid", field: "spec.user", value: "", detail: "at least one of user or group must be specified" },
    ]);
  return { name: spec.user ?? "", groups: spec.groups ?? [] };
}
