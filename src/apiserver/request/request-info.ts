import { isStatus, parseFieldSelector } from "../../kube/index.ts";
import type { ApiRequest } from "../handler.ts";

/** "" is that of OPTIONS, which only rules for every verb allow. */
export type ResourceVerb =
  | "get"
  | "list"
  | "watch"
  | "create"
  | "update"
  | "patch"
  | "delete"
  | "deletecollection"
  | "";

/** What a request is about: a resource of the API, or a path beside it such as `/version`. */
export type RequestInfo =
  | { readonly type: "path"; readonly path: string; readonly verb: string }
  | {
      readonly type: "resource";
      readonly path: string;
      readonly verb: ResourceVerb;
      readonly group: string;
      readonly version: string;
      /** Plural name. */
      readonly resource: string;
      readonly subresource: string;
      /** "" for a cluster-scoped resource and for all namespaces. */
      readonly namespace: string;
      /** "" for a collection. */
      readonly name: string;
      /** What a selector wants fields to be; absent without a selector. */
      readonly fields?: readonly FieldEquality[];
    };

/** One field that must have one value. */
export interface FieldEquality {
  readonly field: string;
  readonly value: string;
}

export type ResourceInfo = Extract<RequestInfo, { type: "resource" }>;

/** Reads method and path as Kubernetes does (apiserver's `RequestInfoFactory`); verbs are those of RBAC. */
export function requestInfo(request: Pick<ApiRequest, "method" | "path" | "query">): RequestInfo {
  const { method, path, query } = request;
  const other: RequestInfo = { type: "path", path, verb: method.toLowerCase() };
  const parts = path.split("/").filter((part) => part !== "");
  const core = parts[0] === "api";
  if (!core && parts[0] !== "apis") return other;
  const [group = "", version, ...rest] = core ? ["", ...parts.slice(1)] : parts.slice(1);
  if (version === undefined || rest.length === 0) return other;

  // The deprecated form of a watch has it in its path, and may name one object.
  const watches = rest[0] === "watch" && rest.length > 1 && method === "GET";
  if (watches) rest.shift();
  let namespace = "";
  let [resource = "", name = "", subresource = ""] = rest;
  if (resource === "namespaces" && name) {
    namespace = name;
    // `/namespaces/x/status` is a part of the namespace, `/namespaces/x/pods` a collection inside it.
    if (rest.length > 2 && !(core && rest.length === 3 && namespaceParts.has(subresource)))
      [, , resource = "", name = "", subresource = ""] = rest;
  }
  const selector = name ? null : query.get("fieldSelector");
  return {
    type: "resource",
    path,
    verb: watches ? "watch" : verbOf(method, name, subresource ? noQuery : query),
    group,
    version,
    resource,
    subresource,
    namespace,
    name,
    ...(selector ? { fields: equalitiesIn(selector) } : {}),
  };
}

/** The equalities in a field selector. One that can not be read has none: it is refused later, to those who may ask at all. */
export function equalitiesIn(selector: string): FieldEquality[] {
  try {
    return parseFieldSelector(selector).flatMap(({ field, operator, value }) =>
      operator === "=" ? [{ field, value }] : [],
    );
  } catch (error) {
    if (isStatus(error, "BadRequest")) return [];
    throw error;
  }
}

/** The query of a part may be that of somebody behind a proxy: it does not make a watch of it. */
const noQuery = new URLSearchParams();

const namespaceParts = new Set(["status", "finalize"]);

function verbOf(method: ApiRequest["method"], name: string, query: URLSearchParams): ResourceVerb {
  switch (method) {
    case "POST":
      return "create";
    case "PUT":
      return "update";
    case "PATCH":
      return "patch";
    case "DELETE":
      return name ? "delete" : "deletecollection";
    case "OPTIONS":
      return "";
    default:
      if (name) return "get";
      return isTrue(query.get("watch")) ? "watch" : "list";
  }
}

/** Booleans in a query, as apimachinery converts them: present and not "0" or "false". */
export function isTrue(value: string | null): boolean {
  return value !== null && value !== "0" && value.toLowerCase() !== "false";
}

/** Parts whose requests are passed on as they are. */
const passedOnParts: ReadonlySet<string> = new Set(["exec", "attach", "portforward", "proxy"]);
const maybePassedOn = /\/(?:exec|attach|portforward|proxy)(?:\/|$)/;

/** Whether a request is for a part of a pod, Service or node that leads somewhere else. */
export function isPassedOn(request: Pick<ApiRequest, "method" | "path" | "query">): boolean {
  // Asked of every request.
  if (!maybePassedOn.test(request.path)) return false;
  const info = requestInfo(request);
  return info.type === "resource" && info.group === "" && passedOnParts.has(info.subresource);
}
