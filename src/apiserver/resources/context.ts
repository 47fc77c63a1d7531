import { statusError, type StatusError } from "../../kube/index.ts";
import type { ApiRequest, UserInfo } from "../handler.ts";
import type { Shown, WriteContext } from "../registry/index.ts";
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
    // A custom resource is written in the version of the request, and converted where it meets the store.
    resource: served.conversion ? served.resource : served.stored,
    strategy: served.strategy,
    namespace: served.resource.namespaced ? info.namespace : "",
    subresource: info.subresource,
    dryRun,
    options: () => optionsOf(request, info, dryRun),
    ...(served.conversion ? { conversion: served.conversion } : {}),
    ...(served.view ? { shown: shownOf(served.resource, served.view) } : {}),
    warn,
    ...(request.annotate ? { annotate: request.annotate } : {}),
    ...(request.waited ? { waited: request.waited } : {}),
  };
}

function shownOf(resource: Served["resource"], { show, store }: NonNullable<Served["view"]>): Shown {
  return { kind: resource, resource, show, store };
}

const optionKinds: Readonly<Partial<Record<ResourceInfo["verb"], string>>> = {
  create: "CreateOptions",
  update: "UpdateOptions",
  patch: "PatchOptions",
  delete: "DeleteOptions",
  deletecollection: "DeleteOptions",
};

/** The options of a write as an object, as webhooks and policies see them. */
function optionsOf({ query, headers }: ApiRequest, { verb }: ResourceInfo, dryRun: boolean): object {
  const manager = query.get("fieldManager");
  const validation = query.get("fieldValidation");
  const force = query.get("force");
  const applies = headers["content-type"]?.startsWith("application/apply-patch") ?? false;
  return {
    kind: optionKinds[verb] ?? "CreateOptions",
    apiVersion: "meta.k8s.io/v1",
    ...(dryRun ? { dryRun: ["All"] } : {}),
    ...(manager ? { fieldManager: manager } : {}),
    ...(validation ? { fieldValidation: validation } : {}),
    ...(applies && force !== null ? { force: force === "true" } : {}),
  };
}

/** 404 for a path that is none of the API's. */
export function notFoundPath(): StatusError {
  return statusError("NotFound", "the server could not find the requested resource", {});
}
