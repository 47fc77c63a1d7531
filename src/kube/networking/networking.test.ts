import { describe, expect, it } from "vitest";
import type { Ingress } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { strategyFor } from "../strategies.ts";
import { create, update } from "../testing.ts";

const service = { name: "web", port: { number: 80 } };
const backend = { service };
const ingress = (spec: object, metadata: object = {}) => create(resources.Ingress, { metadata, spec });
const path = (fields: object) =>
  ingress({ rules: [{ http: { paths: [{ path: "/", pathType: "Prefix", backend, ...fields }] } }] });
const host = (name: string) =>
  ingress({ rules: [{ host: name, http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }] });

const subdomain =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const wildcard =
  "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

describe("Ingress", () => {
  it("has nothing to default but its status", () => {
    const { object, faults } = path({});
    expect(faults).toEqual([]);
    expect(object).toEqual({
      apiVersion: "networking.k8s.io/v1",
      kind: "Ingress",
      metadata: { name: "x", namespace: "default", generation: 1 },
      spec: { rules: [{ http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }] },
      status: { loadBalancer: {} },
    });
  });

  it.each<[object, string]>([
    [{}, "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"],
    [{ rules: [{ http: { paths: [] } }] }, "spec.rules[0].http.paths: Required value"],
    [{ defaultBackend: {} }, 'spec.defaultBackend: Invalid value: "": resource or service backend is required'],
    [
      { defaultBackend: { service: { name: "web" } } },
      "spec.defaultBackend: Required value: port name or number is required",
    ],
    [
      { defaultBackend: { service: { name: "web", port: { number: 80, name: "http" } } } },
      'spec.defaultBackend: Invalid value: "": cannot set both port name & port number',
    ],
    [
      { defaultBackend: { service: { name: "web", port: { number: 70_000 } } } },
      "spec.defaultBackend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive",
    ],
    [{ defaultBackend: { service: { port: { number: 80 } } } }, "spec.defaultBackend.service.name: Required value"],
    [
      { defaultBackend: { service, resource: { kind: "a", name: "b" } } },
      'spec.defaultBackend: Invalid value: "": cannot set both resource and service backends',
    ],
    [{ defaultBackend: { resource: { kind: "a" } } }, "spec.defaultBackend.resource.name: Required value"],
    [{ defaultBackend: backend, ingressClassName: "A" }, `spec.ingressClassName: Invalid value: "A": ${subdomain}`],
    [{ defaultBackend: backend, tls: [{ hosts: ["*"] }] }, `spec.tls[0].hosts[0]: Invalid value: "*": ${wildcard}`],
    [
      { defaultBackend: backend, tls: [{ secretName: "A" }] },
      `spec.tls[0].secretName: Invalid value: "A": ${subdomain}`,
    ],
  ])("%j", (spec, expected) => {
    expect(ingress(spec).faults).toEqual([expected]);
  });

  it.each<[object, ...string[]]>([
    [{ pathType: null }, "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
    [
      { pathType: "Regex" },
      'spec.rules[0].http.paths[0].pathType: Unsupported value: "Regex": supported values: "Exact", "ImplementationSpecific", "Prefix"',
    ],
    [{ path: "a" }, 'spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path'],
    [{ path: null }, 'spec.rules[0].http.paths[0].path: Invalid value: "": must be an absolute path'],
    [{ path: "/a//b" }, "spec.rules[0].http.paths[0].path: Invalid value: \"/a//b\": must not contain '//'"],
    [{ path: "/a/.." }, "spec.rules[0].http.paths[0].path: Invalid value: \"/a/..\": cannot end with '/..'"],
    [{ path: "/%2f" }, "spec.rules[0].http.paths[0].path: Invalid value: \"/%2f\": must not contain '%2f'"],
    [{ path: "", pathType: "ImplementationSpecific" }],
    [{ path: "/a//b", pathType: "ImplementationSpecific" }],
  ])("a path with %j", (fields, ...expected) => {
    expect(path(fields).faults).toEqual(expected);
  });

  it.each<[string, ...string[]]>([
    ["a.example.com"],
    ["*.example.com"],
    ["10.0.0.1", 'spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address'],
    ["A.com", `spec.rules[0].host: Invalid value: "A.com": ${subdomain}`],
    ["a.*.com", `spec.rules[0].host: Invalid value: "a.*.com": ${wildcard}`],
    ["a.com:80", `spec.rules[0].host: Invalid value: "a.com:80": ${subdomain}`],
  ])("host %s", (name, ...expected) => {
    expect(host(name).faults).toEqual(expected);
  });

  it("names one class only, and is warned when by annotation", () => {
    const annotations = { "kubernetes.io/ingress.class": "a" };
    const { object, faults } = ingress({ defaultBackend: backend, ingressClassName: "b" }, { annotations });
    expect(faults).toEqual([
      'annotations.kubernetes.io/ingress.class: Invalid value: "a": must match `ingressClassName` when both are specified',
    ]);
    expect(strategyFor(resources.Ingress).warnings(object)).toEqual([
      "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead",
    ]);
  });

  it("has addresses in its status", () => {
    const old = path({}).object as Ingress;
    const { faults } = update(
      resources.Ingress,
      old,
      (draft: Ingress) => {
        draft.status = { loadBalancer: { ingress: [{ ip: "x" }, { hostname: "1.2.3.4" }] } };
      },
      { subresource: "status" },
    );
    expect(faults).toEqual([
      'status.loadBalancer.ingress[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      'status.loadBalancer.ingress[1].hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address',
    ]);
  });
});

describe("IngressClass", () => {
  const ingressClass = (spec: object) => create(resources.IngressClass, { spec });
  it.each<[object, ...string[]]>([
    [{ controller: "example.com/a" }],
    [{}, "spec.controller: Required value"],
    [
      { controller: "a" },
      'spec.controller: Invalid value: "a": must be a domain-prefixed path (such as "acme.io/foo")',
    ],
    [
      { controller: "example.com/a b" },
      "spec.controller: Invalid value: \"a b\": Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')",
    ],
    [
      { controller: "example.com/a", parameters: { kind: "a", name: "b", scope: "Namespace" } },
      "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
    ],
    [
      { controller: "example.com/a", parameters: { kind: "a", name: "b", namespace: "c" } },
      "spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'",
    ],
  ])("%j", (spec, ...expected) => {
    expect(ingressClass(spec).faults).toEqual(expected);
  });

  it("keeps its controller", () => {
    const { object } = ingressClass({ controller: "example.com/a" });
    const { faults } = update(resources.IngressClass, object, (draft: { spec: { controller: string } }) => {
      draft.spec.controller = "example.com/b";
    });
    expect(faults).toEqual(['spec.controller: Invalid value: "example.com/b": field is immutable']);
  });
});
