import { describe, expect, it } from "vitest";
import type { ApiRequest } from "../handler.ts";
import { requestInfo } from "./request-info.ts";

const read = (method: ApiRequest["method"], url: string) => {
  const { pathname, searchParams } = new URL(url, "http://api");
  return requestInfo({ method, path: pathname, query: searchParams });
};

describe("request info", () => {
  it.each([
    ["GET", "/api/v1/namespaces", { verb: "list", resource: "namespaces", namespace: "", name: "" }],
    ["GET", "/api/v1/namespaces/a", { verb: "get", resource: "namespaces", namespace: "a", name: "a" }],
    [
      "PUT",
      "/api/v1/namespaces/a/finalize",
      { verb: "update", resource: "namespaces", name: "a", subresource: "finalize" },
    ],
    ["GET", "/api/v1/namespaces/a/pods", { verb: "list", resource: "pods", namespace: "a", name: "" }],
    ["GET", "/api/v1/namespaces/a/status/b", { verb: "get", resource: "status", namespace: "a", name: "b" }],
    ["GET", "/api/v1/namespaces/a/pods/b/log", { verb: "get", resource: "pods", name: "b", subresource: "log" }],
    ["GET", "/api/v1/pods?watch=true", { verb: "watch", resource: "pods", namespace: "" }],
    ["GET", "/api/v1/pods?watch=0", { verb: "list" }],
    ["GET", "/api/v1/watch/pods", { verb: "watch", resource: "pods", namespace: "", name: "" }],
    ["GET", "/api/v1/watch/namespaces/a/pods/b", { verb: "watch", resource: "pods", namespace: "a", name: "b" }],
    ["GET", "/apis/apps/v1/watch/deployments", { verb: "watch", group: "apps", resource: "deployments" }],
    ["POST", "/api/v1/watch/namespaces/a/pods", { verb: "create", resource: "watch" }],
    ["OPTIONS", "/api/v1/namespaces/a/pods/p/proxy/x", { verb: "", resource: "pods", subresource: "proxy" }],
    ["HEAD", "/api/v1/nodes/n", { verb: "get", resource: "nodes", name: "n" }],
    [
      "POST",
      "/apis/apps/v1/namespaces/a/deployments",
      { verb: "create", group: "apps", version: "v1", resource: "deployments" },
    ],
    ["PATCH", "/apis/apps/v1/namespaces/a/deployments/d/scale", { verb: "patch", name: "d", subresource: "scale" }],
    ["DELETE", "/apis/apps/v1/namespaces/a/deployments", { verb: "deletecollection", name: "" }],
    ["DELETE", "/apis/apps/v1/namespaces/a/deployments/d", { verb: "delete", name: "d" }],
  ] as const)("%s %s", (method, url, expected) => {
    expect(read(method, url)).toMatchObject({ type: "resource", ...expected });
  });

  it.each(["/", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/healthz", "/openapi/v3/api/v1"])(
    "%s is beside the resources",
    (path) => {
      expect(read("GET", path)).toEqual({ type: "path", path, verb: "get" });
    },
  );
});
