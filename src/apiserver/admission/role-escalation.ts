import {
  resources,
  semanticEqual,
  type ClusterRole,
  type KubeObject,
  type PolicyRule,
  type Role,
  type RoleBinding,
} from "../../kube/index.ts";
import { superusers, uncovered, type Authorizer } from "../auth/index.ts";
import { forbidden, notFound, type Admission, type AdmissionRequest } from "../registry/index.ts";

const group = "rbac.authorization.k8s.io";

/** Nobody gives away, by a role or a binding, what they may not do themselves, unless they hold `escalate` or `bind`. */
export function roleEscalation(authorizer: Authorizer): Admission {
  const mayAnyway = ({ context, name }: AdmissionRequest, verb: string, resource: string, target = name): boolean =>
    authorizer.allows(context.user, {
      type: "resource",
      verb,
      group,
      resource,
      subresource: "",
      namespace: context.namespace,
      name: target,
    });
  const check = (request: AdmissionRequest, rules: readonly PolicyRule[]): void => {
    const { context, name } = request;
    const missing = uncovered(authorizer.rulesFor(context.user, context.namespace), rules);
    if (missing.length === 0) return;
    throw forbidden(
      context.resource,
      name,
      `user ${JSON.stringify(context.user.name)} (groups=${quoted(context.user.groups)}) is attempting to grant RBAC permissions not currently held:\n` +
        described(missing).join("\n"),
    );
  };

  return (request) => {
    const { operation, context, object, old } = request;
    if (operation === "DELETE" || !object || context.resource.group !== group) return;
    if (context.user.groups.includes(superusers)) return;
    if (context.resource === resources.Role || context.resource === resources.ClusterRole) {
      const rules = rulesIn(object);
      const aggregates = [object, old ?? object].map(aggregationIn);
      if (old && semanticEqual(rulesIn(old), rules) && semanticEqual(aggregates[0], aggregates[1])) return;
      if (mayAnyway(request, "escalate", context.resource.plural)) return;
      check(request, rules);
      // It may gather anything, later too.
      if (aggregates.some((rule) => rule !== undefined)) check(request, everything);
      return;
    }
    const { roleRef, subjects } = object as RoleBinding;
    if (old && JSON.stringify((old as RoleBinding).subjects) === JSON.stringify(subjects)) return;
    const plural = roleRef?.kind === "ClusterRole" ? "clusterroles" : "roles";
    if (mayAnyway(request, "bind", plural, roleRef?.name)) return;
    const rules = roleRef && authorizer.rulesOf(roleRef, context.namespace);
    if (roleRef && !rules) throw notFound(context.resource, roleRef.name);
    check(request, rules ?? everything);
  };
}

/** Simple rules as upstream tells them: those that differ only in the verb in one line. */
function described(rules: readonly PolicyRule[]): string[] {
  const lines = new Map<string, string[]>();
  for (const { apiGroups, resources: kinds, nonResourceURLs, resourceNames, verbs } of rules) {
    const fields = {
      APIGroups: apiGroups,
      Resources: kinds,
      NonResourceURLs: nonResourceURLs,
      ResourceNames: resourceNames,
    };
    const parts = Object.entries(fields).flatMap(([name, values]) => (values ? [`${name}:${quoted(values)}`] : []));
    const rest = parts.join(", ");
    lines.set(rest, [...(lines.get(rest) ?? []), ...verbs]);
  }
  return [...lines].map(([rest, verbs]) => `{${rest}, Verbs:${quoted(verbs)}}`).sort();
}

const quoted = (texts: readonly string[]): string => `[${texts.map((text) => JSON.stringify(text)).join(" ")}]`;

const everything: readonly PolicyRule[] = [
  { verbs: ["*"], apiGroups: ["*"], resources: ["*"] },
  { verbs: ["*"], nonResourceURLs: ["*"] },
];

function aggregationIn(role: Pick<ClusterRole, "metadata" | "aggregationRule">): ClusterRole["aggregationRule"] {
  return role.aggregationRule;
}

function rulesIn(object: KubeObject): readonly PolicyRule[] {
  return (object as Role).rules ?? [];
}
