import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeFault, resources, strategyFor } from "../../kube/index.ts";
import { startTestApi, type TestApi } from "../test-api.ts";
import { compareBundles, gatewayApi } from "./default-definitions.ts";
import { gatewayTexts } from "./gateway-descriptions.ts";
import { definitions, eventually } from "./testing.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({ gatewayApi: true });
  for (const { metadata } of await gatewayApi())
    await eventually(api, `${definitions}/${metadata.name}`, ({ body }) =>
      (body?.status?.conditions as { type: string; status: string }[] | undefined)?.some(
        ({ type, status }) => type === "Established" && status === "True",
      ),
    );
}, 20_000);
afterAll(() => api.stop());

const root = "/apis/gateway.networking.k8s.io/v1/namespaces/default";
const gateway = (listeners: object[]): object => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "Gateway",
  metadata: { name: "g" },
  spec: { gatewayClassName: "fairlead", listeners },
});
const route = (name: string, rules: object[]): object => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "HTTPRoute",
  metadata: { name },
  spec: { parentRefs: [{ name: "g" }], rules },
});

describe("the Gateway API", () => {
  it("is explained in OpenAPI: every text has its place", async () => {
    const { body } = await api.call("GET", "/openapi/v3/apis/gateway.networking.k8s.io/v1");
    const schemas = Object.values<{ description?: string }>(body.components.schemas);
    const named = (kind: string) =>
      schemas.find((schema) =>
        (schema as { "x-kubernetes-group-version-kind"?: { kind: string }[] })["x-kubernetes-group-version-kind"]?.some(
          (one) => one.kind === kind,
        ),
      );
    for (const [kind, texts] of Object.entries(gatewayTexts)) {
      const all = JSON.stringify(named(kind) ?? {});
      for (const text of Object.values(texts)) expect(all, `${kind}: ${text}`).toContain(JSON.stringify(text));
    }
  });

  it("has definitions that are good, rules included", async () => {
    const strategy = strategyFor(resources.CustomResourceDefinition);
    for (const definition of await gatewayApi()) {
      await strategy.ready?.(definition);
      strategy.prepareForCreate(definition, { now: "2030-01-01T00:00:00Z" });
      expect(strategy.validateCreate(definition, { now: "2030-01-01T00:00:00Z" }).map(describeFault)).toEqual([]);
    }
  }, 60_000);

  it("is served in all its versions", async () => {
    const { body } = await api.call("GET", "/apis/gateway.networking.k8s.io");
    expect(body.versions.map(({ version }: { version: string }) => version)).toEqual(["v1", "v1beta1"]);
    const list = await api.call("GET", "/apis/gateway.networking.k8s.io/v1");
    expect(list.body.resources.map(({ name }: { name: string }) => name)).toContain("httproutes/status");
  });

  it("fills in what a Gateway leaves out, and checks its listeners", async () => {
    const made = await api.call("POST", `${root}/gateways`, gateway([{ name: "web", port: 80, protocol: "HTTP" }]));
    expect(made.status).toBe(201);
    expect(made.body.spec.listeners[0].allowedRoutes).toEqual({ namespaces: { from: "Same" } });
    const wrong = await api.call(
      "POST",
      `${root}/gateways`,
      gateway([{ name: "tls", port: 443, protocol: "TCP", hostname: "a.b" }]),
    );
    expect(wrong.status).toBe(422);
    expect(wrong.body.message).toContain(
      "spec.listeners: Invalid value: failed rule: self.all(l, l.protocol in ['TCP', 'UDP']",
    );
    const twice = { name: "a", port: 80, protocol: "HTTP" };
    const unique = await api.call("POST", `${root}/gateways`, gateway([twice, { ...twice, name: "b" }]));
    expect(unique.body.message).toContain("failed rule: self.all(l1, self.exists_one(l2, l1.port == l2.port");
  });

  it("checks routes by its rules", async () => {
    const made = await api.call(
      "POST",
      `${root}/httproutes`,
      route("r", [{ backendRefs: [{ name: "web", port: 80 }] }]),
    );
    expect(made.status).toBe(201);
    expect(made.body.spec.rules[0].matches).toEqual([{ path: { type: "PathPrefix", value: "/" } }]);
    const path = await api.call(
      "POST",
      `${root}/httproutes`,
      route("p", [{ matches: [{ path: { value: "no-slash" } }] }]),
    );
    expect(path.status).toBe(422);
    expect(path.body.message).toContain(
      "spec.rules[0].matches[0].path: Invalid value: failed rule: (self.type in ['Exact','PathPrefix'])",
    );
    const port = await api.call("POST", `${root}/httproutes`, route("q", [{ backendRefs: [{ name: "web" }] }]));
    expect(port.body.message).toContain(
      "spec.rules[0].backendRefs[0]: Invalid value: failed rule: (size(self.group) == 0",
    );
  });
});

it("knows which bundle is older", () => {
  expect(compareBundles("v1.6.0", "v1.6.1")).toBeLessThan(0);
  expect(compareBundles("v1.10.0", "v1.6.1")).toBeGreaterThan(0);
  expect(compareBundles("v1.6.1", "v1.6.1")).toBe(0);
  expect(compareBundles("main", "v1.6.1")).toBe(0);
});
