import { createHash } from "node:crypto";
import { statusError } from "../../kube/index.ts";
import { metricsType, type Metrics } from "../../system/index.ts";
import type { ApiRequest, ApiResponse } from "../handler.ts";
import { parseAccept } from "../request/negotiate.ts";
import { bodyResponse, objectResponse, textResponse } from "../request/respond.ts";
import { bodyOf, type Body } from "../storage/index.ts";
import type { Advertised } from "../own-service.ts";
import type { Catalog } from "../resources/index.ts";
import { aggregatedType, groupDiscoveryList, wantsAggregated } from "./aggregated.ts";
import { apiGroup, apiGroupList, apiGroups, apiResourceList, apiVersions } from "./classic.ts";
import { createGroups, withRemote, type Groups, type RemoteGroups } from "./groups.ts";
import { createOpenApiV2, openApiV2Asked, openApiV2Given } from "./openapi-v2.ts";
import { createOpenApiV3 } from "./openapi.ts";
import { isKubernetesGroup } from "./priority.ts";
import { health, healthPaths, isHealthEndpoint, type HealthCheck } from "./health.ts";
import { versionInfo } from "./version.ts";

/** Answers the paths beside the resources. Undefined: there is nothing. */
export type Discovery = (
  request: ApiRequest,
  checks: readonly HealthCheck[],
  metrics: Metrics,
) => Promise<ApiResponse | undefined>;

const notThere = statusError("NotFound", "the server could not find the requested resource", {});

/** Below a group of Kubernetes there is a router, which answers with a Status; beside them nobody. */
function notRouted(): never {
  throw notThere;
}

/** What is served, as `catalog` has it at the time of each request. */
export function createDiscovery(catalog: Catalog, remote: RemoteGroups, advertise: Advertised): Discovery {
  const own = createGroups(catalog);
  const groups = withRemote(own, remote);
  const listGroups = createGroupLists(groups, advertise);
  const openApi = createOpenApi(own, remote);

  return async (request, checks, metrics) => {
    const path = request.path.length > 1 ? request.path.replace(/\/+$/, "") : request.path;
    const [first = "", second, third, ...more] = path.split("/").slice(1);
    switch (first) {
      case "api":
        if (second === undefined) return listGroups(request, true);
        return (third === undefined ? found(apiResourceList(groups.all(), "", second)) : undefined) ?? notRouted();
      case "apis":
        if (second === undefined) return listGroups(request, false);
        if (third === undefined) return found(apiGroup(groups.all(), second));
        return (
          (more.length === 0 ? found(apiResourceList(groups.all(), second, third)) : undefined) ??
          (isKubernetesGroup(second) ? notRouted() : undefined)
        );
      case "version":
        return second === undefined ? objectResponse(200, versionInfo()) : undefined;
      case "metrics":
        return second === undefined ? textResponse(200, await metrics.text(), metricsType) : undefined;
      case "openapi":
        return openApi(request, path);
      case "":
        return objectResponse(200, { paths: rootPaths(groups, checks) });
      default:
        if (!isHealthEndpoint(first)) return undefined;
        return health(first, path.slice(first.length + 2), request.query, checks);
    }
  };
}

function found(object: object | undefined): ApiResponse | undefined {
  return object && objectResponse(200, object);
}

/** `/api` and `/apis` in both forms; the aggregated one is made once after each change. */
function createGroupLists(groups: Groups, advertise: Advertised): (request: ApiRequest, core: boolean) => ApiResponse {
  const aggregated = new Map<boolean, { version: string; body: Body; etag: string }>();
  return (request, core) => {
    if (!wantsAggregated(request.headers["accept"]))
      return objectResponse(200, core ? apiVersions(groups.all(), advertise) : apiGroupList(groups.all()));
    let known = aggregated.get(core);
    if (known?.version !== groups.version) {
      const body = bodyOf(groupDiscoveryList(groups.all(), core));
      known = { version: groups.version, body, etag: `"${hashOf(body).toUpperCase()}"` };
      aggregated.set(core, known);
    }
    return cached(request, known.body, known.etag, { "content-type": aggregatedType, vary: "Accept" });
  };
}

/** 304 when the client has it already. */
function cached(request: ApiRequest, body: Body, etag: string, headers: Record<string, string>): ApiResponse {
  const all = { etag, "cache-control": "public", ...headers };
  if (!matches(request.headers["if-none-match"], etag)) return bodyResponse(200, body, all);
  return { type: "object", status: 304, headers: all, object: {}, bytes: () => [] };
}

/** A client may name several tags, or any (RFC 9110 section 13.1.2); they are compared weakly. */
function matches(header: string | undefined, etag: string): boolean {
  return header !== undefined && header.split(",").some((one) => [etag, `W/${etag}`, "*"].includes(one.trim()));
}

export function hashOf(body: Body): string {
  const hash = createHash("sha256");
  for (const part of body.bytes()) hash.update(part);
  return hash.digest("hex");
}

function createOpenApi(
  groups: Groups,
  remote: RemoteGroups,
): (request: ApiRequest, path: string) => ApiResponse | undefined {
  const v2 = createOpenApiV2(groups, remote);
  const v3 = createOpenApiV3(groups);
  return (request, path) => {
    if (path === "/openapi/v2") {
      const asProtobuf = parseAccept(request.headers["accept"]).some(({ type }) => type === openApiV2Asked);
      const { body, etag } = v2(asProtobuf);
      const type = asProtobuf ? openApiV2Given : "application/json";
      return cached(request, body, etag, {
        vary: "Accept",
        "content-type": type,
        "cache-control": "no-cache, private",
      });
    }
    if (path === "/openapi/v3") {
      const body = bodyOf(withRemotePaths(v3.index().object, remote));
      const headers = { vary: "Accept", "cache-control": "no-cache, private" };
      return cached(request, body, `"${hashOf(body).toUpperCase()}"`, headers);
    }
    if (!path.startsWith("/openapi/v3/")) return undefined;
    const document = v3.document(path.slice("/openapi/v3/".length));
    if (!document) return nothing;
    const hash = request.query.get("hash");
    if (hash) {
      // A URL with a hash never changes its meaning: who asks by an old one is led to the new one.
      const current = document.etag.replaceAll('"', "");
      if (hash !== current) return movedTo(`${path}?hash=${current}`);
      return cached(request, document.body, document.etag, { vary: "Accept", "cache-control": "public, immutable" });
    }
    return cached(request, document.body, document.etag, { vary: "Accept" });
  };
}

/** Other servers answer for their own documents, by the path alone. */
function withRemotePaths(index: object, remote: RemoteGroups): object {
  const others = remote.all().map(({ group, version }) => {
    const path = group ? `apis/${group}/${version}` : `api/${version}`;
    return [path, { serverRelativeURL: `/openapi/v3/${path}` }] as const;
  });
  if (others.length === 0) return index;
  return { ...index, paths: { ...(index as { paths?: object }).paths, ...Object.fromEntries(others) } };
}

/** Upstream says no more than that it is not there. */
const nothing: ApiResponse = { type: "object", status: 404, headers: {}, object: notThere.status, bytes: () => [] };

function movedTo(location: string): ApiResponse {
  return { type: "object", status: 301, headers: { location }, object: {}, bytes: () => [] };
}

function rootPaths(groups: Groups, checks: readonly HealthCheck[]): string[] {
  return [
    "/.well-known/openid-configuration",
    "/api",
    "/api/v1",
    "/apis",
    ...apiGroups(groups.all()).flatMap(({ name, versions }) => [
      `/apis/${name}`,
      ...versions.map(({ groupVersion }) => `/apis/${groupVersion}`),
    ]),
    ...healthPaths(checks),
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/openid/v1/jwks",
    "/version",
  ].sort();
}
