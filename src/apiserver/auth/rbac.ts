import {
  resources,
  type ClusterRole,
  type ClusterRoleBinding,
  type PolicyRule,
  type Role,
  type RoleBinding,
  type Subject,
} from "../../kube/index.ts";
import type { UserInfo } from "../handler.ts";
import { keyFor, prefixFor, type Storage } from "../storage/index.ts";
import { ruleAllows, type Action } from "./rules.ts";

/** Members may do everything, whatever the roles say: the way in when they are wrong. */
export const superusers = "system:masters";

/** Who may do what, by the Roles and bindings that are stored. */
export interface Authorizer {
  allows(user: UserInfo, action: Action): boolean;
  /** All rules that hold for a user in a namespace ("" for the cluster scope alone). */
  rulesFor(user: UserInfo, namespace: string): PolicyRule[];
  /** The rules of a role that a binding refers to; undefined when it does not exist. */
  rulesOf(roleRef: { kind: string; name: string }, namespace: string): readonly PolicyRule[] | undefined;
}

const everything: readonly PolicyRule[] = [
  { verbs: ["*"], apiGroups: ["*"], resources: ["*"] },
  { verbs: ["*"], nonResourceURLs: ["*"] },
];

/** RBAC as Kubernetes has it, read from the caches at each request: a role that changes holds at once. */
export function createAuthorizer(storage: Storage): Authorizer {
  const clusterRoles = storage.of(resources.ClusterRole);
  const all = <T>(kind: (typeof resources)[keyof typeof resources], namespace?: string): T[] =>
    storage
      .of(kind)
      .under(prefixFor(kind, namespace))
      .map((entry) => entry.object as unknown as T);

  const rulesOf: Authorizer["rulesOf"] = ({ kind, name }, namespace) => {
    if (kind === "ClusterRole") {
      const entry = clusterRoles.get(keyFor(resources.ClusterRole, { name }));
      return entry && ((entry.object as ClusterRole).rules ?? []);
    }
    const entry = storage.of(resources.Role).get(keyFor(resources.Role, { namespace, name }));
    return entry && ((entry.object as Role).rules ?? []);
  };

  function* bindings(user: UserInfo, namespace: string): Generator<readonly PolicyRule[]> {
    if (user.groups.includes(superusers)) yield everything;
    for (const { subjects, roleRef } of all<ClusterRoleBinding>(resources.ClusterRoleBinding)) {
      if (isSubject(user, subjects, "")) yield rulesOf(roleRef, "") ?? [];
    }
    if (!namespace) return;
    for (const { subjects, roleRef } of all<RoleBinding>(resources.RoleBinding, namespace)) {
      if (isSubject(user, subjects, namespace)) yield rulesOf(roleRef, namespace) ?? [];
    }
  }

  return {
    allows(user, action) {
      const namespace = action.type === "resource" ? action.namespace : "";
      for (const rules of bindings(user, namespace)) {
        if (rules.some((rule) => ruleAllows(rule, action))) return true;
      }
      return false;
    },
    rulesFor: (user, namespace) => [...bindings(user, namespace)].flat(),
    rulesOf,
  };
}

function isSubject(user: UserInfo, subjects: readonly Subject[] | undefined, namespace: string): boolean {
  return (subjects ?? []).some((subject) => {
    switch (subject.kind) {
      case "User":
        return subject.name === user.name;
      case "Group":
        return user.groups.includes(subject.name);
      case "ServiceAccount":
        return user.name === `system:serviceaccount:${subject.namespace ?? namespace}:${subject.name}`;
      default:
        return false;
    }
  });
}
