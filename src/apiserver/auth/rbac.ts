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

export interface Decision {
  readonly allowed: boolean;
  readonly reason: string;
}

/** Who may do what, by the Roles and bindings that are stored. */
export interface Authorizer {
  allows(user: UserInfo, action: Action): boolean;
  /** The same with the reason: which binding allows it, or why not; "" when no rule allows it, which is all there is to say. */
  decide(user: UserInfo, action: Action): Decision;
  /** Why `rulesFor` does not tell all that the user may; "" when it does. */
  incomplete(user: UserInfo): string;
  /** All rules that bindings give a user in a namespace ("" for the cluster scope alone). Superusers may do everything without. */
  rulesFor(user: UserInfo, namespace: string): PolicyRule[];
  /** The rules of a role that a binding refers to; undefined when it does not exist. */
  rulesOf(roleRef: { kind: string; name: string }, namespace: string): readonly PolicyRule[] | undefined;
}

const everything: readonly PolicyRule[] = [
  { verbs: ["*"], apiGroups: ["*"], resources: ["*"] },
  { verbs: ["*"], nonResourceURLs: ["*"] },
];

/** Namespaces for which it is remembered what a user was granted. */
const mostNamespaces = 1000;

/** RBAC as Kubernetes has it, read from the caches at each request: a role that changes holds at once. */
export function createRbac(storage: Storage): Authorizer {
  const clusterRoles = storage.of(resources.ClusterRole);
  const bindings = storage.of(resources.RoleBinding);
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

  /** What the bindings of one namespace ("": those of the cluster) that are about the user grant, and how they came to do so. */
  const granted = (user: UserInfo, namespace: string): readonly Grant[] => {
    const kind = namespace ? "RoleBinding" : "ClusterRoleBinding";
    return all<RoleBinding | ClusterRoleBinding>(resources[kind], namespace || undefined).flatMap((binding) => {
      const subject = subjectFor(user, binding.subjects, namespace);
      if (!subject) return [];
      const rules = rulesOf(binding.roleRef, namespace) ?? [];
      return [{ rules, why: () => reasonOf(kind, binding, subject) }];
    });
  };

  const sources = [clusterRoles, storage.of(resources.ClusterRoleBinding), storage.of(resources.Role), bindings];
  let madeOf: readonly number[] = [];
  /** What `granted` said of a user since the last change of any role or binding. A connection, or a token, has one user for all requests. */
  let known = new WeakMap<UserInfo, Map<string, readonly Grant[]>>();

  const grantsIn = (user: UserInfo, namespace: string): readonly Grant[] => {
    if (sources.some(({ changed }, i) => changed !== madeOf[i])) {
      madeOf = sources.map(({ changed }) => changed);
      known = new WeakMap();
    }
    let mine = known.get(user);
    if (!mine) known.set(user, (mine = new Map<string, readonly Grant[]>()));
    let grants = mine.get(namespace);
    if (!grants) {
      if (mine.size >= mostNamespaces) mine.clear();
      mine.set(namespace, (grants = granted(user, namespace)));
    }
    return grants;
  };

  function* grants(user: UserInfo, namespace: string): Generator<Grant> {
    if (user.groups.includes(superusers)) yield { rules: everything, why: () => "" };
    yield* bound(user, namespace);
  }

  function* bound(user: UserInfo, namespace: string): Generator<Grant> {
    yield* grantsIn(user, "");
    if (namespace) yield* grantsIn(user, namespace);
  }

  const grantFor = (user: UserInfo, action: Action): Grant | undefined => {
    const namespace = action.type === "resource" ? action.namespace : "";
    for (const grant of grants(user, namespace)) {
      if (grant.rules.some((rule) => ruleAllows(rule, action))) return grant;
    }
    return undefined;
  };

  return {
    allows: (user, action) => grantFor(user, action) !== undefined,
    decide(user, action) {
      const grant = grantFor(user, action);
      return { allowed: grant !== undefined, reason: grant?.why() ?? "" };
    },
    incomplete: () => "",
    rulesFor: (user, namespace) => [...bound(user, namespace)].flatMap(({ rules }) => rules),
    rulesOf,
  };
}

interface Grant {
  readonly rules: readonly PolicyRule[];
  readonly why: () => string;
}

function reasonOf(kind: string, { metadata, roleRef }: RoleBinding, subject: Subject): string {
  const { name, namespace } = metadata;
  const binding = JSON.stringify(namespace ? `${name}/${namespace}` : name);
  const who = JSON.stringify(subject.namespace ? `${subject.name}/${subject.namespace}` : subject.name);
  return `RBAC: allowed by ${kind} ${binding} of ${roleRef.kind} ${JSON.stringify(roleRef.name)} to ${subject.kind} ${who}`;
}

function subjectFor(user: UserInfo, subjects: readonly Subject[] | undefined, namespace: string): Subject | undefined {
  return subjects?.find((subject) => isSubject(user, subject, namespace));
}

function isSubject(user: UserInfo, subject: Subject, namespace: string): boolean {
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
}
