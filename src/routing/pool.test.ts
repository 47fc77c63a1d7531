import { describe, expect, test } from "vitest";
import type { IngressSpec } from "../kube/index.ts";
import { type Translation } from "./ingress.ts";
import { match, poolsOf } from "./match.ts";
import { createPoolMemory } from "./pool.ts";
import { ingress, to, service, slice, type World, translate } from "./testing.ts";

describe("backends", () => {
  const spec = (port: object): IngressSpec => ({
    rules: [{ host: "foo.com", http: { paths: [{ path: "/", pathType: "Prefix", backend: to("a", port) }] } }],
  });
  const endpoints = [
    { addresses: ["10.0.0.1"], conditions: { ready: true } },
    { addresses: ["10.0.0.2"], conditions: { ready: false, serving: true, terminating: true } },
    { addresses: ["10.0.0.3"], conditions: { ready: false } },
    { addresses: ["10.0.0.4"] },
    { addresses: ["10.0.0.5"], conditions: { ready: true, serving: true, terminating: true } },
  ];

  const gone = { ready: false, serving: false, terminating: true };

  function poolFor(translation: Translation) {
    const found = match(translation.model, { host: "foo.com", path: "/" });
    if (found.outcome !== "route") throw new Error(found.why);
    const [only] = poolsOf(translation.model, found.route);
    if (!only) throw new Error("the route has no pool");
    return only.pool;
  }

  test.each([{ number: 80 }, { name: "http" }])("port %j: endpoints with their own port", (port) => {
    const translation = translate([ingress("i", spec(port))], { slices: [slice("a", endpoints)] });
    expect(poolFor(translation).endpoints.map(({ address, port, ready }) => [address, port, ready])).toEqual([
      ["10.0.0.1", 8080, true],
      ["10.0.0.2", 8080, false],
      ["10.0.0.3", 8080, false],
      ["10.0.0.4", 8080, true],
      ["10.0.0.5", 8080, false],
    ]);
  });

  test("when all are terminating, those that still serve get the requests (KEP-1669)", () => {
    const slices = [slice("a", [...endpoints.slice(1, 3), { addresses: ["10.0.0.6"], conditions: gone }])];
    const pool = poolFor(translate([ingress("i", spec({ number: 80 }))], { slices }));
    expect(pool.endpoints.map(({ address, ready }) => [address, ready])).toEqual([
      ["10.0.0.2", true],
      ["10.0.0.3", false],
      ["10.0.0.6", false],
    ]);
  });

  test("an endpoint that is in two slices counts once, and ready when either says so", () => {
    const both = [
      slice("a", [{ addresses: ["10.0.0.1"], conditions: { ready: false } }]),
      slice("a", [{ addresses: ["10.0.0.1"] }]),
    ];
    const pool = poolFor(translate([ingress("i", spec({ number: 80 }))], { slices: both }));
    expect(pool.endpoints.map(({ address, ready }) => [address, ready])).toEqual([["10.0.0.1", true]]);
  });

  test.each<[what: string, port: object, world: World, reason: string, field: string]>([
    [
      "no Service",
      { number: 80 },
      { services: [] },
      "ServiceNotFound",
      "spec.rules[0].http.paths[0].backend.service.name",
    ],
    ["no such port", { number: 81 }, {}, "ServicePortNotFound", "spec.rules[0].http.paths[0].backend.service.port"],
    [
      "no port of that name",
      { name: "web" },
      {},
      "ServicePortNotFound",
      "spec.rules[0].http.paths[0].backend.service.port",
    ],
    [
      "a UDP port",
      { number: 53 },
      { services: [service("a", [{ port: 53, protocol: "UDP" }])] },
      "ServicePortNotFound",
      "spec.rules[0].http.paths[0].backend.service.port",
    ],
    [
      "TLS to the backend",
      { number: 443 },
      { services: [service("a", [{ port: 443, appProtocol: "https" }])] },
      "UnsupportedService",
      "spec.rules[0].http.paths[0].backend.service.name",
    ],
    [
      "ExternalName",
      { number: 80 },
      { services: [service("a", [], { type: "ExternalName", externalName: "x.y" })] },
      "UnsupportedService",
      "spec.rules[0].http.paths[0].backend.service.name",
    ],
  ])(
    "%s: a problem with object, field and remedy, and a route without endpoints",
    (_what, port, world, reason, field) => {
      const translation = translate([ingress("i", spec(port))], world);
      expect(translation.problems).toMatchObject([
        { object: { kind: "Ingress", namespace: "ns", name: "i" }, reason, field },
      ]);
      expect(translation.problems[0]?.remedy).not.toBe("");
      expect(poolFor(translation)).toMatchObject({ endpoints: [], absent: expect.any(String) });
    },
  );

  test("a resource backend gets 503 and not a shorter path's Service", () => {
    const resource = { apiGroup: "k8s.example.com", kind: "Bucket", name: "static" };
    const object = ingress("i", {
      rules: [
        {
          host: "foo.com",
          http: {
            paths: [
              { path: "/", pathType: "Prefix", backend: to("a") },
              { path: "/static", pathType: "Prefix", backend: { resource } },
            ],
          },
        },
      ],
    });
    const translation = translate([object]);
    expect(translation.problems).toMatchObject([
      { reason: "UnsupportedBackend", field: "spec.rules[0].http.paths[1].backend.resource" },
    ]);
    const found = match(translation.model, { host: "foo.com", path: "/static/x" });
    expect(found.outcome === "route" && poolsOf(translation.model, found.route)).toMatchObject([
      { pool: { endpoints: [], absent: expect.any(String) } },
    ]);
  });

  test("appProtocol kubernetes.io/h2c", () => {
    const services = [service("a", [{ port: 80, appProtocol: "kubernetes.io/h2c" }])];
    expect(poolFor(translate([ingress("i", spec({ number: 80 }))], { services })).protocol).toBe("h2c");
  });
});

describe("PoolMemory", () => {
  const target = { namespace: "ns", service: "a", port: { number: 80 } };
  const [a, slices] = [service("a"), [slice("a", [{ addresses: ["10.0.0.1"] }])]];

  test("gives the same pool for the same objects, and another for others", () => {
    const memory = createPoolMemory();
    const first = memory.poolOf(target, a, slices);
    expect(memory.poolOf(target, a, [...slices])).toBe(first);
    expect(memory.poolOf(target, service("a"), slices)).not.toBe(first);
    const moved = memory.poolOf(target, a, [slice("a", [{ addresses: ["10.0.0.2"] }])]);
    expect(moved.pool.endpoints[0]?.address).toBe("10.0.0.2");
    expect(memory.poolOf(target, undefined, []).absence).toBe("ServiceNotFound");
  });

  test("forgets what is not kept", () => {
    const memory = createPoolMemory();
    const first = memory.poolOf(target, a, slices);
    memory.keep(new Set([first.pool.key]));
    expect(memory.poolOf(target, a, slices)).toBe(first);
    memory.keep(new Set());
    expect(memory.poolOf(target, a, slices)).not.toBe(first);
  });
});
