import { describe, expect, it } from "vitest";
import { loadCel, createRuleWalk, describeFault, type JsonSchema, type KubeObject } from "../../kube/index.ts";
import { gatewayApi } from "./default-definitions.ts";

/** What the rules of the Gateway API say of a spec; nothing for a good one. */
async function faultsOf(kind: string, spec: object, oldSpec?: object): Promise<string[]> {
  const definition = (await gatewayApi()).find((one) => one.spec.names.kind === kind);
  const version = definition?.spec.versions.find(({ storage }) => storage);
  const schema = version?.schema?.openAPIV3Schema;
  if (!schema) throw new Error(`no schema of ${kind}`);
  const object = (of: object) =>
    ({ apiVersion: "gateway.networking.k8s.io/v1", kind, metadata: { name: "x" }, spec: of }) as unknown as KubeObject;
  const walk = createRuleWalk(await loadCel(), schema as JsonSchema);
  return walk.validate(object(spec), oldSpec && object(oldSpec)).map(describeFault);
}

const listener = { name: "a", port: 80, protocol: "HTTP" };
const gateway = (...listeners: object[]): object => ({ gatewayClassName: "c", listeners });
const matches = [{ path: { type: "PathPrefix", value: "/" } }];
/** With what is filled in before rules are asked. */
const rules = (...all: object[]): object => ({ rules: all.map((rule) => ({ matches, ...rule })) });
const parents = (...all: object[]): object => ({
  parentRefs: all.map((ref) => ({ group: "g", kind: "k", name: "a", ...ref })),
  rules: [],
});
const path = (type: string, value: string): object => rules({ matches: [{ path: { type, value } }] });
const filters = (...all: object[]): object => rules({ filters: all });
const redirect = { type: "RequestRedirect", requestRedirect: { scheme: "https" } };
const rewrite = { type: "URLRewrite", urlRewrite: { hostname: "a.b" } };
const hostnames = (...names: string[]): object => ({ hostnames: names, rules: [] });

describe("the rules of the Gateway API", () => {
  it.each<[string, object]>([
    ["Gateway", gateway(listener)],
    ["Gateway", gateway(listener, { ...listener, name: "b", hostname: "a.b" })],
    [
      "Gateway",
      gateway({ ...listener, protocol: "HTTPS", tls: { mode: "Terminate", certificateRefs: [{ name: "x" }] } }),
    ],
    ["Gateway", { ...gateway(listener), infrastructure: { labels: { "example.org/a": "b" } } }],
    [
      "Gateway",
      {
        ...gateway(listener),
        addresses: [
          { type: "IPAddress", value: "10.0.0.1" },
          { type: "Hostname", value: "a.b" },
        ],
      },
    ],
    ["HTTPRoute", path("PathPrefix", "/a/b")],
    ["HTTPRoute", path("Exact", "/a-b_c.d~e%20")],
    ["HTTPRoute", path("RegularExpression", "no slash //")],
    ["HTTPRoute", filters(redirect)],
    ["HTTPRoute", rules({ timeouts: { request: "10s", backendRequest: "10s" } })],
    ["HTTPRoute", parents({}, { name: "b" })],
    ["HTTPRoute", parents({ sectionName: "x" }, { sectionName: "y" })],
    ["GRPCRoute", rules({ matches: [{ method: { type: "Exact", service: "a.B", method: "C" } }] })],
    ["TLSRoute", hostnames("a.example.org", "*.example.org")],
    ["GatewayClass", { controllerName: "example.org/c" }],
  ])("take a good %s: %j", async (kind, spec) => {
    expect(await faultsOf(kind, spec)).toEqual([]);
  });

  it.each<[string, object, string]>([
    [
      "Gateway",
      gateway({ ...listener, protocol: "TCP", hostname: "a.b" }),
      "l.protocol in ['TCP', 'UDP']  ? (!has(l.hostname)",
    ],
    ["Gateway", gateway({ ...listener, tls: {} }), "l.protocol in ['HTTP', 'TCP', 'UDP'] ? !has(l.tls)"],
    [
      "Gateway",
      gateway({ ...listener, protocol: "HTTPS", tls: { mode: "Passthrough" } }),
      "(l.protocol == 'HTTPS' && has(l.tls))",
    ],
    ["Gateway", gateway(listener, { ...listener, port: 81 }), "self.exists_one(l2, l1.name == l2.name)"],
    [
      "Gateway",
      gateway(listener, { ...listener, name: "b" }),
      "self.exists_one(l2, l1.port == l2.port && l1.protocol == l2.protocol",
    ],
    [
      "Gateway",
      gateway({ ...listener, protocol: "HTTPS", tls: { mode: "Terminate", certificateRefs: [], options: {} } }),
      "size(self.certificateRefs) > 0 || size(self.options) > 0",
    ],
    [
      "Gateway",
      { ...gateway(listener), infrastructure: { annotations: { "-bad": "b" } } },
      "spec.infrastructure.annotations: Invalid value: failed rule: self.all(key, key.matches(",
    ],
    [
      "Gateway",
      {
        ...gateway(listener),
        addresses: [
          { type: "IPAddress", value: "1.1.1.1" },
          { type: "IPAddress", value: "1.1.1.1" },
        ],
      },
      "a1.type == 'IPAddress' && has(a1.value)",
    ],
    [
      "Gateway",
      { ...gateway(listener), addresses: [{ type: "Hostname", value: "Not A Host" }] },
      "self.type == 'Hostname' ? (!has(self.value)",
    ],
    ["HTTPRoute", path("PathPrefix", "no-slash"), "self.value.startsWith('/')"],
    ["HTTPRoute", path("Exact", "/a//b"), "!self.value.contains('//')"],
    ["HTTPRoute", path("Exact", "/a/../b"), "!self.value.contains('/../')"],
    ["HTTPRoute", path("Exact", "/a%2fb"), "!self.value.contains('%2f')"],
    ["HTTPRoute", path("Exact", "/a b"), "self.value.matches(r"],
    ["HTTPRoute", filters(redirect, rewrite), "f.type == 'RequestRedirect') && self.exists(f, f.type == 'URLRewrite'"],
    ["HTTPRoute", filters(redirect, redirect), "self.filter(f, f.type == 'RequestRedirect').size() <= 1"],
    ["HTTPRoute", filters({ type: "URLRewrite" }), "!(!has(self.urlRewrite) && self.type == 'URLRewrite')"],
    [
      "HTTPRoute",
      filters({ ...rewrite, type: "RequestMirror" }),
      "!(has(self.urlRewrite) && self.type != 'URLRewrite')",
    ],
    [
      "HTTPRoute",
      rules({ filters: [redirect], backendRefs: [{ name: "s", port: 80 }] }),
      "self.filters.all(f, !has(f.requestRedirect))",
    ],
    [
      "HTTPRoute",
      rules({ timeouts: { request: "1s", backendRequest: "2s" } }),
      "duration(self.backendRequest) > duration(self.request)",
    ],
    [
      "HTTPRoute",
      rules({ backendRefs: [{ group: "", kind: "Service", name: "s" }] }),
      "self.kind == 'Service') ? has(self.port)",
    ],
    ["HTTPRoute", parents({}, {}), "self.exists_one(p2"],
    ["HTTPRoute", parents({}, { sectionName: "y" }), "self.all(p2"],
    ["GRPCRoute", rules({ matches: [{ method: { type: "Exact" } }] }), "has(self.service) || has(self.method)"],
    ["GRPCRoute", rules({ matches: [{ method: { service: "bad service" } }] }), "self.service.matches(r"],
    ["TLSRoute", hostnames("10.0.0.1"), "!isIP(h)"],
  ])("refuse a bad %s: %j", async (kind, spec, message) => {
    expect((await faultsOf(kind, spec)).join("\n")).toContain(message);
  });

  it("hold to what was said before", async () => {
    const [spec, old] = [{ controllerName: "example.org/a" }, { controllerName: "example.org/b" }];
    expect(await faultsOf("GatewayClass", spec, spec)).toEqual([]);
    expect((await faultsOf("GatewayClass", spec, old)).join()).toContain("self == oldSelf");
  });
});
