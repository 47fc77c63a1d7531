import type { PolicyRule, Subject } from "../../kube/index.ts";

export const rbacGroup = "rbac.authorization.k8s.io";

/** Words apart by blanks; a lone "-" is the core group. */
const words = (text: string): string[] =>
  text
    .split(" ")
    .map((word) => (word === "-" ? "" : word))
    .sort();

/** One rule, its lists as words, which come out in order: `rule("get list", "- apps", "pods deployments")`. */
export function rule(verbs: string, apiGroups: string, resources: string, resourceNames?: string): PolicyRule {
  return {
    verbs: words(verbs),
    apiGroups: words(apiGroups),
    resources: words(resources),
    ...(resourceNames ? { resourceNames: words(resourceNames) } : {}),
  };
}

/** Paths beside the resources, to be read. */
export function paths(urls: string): PolicyRule {
  return { verbs: ["get"], nonResourceURLs: words(urls) };
}

export const read = "get list watch";
export const write = "create delete deletecollection patch update";
export const readWrite = `${write} ${read}`;
export const readUpdate = `${read} patch update`;

/** What everyone needs who tells of what happened. */
export const events = rule("create patch update", "- events.k8s.io", "events");

/** A role that every cluster has, and who holds it by a binding of the same name. */
export interface Given {
  readonly name: string;
  readonly rules?: readonly PolicyRule[];
  /** Label of the roles whose rules this one takes in. */
  readonly aggregates?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Absent: no binding. Empty: a binding of nobody. */
  readonly to?: readonly Subject[];
  /** Name of the binding where it is another than the role's. */
  readonly binding?: string;
}

export const groupSubject = (name: string): Subject => ({ apiGroup: rbacGroup, kind: "Group", name });
export const userSubject = (name: string): Subject => ({ apiGroup: rbacGroup, kind: "User", name });
export const accountSubject = (name: string, namespace = "kube-system"): Subject => ({
  kind: "ServiceAccount",
  name,
  namespace,
});
