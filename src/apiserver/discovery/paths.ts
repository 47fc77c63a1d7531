import { createHash } from "node:crypto";
import { metricsType, type Metrics } from "../../system/index.ts";
import type { ApiRequest, ApiResponse } from "../handler.ts";
import { parseAccept } from "../request/negotiate.ts";
import { bodyResponse, objectResponse, textResponse } from "../request/respond.ts";
import { bodyOf, type Body } from "../storage/index.ts";
import { aggregatedType, groupDiscoveryList, wantsAggregated } from "./aggregated.ts";
import { apiGroup, apiGroupList, apiResourceList, apiVersions } from "./classic.ts";
import { openApiV2, openApiV2Asked, openApiV2Given } from "./openapi-v2.ts";
import { openApiDocument, openApiIndex } from "./openapi.ts";
import { versionInfo } from "./version.ts";

/** Named checks behind `/healthz`, `/livez` and `/readyz`. */
export interface HealthCheck {
  readonly name: string;
  /** Undefined: all is well; else what is not. */
  check(): string | undefined;
}

/** The paths beside the resources. Undefined: there is nothing. */
export async function answerPath(
  request: ApiRequest,
  checks: readonly HealthCheck[],
  metrics: Metrics,
): Promise<ApiResponse | undefined> {
  const path = request.path.length > 1 ? request.path.replace(/\/+$/, "") : request.path;
  const [first = "", second, third, ...more] = path.split("/").slice(1);
  switch (first) {
    case "api":
      if (second === undefined) return groups(request, true);
      return third === undefined ? found(apiResourceList("", second)) : undefined;
    case "apis":
      if (second === undefined) return groups(request, false);
      if (third === undefined) return found(apiGroup(second));
      return more.length === 0 ? found(apiResourceList(second, third)) : undefined;
    case "version":
      return second === undefined ? objectResponse(200, versionInfo()) : undefined;
    case "healthz":
    case "livez":
    case "readyz":
      return third === undefined ? health(first, second, request.query, checks) : undefined;
    case "metrics":
      return second === undefined ? textResponse(200, await metrics.text(), metricsType) : undefined;
    case "openapi":
      return openApi(request, path);
    case "":
      return objectResponse(200, { paths: rootPaths(checks) });
    default:
      return undefined;
  }
}

function found(object: object | undefined): ApiResponse | undefined {
  return object && objectResponse(200, object);
}

const aggregated = new Map<boolean, { body: Body; etag: string }>();

function groups(request: ApiRequest, core: boolean): ApiResponse {
  if (!wantsAggregated(request.headers["accept"])) return objectResponse(200, core ? apiVersions() : apiGroupList());
  let known = aggregated.get(core);
  if (!known) {
    const body = bodyOf(groupDiscoveryList(core));
    known = { body, etag: `"${hashOf(body).toUpperCase()}"` };
    aggregated.set(core, known);
  }
  return cached(request, known.body, known.etag, { "content-type": aggregatedType, vary: "Accept" });
}

/** 304 when the client has it already. */
function cached(request: ApiRequest, body: Body, etag: string, headers: Record<string, string>): ApiResponse {
  const all = { etag, "cache-control": "public", ...headers };
  if (request.headers["if-none-match"] !== etag) return bodyResponse(200, body, all);
  return { type: "object", status: 304, headers: all, object: {}, bytes: () => [] };
}

export function hashOf(body: Body): string {
  const hash = createHash("sha256");
  for (const part of body.bytes()) hash.update(part);
  return hash.digest("hex");
}

async function openApi(request: ApiRequest, path: string): Promise<ApiResponse | undefined> {
  if (path === "/openapi/v2") {
    const asProtobuf = parseAccept(request.headers["accept"]).some(({ type }) => type === openApiV2Asked);
    return bodyResponse(200, openApiV2(asProtobuf), asProtobuf ? { "content-type": openApiV2Given } : {});
  }
  if (path === "/openapi/v3") return objectResponse(200, openApiIndex().object);
  if (!path.startsWith("/openapi/v3/")) return undefined;
  const document = openApiDocument(path.slice("/openapi/v3/".length));
  if (!document) return undefined;
  return cached(request, document.body, document.etag, { vary: "Accept" });
}

function health(
  endpoint: string,
  name: string | undefined,
  query: URLSearchParams,
  checks: readonly HealthCheck[],
): ApiResponse | undefined {
  // A process that can answer is alive; what it waits for only keeps it from being ready.
  const asked = endpoint === "readyz" ? checks : checks.filter((check) => check.name === "ping");
  if (name !== undefined) {
    const one = asked.find((check) => check.name === name);
    if (!one) return undefined;
    const problem = one.check();
    return problem === undefined ? textResponse(200, "ok") : textResponse(500, `internal server error: ${problem}\n`);
  }
  const excluded = new Set(query.getAll("exclude"));
  const results = asked.map((check) => ({
    name: check.name,
    problem: excluded.has(check.name) ? undefined : check.check(),
    excluded: excluded.has(check.name),
  }));
  const failed = results.some(({ problem }) => problem !== undefined);
  if (!failed && !query.has("verbose")) return textResponse(200, "ok");
  const lines = results.map(({ name, problem, excluded }) => {
    if (excluded) return `[+]${name} excluded: ok`;
    return problem === undefined ? `[+]${name} ok` : `[-]${name} failed: ${problem}`;
  });
  const verdict = failed ? "failed" : "passed";
  return textResponse(failed ? 500 : 200, `${lines.join("\n")}\n${endpoint} check ${verdict}\n`);
}

function rootPaths(checks: readonly HealthCheck[]): string[] {
  const groupList = apiGroupList() as { groups: { name: string; versions: { groupVersion: string }[] }[] };
  return [
    "/api",
    "/api/v1",
    "/apis",
    ...groupList.groups.flatMap(({ name, versions }) => [
      `/apis/${name}`,
      ...versions.map(({ groupVersion }) => `/apis/${groupVersion}`),
    ]),
    "/healthz",
    "/livez",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/readyz",
    ...checks.map(({ name }) => `/readyz/${name}`),
    "/version",
  ].sort();
}
