import { isDns1123Label, isDns1123Subdomain, statusError } from "../../kube/index.ts";
import { authenticated, type Impersonation } from "../authentication/index.ts";
import type { UserInfo } from "../handler.ts";
import { refusal } from "./authorize.ts";
import type { Authorizer } from "./rbac.ts";

const authentication = "authentication.k8s.io";

/** A right that whoever impersonates must hold. */
export interface Right {
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
}

/**
 * Who a request acts for: the user that it asks to impersonate when the asker may `impersonate` each part of it, else the asker.
 * Throws StatusError Forbidden, or BadRequest for parts of a user without a user.
 */
export function actingUser(wanted: Impersonation | undefined, asker: UserInfo, authorizer: Authorizer): UserInfo {
  if (!wanted) return asker;
  const rights = rightsFor(wanted);
  if (!wanted.user) {
    if (rights.length === 0) return asker;
    throw statusError("BadRequest", `requested ${described(rights)} without impersonating a user`);
  }
  for (const { group, resource, subresource, namespace, name } of rights) {
    const action = {
      type: "resource",
      verb: "impersonate",
      group,
      resource,
      subresource,
      namespace,
      name,
    } as const;
    if (!authorizer.allows(asker, action)) throw refusal(asker, action, authorizer.decide(asker, action).reason);
  }
  return userOf(wanted);
}

/** What the asker must be allowed, one right for each part, in upstream's order. */
export function rightsFor({ user, groups, extra, uid }: Impersonation): Right[] {
  const account = serviceAccountOf(user);
  const none = { group: "", subresource: "", namespace: "" };
  return [
    ...(account
      ? [{ ...none, resource: "serviceaccounts", ...account }]
      : user
        ? [{ ...none, resource: "users", name: user }]
        : []),
    ...groups.map((name) => ({ ...none, resource: "groups", name })),
    ...Object.entries(extra).flatMap(([key, values]) =>
      values.map((name) => ({ ...none, group: authentication, resource: "userextras", subresource: key, name })),
    ),
    ...(uid ? [{ ...none, group: authentication, resource: "uids", name: uid }] : []),
  ];
}

function userOf({ user, groups, extra, uid }: Impersonation): UserInfo {
  const account = serviceAccountOf(user);
  const own = account && groups.length === 0 ? serviceAccountGroups(account.namespace) : groups;
  const acted = {
    name: user,
    groups: [...own],
    ...(uid ? { uid } : {}),
    ...(Object.keys(extra).length > 0 ? { extra } : {}),
  };
  if (user !== "system:anonymous") return authenticated(acted);
  const unknown = "system:unauthenticated";
  return own.includes(unknown) ? acted : { ...acted, groups: [...own, unknown] };
}

/** Groups of every service account of a namespace. */
export function serviceAccountGroups(namespace: string): string[] {
  return ["system:serviceaccounts", `system:serviceaccounts:${namespace}`];
}

/** Namespace and name of the account that a user name is for; undefined when it is another user's. */
export function serviceAccountOf(user: string): { namespace: string; name: string } | undefined {
  const [system, kind, namespace = "", name = "", ...more] = user.split(":");
  if (system !== "system" || kind !== "serviceaccount" || more.length > 0) return undefined;
  if (isDns1123Label(namespace).length > 0 || isDns1123Subdomain(name).length > 0) return undefined;
  return { namespace, name };
}

function described(rights: readonly Right[]): string {
  return JSON.stringify(rights.map(({ resource, name }) => `${resource} ${name}`));
}
