import { createStrategy } from "../base-strategy.ts";
import type { ClusterRoleBinding, RoleBinding, RoleRef, Subject } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { semanticEqual } from "../values/equal.ts";
import { isDns1123Subdomain, isPathSegment } from "../values/names.ts";

const group = "rbac.authorization.k8s.io";

function defaults(binding: RoleBinding | ClusterRoleBinding): void {
  if (binding.roleRef) binding.roleRef.apiGroup ||= group;
  for (const subject of binding.subjects ?? []) {
    if (subject.kind === "User" || subject.kind === "Group") subject.apiGroup ||= group;
  }
}

function* validate(
  binding: RoleBinding | ClusterRoleBinding,
  old: typeof binding | undefined,
  kinds: readonly string[],
): Faults {
  yield* validateRoleRef(binding.roleRef, kinds);
  for (const [i, subject] of (binding.subjects ?? []).entries()) {
    yield* validateSubject(subject, binding.kind === "RoleBinding", `subjects[${i}]`);
  }
  if (old && !semanticEqual(binding.roleRef, old.roleRef)) {
    yield fault.invalid("roleRef", shownRef(binding.roleRef), "cannot change roleRef");
  }
}

/** As Go shows it. */
const shownRef = ({ apiGroup = "", kind, name }: RoleRef): object => ({ APIGroup: apiGroup, Kind: kind, Name: name });

function* validateRoleRef(roleRef: RoleRef | undefined, kinds: readonly string[]): Faults {
  const { apiGroup = "", kind = "", name = "" } = roleRef ?? {};
  if (apiGroup !== group) yield fault.notSupported("roleRef.apiGroup", apiGroup, [group]);
  if (!kinds.includes(kind)) yield fault.notSupported("roleRef.kind", kind, kinds);
  if (name === "") yield fault.required("roleRef.name");
  else yield* invalids("roleRef.name", name, isPathSegment(name));
}

function* validateSubject(subject: Subject, namespaced: boolean, path: string): Faults {
  const { kind, name, apiGroup = "", namespace = "" } = subject;
  if (name === "") yield fault.required(`${path}.name`);
  if (kind === "ServiceAccount") {
    if (name !== "") yield* invalids(`${path}.name`, name, isDns1123Subdomain(name));
    if (apiGroup !== "") yield fault.notSupported(`${path}.apiGroup`, apiGroup, [""]);
    if (!namespaced && namespace === "") yield fault.required(`${path}.namespace`);
  } else if (kind === "User" || kind === "Group") {
    if (apiGroup !== group) yield fault.notSupported(`${path}.apiGroup`, apiGroup, [group]);
  } else yield fault.notSupported(`${path}.kind`, kind, ["ServiceAccount", "User", "Group"]);
}

export const roleBindingStrategy = createStrategy(resources.RoleBinding, {
  name: isPathSegment,
  allowCreateOnUpdate: true,
  defaults,
  validate: (binding, _context, old) => validate(binding, old, ["Role", "ClusterRole"]),
});

export const clusterRoleBindingStrategy = createStrategy(resources.ClusterRoleBinding, {
  name: isPathSegment,
  allowCreateOnUpdate: true,
  defaults,
  validate: (binding, _context, old) => validate(binding, old, ["ClusterRole"]),
});
