import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createMetrics } from "../system/index.ts";
import type { ApiResponse } from "./handler.ts";
import { createRequestFigures } from "./request-figures.ts";
import { requestInfo } from "./request/request-info.ts";
import { createCatalog } from "./resources/index.ts";
import { startTestApi, type TestApi } from "./test-api.ts";

let api: TestApi;
beforeEach(async () => {
  api = await startTestApi();
});
afterEach(() => api.stop());

const maps = "/api/v1/namespaces/default/configmaps";

/** The value of a line, or undefined when there is no such line. */
async function told(name: string, labels: Record<string, string> = {}): Promise<number | undefined> {
  const { text } = await api.call("GET", "/metrics");
  const found = text
    .split("\n")
    .find(
      (line) =>
        line.split(/[{ ]/, 1)[0] === name &&
        Object.entries(labels).every(([label, value]) => line.includes(`${label}="${value}"`)),
    );
  return found === undefined ? undefined : Number(found.split(" ").at(-1));
}

const what = { group: "", version: "v1", resource: "configmaps" };

test("is served as Prometheus reads it, to those who may", async () => {
  const answer = await api.call("GET", "/metrics");
  expect(answer.status).toBe(200);
  expect(answer.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
  const ask = async (...groups: string[]) =>
    (await api.call("GET", "/metrics", undefined, { user: { name: "u", groups } })).status;
  expect(await ask("system:monitoring", "system:authenticated")).toBe(200);
  expect(await ask("system:authenticated")).toBe(403);
  expect((await api.call("GET", "/metrics/cadvisor")).status).toBe(404);
  expect((await api.call("GET", "/")).body.paths).toContain("/metrics");
});

test("requests are counted by verb, resource, scope and code", async () => {
  const named = { metadata: { name: "a" } };
  await api.call("POST", maps, { apiVersion: "v1", kind: "ConfigMap", ...named });
  await api.call("POST", `${maps}?dryRun=All`, { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "b" } });
  await api.call("GET", `${maps}/a`);
  await api.call("GET", `${maps}/missing`);
  await api.call("GET", maps);
  await api.call("GET", "/api/v1/configmaps");
  const count = (labels: Record<string, string>) =>
    told("apiserver_request_total", { ...what, component: "apiserver", ...labels });
  expect(await count({ verb: "POST", scope: "resource", code: "201", dry_run: "" })).toBe(1);
  expect(await count({ verb: "POST", scope: "resource", code: "201", dry_run: "All" })).toBe(1);
  expect(await count({ verb: "GET", scope: "resource", code: "200" })).toBe(1);
  expect(await count({ verb: "GET", scope: "resource", code: "404" })).toBe(1);
  expect(await count({ verb: "LIST", scope: "namespace", code: "200" })).toBe(1);
  expect(await count({ verb: "LIST", scope: "cluster", code: "200" })).toBe(1);
  expect(await told("apiserver_request_duration_seconds_count", { ...what, verb: "GET", scope: "resource" })).toBe(2);
  expect(await told("apiserver_request_sli_duration_seconds_count", { ...what, verb: "GET", scope: "resource" })).toBe(
    2,
  );
  expect(await told("apiserver_request_sli_duration_seconds_bucket", { ...what, verb: "LIST", le: "30" })).toBe(1);
  expect(await told("apiserver_storage_objects", { resource: "configmaps" })).toBe(1);
  expect(await told("apiserver_resource_objects", { group: "", resource: "configmaps" })).toBe(1);
  expect(await told("apiserver_storage_objects", { resource: "endpointslices.discovery.k8s.io" })).toBe(1);
});

test("what webhooks and the queue took is no part of the service level indicator", async () => {
  const metrics = createMetrics();
  const figures = createRequestFigures(metrics, createCatalog());
  const path = { method: "GET", path: "/version", query: new URLSearchParams(), headers: {} } as const;
  const request = { ...path, signal: new AbortController().signal };
  const answer: ApiResponse = { status: 200, headers: {}, type: "object", object: {}, bytes: () => [] };
  figures.answered(request, requestInfo(request), 5, 4.75, answer);
  figures.terminated(requestInfo(request), 429);
  const text = await metrics.text();
  expect(text).toMatch(/^apiserver_request_duration_seconds_sum\{verb="GET",.*\} 5$/m);
  expect(text).toMatch(/^apiserver_request_sli_duration_seconds_sum\{verb="GET",.*\} 0\.25$/m);
  expect(text).toMatch(/^apiserver_request_terminations_total\{verb="GET",.*,component="apiserver",code="429"\} 1$/m);
});

test("what clients make up becomes no label", async () => {
  for (const path of [
    "/apis/made.up/v7/inventions/x",
    `${maps}/a/imagined`,
    "/api/v1/namespaces/fancied/dreams",
    "/invented",
  ])
    await api.call("GET", path);
  const { text } = await api.call("GET", "/metrics");
  expect(text).not.toMatch(/made\.up|v7|inventions|imagined|fancied|dreams|invented/);
  expect(await told("apiserver_request_total", { verb: "GET", resource: "", code: "404" })).toBe(2);
  expect(await told("apiserver_request_total", { verb: "LIST", resource: "", code: "404" })).toBe(1);
});

test("a watch is under way while it is read, and its events are counted", async () => {
  const labels = { ...what, verb: "WATCH", scope: "namespace" };
  await api.call("GET", maps);
  expect(await told("apiserver_longrunning_requests")).toBeUndefined();
  const watch = await api.watch(`${maps}?watch=1`);
  await api.call("POST", maps, { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" } });
  expect((await watch.next())?.type).toBe("ADDED");
  expect(await told("apiserver_longrunning_requests", labels)).toBe(1);
  expect(await told("apiserver_watch_events_total", what)).toBe(1);
  watch.stop();
  expect(await watch.next()).toBeUndefined();
  expect(await told("apiserver_longrunning_requests", labels)).toBe(0);
  expect(await told("apiserver_request_total", { ...labels, code: "200" })).toBe(1);
  expect(await told("apiserver_request_duration_seconds_count", labels)).toBeUndefined();
});

test("the store tells its revisions and how long writes take", async () => {
  const revision = await api.store.revision();
  expect(await told("fairlead_store_revision")).toBe(revision);
  await api.store.compact(revision);
  expect(await told("fairlead_store_compacted_revision")).toBe(revision);
  const writes = (await told("fairlead_store_write_duration_seconds_count")) ?? 0;
  await api.call("POST", maps, { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" } });
  expect(await told("fairlead_store_write_duration_seconds_count")).toBe(writes + 1);
});

test("tells how long the store, admission and authorizers took and what they said", async () => {
  await api.call("POST", maps, { metadata: { name: "timed" } });
  await api.call("DELETE", `${maps}/timed`);
  await api.call("GET", maps, undefined, { user: { name: "ann", groups: ["system:authenticated"] } });
  expect(await told("etcd_request_duration_seconds_count", { operation: "delete" })).toBeGreaterThan(0);
  const created = { operation: "create", group: "", resource: "configmaps" };
  expect(await told("etcd_request_duration_seconds_count", created)).toBe(1);
  expect(await told("etcd_requests_total", created)).toBe(1);
  expect(await told("etcd_request_errors_total", created)).toBeUndefined();
  const step = "apiserver_admission_step_admission_duration_seconds_count";
  expect(await told(step, { operation: "CREATE", rejected: "false", type: "admit" })).toBeGreaterThan(0);
  expect(await told(step, { operation: "DELETE", rejected: "false", type: "validate" })).toBeGreaterThan(0);
  expect(await told("authorization_attempts_total", { result: "denied" })).toBe(1);
});

test("counts objects of a kind that is defined while it is", async () => {
  const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  await api.call("POST", definitions, {
    metadata: { name: "widgets.example.com" },
    spec: {
      group: "example.com",
      names: { kind: "Widget", plural: "widgets" },
      scope: "Namespaced",
      versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object" } } }],
    },
  });
  await vi.waitFor(async () => {
    const made = await api.call("POST", "/apis/example.com/v1/namespaces/default/widgets", {
      apiVersion: "example.com/v1",
      kind: "Widget",
      metadata: { generateName: "a" },
    });
    expect(made.status).toBe(201);
  });
  expect(await told("apiserver_storage_objects", { resource: "widgets.example.com" })).toBe(1);
  await api.call("DELETE", `${definitions}/widgets.example.com`);
  await vi.waitFor(async () =>
    expect(await told("apiserver_storage_objects", { resource: "widgets.example.com" })).toBeUndefined(),
  );
});
