import {
  invalid,
  type FieldError,
  type KubeObject,
  type NonResourceAttributes,
  type ResourceAttributes,
  type SubjectAccessReview,
} from "../../kube/index.ts";
import type { Action, Authorizer } from "../auth/index.ts";
import type { UserInfo } from "../handler.ts";
import { equalitiesIn, type FieldEquality } from "../request/request-info.ts";

/** Upstream's message of what is wrong with a review names no kind. */
const nameless = { group: "authorization.k8s.io", kind: "" };

/** Whether a user may do what a review asks about. Throws StatusError Invalid for a question that makes no sense. */
export function accessAnswer(asked: SubjectAccessReview, user: UserInfo, authorizer: Authorizer): SubjectAccessReview {
  const faults = [...metadataFaults(asked), ...specFaults(asked)];
  if (faults.length > 0) throw invalid(nameless, "", faults);
  const { allowed, reason } = authorizer.decide(user, askedAction(asked));
  return { ...asked, status: { allowed, ...(reason ? { reason } : {}) } };
}

/** The user that a review asks about. */
export function subjectOf({ spec }: SubjectAccessReview): UserInfo {
  if (!spec.user && !spec.groups?.length)
    throw invalid(nameless, "", [
      { type: "Invalid", field: "spec.user", value: "", detail: "at least one of user or group must be specified" },
    ]);
  return {
    name: spec.user ?? "",
    groups: spec.groups ?? [],
    ...(spec.uid ? { uid: spec.uid } : {}),
    ...(spec.extra ? { extra: spec.extra } : {}),
  };
}

/** A review inside a namespace asks about that namespace alone. */
export function checkLocal({ spec }: SubjectAccessReview, namespace: string): void {
  const { resourceAttributes: resource, nonResourceAttributes: path } = spec;
  if (path)
    throw invalid(nameless, "", [
      {
        type: "Invalid",
        field: "spec.nonResourceAttributes",
        value: shownPath(path),
        detail: "disallowed on this kind of request",
      },
    ]);
  if (resource && resource.namespace !== namespace)
    throw invalid(nameless, "", [
      {
        type: "Invalid",
        field: "spec.resourceAttributes.namespace",
        value: resource.namespace ?? "",
        detail: "must match metadata.namespace",
      },
    ]);
}

/** As Go shows it. */
const shownPath = ({ path = "", verb = "" }: NonResourceAttributes): object => ({ Path: path, Verb: verb });

function metadataFaults({ metadata, kind }: KubeObject): FieldError[] {
  const { namespace, managedFields: _fields, creationTimestamp: _created, ...rest } = metadata;
  const local = kind === "LocalSubjectAccessReview";
  const set =
    Object.values(rest).some((value) => value !== undefined && value !== "") || (!local && Boolean(namespace));
  return set ? [{ type: "Invalid", field: "metadata", value: metadata, detail: "must be empty" }] : [];
}

function specFaults({ spec }: SubjectAccessReview): FieldError[] {
  const { resourceAttributes: resource, nonResourceAttributes: path } = spec;
  if (resource && path)
    return [
      {
        type: "Invalid",
        field: "spec.nonResourceAttributes",
        value: shownPath(path),
        detail: "cannot be specified in combination with resourceAttributes",
      },
    ];
  if (!resource && !path)
    return [
      {
        type: "Invalid",
        field: "spec.resourceAttributes",
        value: null,
        detail: "exactly one of nonResourceAttributes or resourceAttributes must be specified",
      },
    ];
  return resource ? selectorFaults(resource) : [];
}

function selectorFaults(resource: ResourceAttributes): FieldError[] {
  return (["fieldSelector", "labelSelector"] as const).flatMap((name): FieldError[] => {
    const selector = resource[name];
    if (!selector) return [];
    const field = `spec.resourceAttributes.${name}`;
    const { rawSelector = "", requirements = [] } = selector;
    if (rawSelector && requirements.length > 0)
      return [
        {
          type: "Invalid",
          field: `${field}.rawSelector`,
          value: rawSelector,
          detail: "may not specified at the same time as requirements",
        },
      ];
    if (!rawSelector && requirements.length === 0)
      return [{ type: "Required", field: `${field}.requirements`, detail: "when rawSelector is not specified" }];
    return requirements.flatMap(({ key, operator, values = [] }, i) =>
      requirementFaults(`${field}.requirements[${i}]`, key, operator, values),
    );
  });
}

function requirementFaults(field: string, key: string, operator: string, values: readonly string[]): FieldError[] {
  if (!key) return [{ type: "Required", field: `${field}.key`, detail: "must be specified" }];
  switch (operator) {
    case "In":
    case "NotIn":
      return values.length > 0
        ? []
        : [
            {
              type: "Required",
              field: `${field}.values`,
              detail: "must be specified when `operator` is 'In' or 'NotIn'",
            },
          ];
    case "Exists":
    case "DoesNotExist":
      return values.length === 0
        ? []
        : [
            {
              type: "Forbidden",
              field: `${field}.values`,
              detail: "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            },
          ];
    default:
      return [
        { type: "Invalid", field: `${field}.operator`, value: operator, detail: "not a valid selector operator" },
      ];
  }
}

function askedAction({ spec }: SubjectAccessReview): Action {
  const { resourceAttributes: resource = {}, nonResourceAttributes: path } = spec;
  if (path) return { type: "path", verb: path.verb ?? "", path: path.path ?? "" };
  return {
    type: "resource",
    verb: resource.verb ?? "",
    group: resource.group ?? "",
    resource: resource.resource ?? "",
    subresource: resource.subresource ?? "",
    namespace: resource.namespace ?? "",
    name: resource.name ?? "",
    fields: requirementsOf(resource),
  };
}

/** What a review says of the selector of fields: only equalities narrow what is asked, so others are left out, which is never laxer. */
function requirementsOf({ fieldSelector }: ResourceAttributes): FieldEquality[] {
  const given = (fieldSelector?.requirements ?? []).flatMap(({ key, operator, values = [] }) => {
    const [value] = values;
    return operator === "In" && values.length === 1 && value !== undefined ? [{ field: key, value }] : [];
  });
  return [...given, ...equalitiesIn(fieldSelector?.rawSelector ?? "")];
}
