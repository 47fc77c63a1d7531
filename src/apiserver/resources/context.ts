import { statusError, type StatusError } from "../../kube/index.ts";
import type { ApiRequest, UserInfo } from "../handler.ts";
import type { WriteContext } from "../registry/index.ts";
import type { ResourceInfo } from "../request/request-info.ts";
import type { Served } from "./served.ts";

/** Who asks without having said who. */
export const anonymous: UserInfo = { name: "system:anonymous", groups: ["system:unauthenticated"] };

export function contextOf(
  request: ApiRequest,
  info: ResourceInfo,
  served: Served,
  dryRun: boolean,
  warn: (text: string) => void,
): WriteContext {
  return {
    user: request.user ?? anonymous,
    resource: served.stored,
    strategy: served.strategy,
    namespace: served.resource.namespaced ? info.namespace : "",
    subresource: info.subresource,
    dryRun,
    warn,
  };
}

/** 404 for a path that is none of the API's. */
export function notFoundPath(): StatusError {
  return statusError("NotFound", "the server could not find the requested resource", {});
}
