import type { ClusterRoleBinding, RoleBinding, Subject } from "../../kube/index.ts";
import { ageColumn, ageOf, nameColumn, text, wide, type Printer } from "./columns.ts";

/** Roles themselves have no columns of their own in Kubernetes. */
export const bindingPrinter: Printer<RoleBinding | ClusterRoleBinding> = {
  columns: [
    nameColumn,
    text("Role", "The role that is granted."),
    ageColumn,
    wide("Users", "Users it is granted to."),
    wide("Groups", "Groups it is granted to."),
    wide("ServiceAccounts", "Service accounts it is granted to."),
  ],
  cells(binding, now) {
    const subjects = binding.subjects ?? [];
    const names = (kind: string, name: (subject: Subject) => string) =>
      subjects
        .filter((subject) => subject.kind === kind)
        .map(name)
        .join(", ");
    return [
      binding.metadata.name,
      `${binding.roleRef.kind}/${binding.roleRef.name}`,
      ageOf(binding, now),
      names("User", (subject) => subject.name),
      names("Group", (subject) => subject.name),
      names("ServiceAccount", ({ namespace = "", name }) => `${namespace}/${name}`),
    ];
  },
};
