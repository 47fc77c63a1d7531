import { statusError, type StatusError } from "../../kube/index.ts";
import type { UserInfo } from "../handler.ts";
import type { RequestInfo } from "../request/request-info.ts";
import type { Authorizer } from "./rbac.ts";
import type { Action } from "./rules.ts";

/** What a request does, as authorization sees it. */
export function actionOf(info: RequestInfo): Action {
  if (info.type === "path") return { type: "path", verb: info.verb, path: info.path };
  const { verb, group, resource, subresource, namespace, fields } = info;
  const named =
    verb === "list" || verb === "watch" ? fields?.find(({ field }) => field === "metadata.name") : undefined;
  const name = info.name || (named?.value ?? "");
  return { type: "resource", verb, group, resource, subresource, namespace, name, ...(fields ? { fields } : {}) };
}

/** Throws StatusError Forbidden, in Kubernetes' words, when the user may not do this. */
export function authorize(authorizer: Authorizer, user: UserInfo, info: RequestInfo): void {
  const action = actionOf(info);
  if (!authorizer.allows(user, action)) throw refusal(user, action, authorizer.decide(user, action).reason);
}

/** 403 in Kubernetes' words: who can not do what, and where; and why, where an authorizer says so. */
export function refusal(user: UserInfo, action: Action, reason = ""): StatusError {
  const who = `User ${JSON.stringify(user.name)} cannot ${action.verb}`;
  const tail = reason && `: ${reason}`;
  if (action.type === "path")
    return statusError("Forbidden", `forbidden: ${who} path ${JSON.stringify(action.path)}${tail}`, {});
  const { group, resource, subresource, namespace, name } = action;
  const qualified = group ? `${resource}.${group}` : resource;
  const what = name ? `${qualified} ${JSON.stringify(name)}` : qualified;
  const whole = subresource ? `${resource}/${subresource}` : resource;
  const where = namespace ? `in the namespace ${JSON.stringify(namespace)}` : "at the cluster scope";
  return statusError(
    "Forbidden",
    `${what} is forbidden: ${who} resource ${JSON.stringify(whole)} in API group ${JSON.stringify(group)} ${where}${tail}`,
    { name, group, kind: resource },
  );
}
