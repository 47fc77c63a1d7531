import { statusError } from "../../kube/index.ts";
import type { ApiRequest, UserInfo } from "../handler.ts";
import type { Authorizer } from "./rbac.ts";
import { refusal } from "./authorize.ts";

const account = /^system:serviceaccount:([^:]+):([^:]+)$/;

/**
 * Who a request acts for: the user of its `Impersonate-*` headers when the asker may `impersonate` them, else the asker.
 * Throws StatusError Forbidden, or BadRequest for groups without a user.
 */
export function actingUser(request: ApiRequest, asker: UserInfo, authorizer: Authorizer): UserInfo {
  const name = request.headers["impersonate-user"];
  const groups = (request.headers["impersonate-group"] ?? "")
    .split(",")
    .map((group) => group.trim())
    .filter((group) => group !== "");
  if (!name) {
    if (groups.length > 0) throw statusError("BadRequest", "requested groups without impersonating a user");
    return asker;
  }
  const check = (resource: string, target: string, namespace = ""): void => {
    const action = {
      type: "resource",
      verb: "impersonate",
      group: "",
      resource,
      subresource: "",
      namespace,
      name: target,
    } as const;
    if (!authorizer.allows(asker, action)) throw refusal(asker, action);
  };
  const [, namespace, serviceAccount] = account.exec(name) ?? [];
  if (serviceAccount !== undefined) check("serviceaccounts", serviceAccount, namespace);
  else check("users", name);
  for (const group of groups) check("groups", group);
  const own =
    serviceAccount !== undefined && groups.length === 0
      ? ["system:serviceaccounts", `system:serviceaccounts:${namespace}`]
      : groups;
  const known = name === "system:anonymous" ? "system:unauthenticated" : "system:authenticated";
  return { name, groups: [...new Set([...own, known])] };
}
