import type { ComponentStatus, Resource } from "../../kube/index.ts";
import type { ApiRequest, ApiResponse } from "../handler.ts";
import { methodNotAllowed, notFound } from "../registry/index.ts";
import { negotiate } from "../request/negotiate.ts";
import type { ResourceInfo } from "../request/request-info.ts";
import { objectResponse } from "../request/respond.ts";
import { warningHeader } from "../request/warnings.ts";
import { tableFor, type Printer } from "../table/index.ts";
import { includeObject } from "./form-for.ts";

/** core/v1 ComponentStatus, deprecated since 1.19: what `kubectl get componentstatuses` still asks for. */
export const componentStatus: Resource = {
  group: "",
  version: "v1",
  kind: "ComponentStatus",
  plural: "componentstatuses",
  singular: "componentstatus",
  namespaced: false,
  shortNames: ["cs"],
  categories: [],
  subresources: [],
};

const column = (name: string, description: string, priority = 0) => ({
  name,
  type: "string" as const,
  format: name === "Name" ? "name" : "",
  description,
  priority,
});

const printer: Printer<ComponentStatus> = {
  columns: [
    column("Name", "What it is."),
    column("Status", "Whether it is well."),
    column("Message", "What it says of itself."),
    column("Error", "Why it could not be asked."),
  ],
  cells({ metadata, conditions = [] }) {
    const [healthy] = conditions;
    const status = healthy?.status === "True" ? "Healthy" : "Unhealthy";
    return [metadata.name, status, healthy?.message ?? "", healthy?.error ?? ""];
  },
};

/**
 * Answers for the store, as upstream does under the name `etcd-0`. Controllers and scheduler are asked by their own health checks: the API
 * server has no way to them. Nothing of it is stored, so there are no versions and no watch.
 */
export function answerComponentStatuses(
  request: ApiRequest,
  info: ResourceInfo,
  options: { readonly storeProblem: () => string | undefined; readonly now: () => number },
): ApiResponse {
  if ((info.verb !== "get" && info.verb !== "list") || info.subresource) throw methodNotAllowed();
  const problem = options.storeProblem();
  const store: ComponentStatus = {
    kind: "ComponentStatus",
    apiVersion: "v1",
    metadata: { name: "etcd-0" },
    conditions: [
      {
        type: "Healthy",
        status: problem === undefined ? "True" : "False",
        ...(problem === undefined ? { message: "ok" } : { error: problem }),
      },
    ],
  };
  if (info.name && info.name !== store.metadata.name) throw notFound(componentStatus, info.name);
  const warning = warningHeader(["v1 ComponentStatus is deprecated in v1.19+"]);
  if (negotiate(request.headers["accept"]).as === "Table") {
    const form = { now: options.now(), includeObject: includeObject(request.query), printer };
    const table = tableFor(componentStatus, [store], form);
    return objectResponse(200, { ...table, metadata: {} }, warning);
  }
  if (info.name) return objectResponse(200, store, warning);
  return objectResponse(200, { kind: "ComponentStatusList", apiVersion: "v1", metadata: {}, items: [store] }, warning);
}
