import type { PolicyRule, Subject } from "../../kube/index.ts";
import { accountSubject, events, read, rule, userSubject } from "./rule-table.ts";

/** A role of one namespace that every cluster has, and who holds it. */
export interface NamespaceRole {
  readonly namespace: string;
  readonly name: string;
  readonly rules: readonly PolicyRule[];
  readonly to: readonly Subject[];
  /** Name of the binding where it is another than the role's. */
  readonly binding?: string;
}

const system = "kube-system";
const controllerManager = userSubject("system:kube-controller-manager");
const scheduler = userSubject("system:kube-scheduler");

function leaderLocking(name: string, user: Subject): NamespaceRole {
  return {
    namespace: system,
    name: `system::leader-locking-${name}`,
    rules: [rule("watch", "-", "configmaps"), rule("get update", "-", "configmaps", name)],
    to: [user, accountSubject(name)],
  };
}

export const namespaceRoles: readonly NamespaceRole[] = [
  {
    namespace: system,
    name: "extension-apiserver-authentication-reader",
    rules: [rule(read, "-", "configmaps", "extension-apiserver-authentication")],
    binding: "system::extension-apiserver-authentication-reader",
    to: [controllerManager, scheduler],
  },
  leaderLocking("kube-controller-manager", controllerManager),
  leaderLocking("kube-scheduler", scheduler),
  {
    namespace: system,
    name: "system:controller:bootstrap-signer",
    rules: [rule(read, "-", "secrets")],
    to: [accountSubject("bootstrap-signer")],
  },
  {
    namespace: system,
    name: "system:controller:cloud-provider",
    rules: [rule("create get list update watch", "-", "configmaps")],
    to: [accountSubject("cloud-provider")],
  },
  {
    namespace: system,
    name: "system:controller:token-cleaner",
    rules: [rule("delete get list watch", "-", "secrets"), events],
    to: [accountSubject("token-cleaner")],
  },
  {
    namespace: "kube-public",
    name: "system:controller:bootstrap-signer",
    rules: [rule(read, "-", "configmaps"), rule("update", "-", "configmaps", "cluster-info"), events],
    to: [accountSubject("bootstrap-signer")],
  },
];
