import { describe, expect, test } from "vitest";
import { matchStream } from "../match.ts";
import { gateway, http, listenerSet, reached, route, service, to, translate, type World } from "./testing.ts";
import type { GatewayCondition, HttpMatchSpec } from "./types.ts";

const path = (value: string, type = "PathPrefix", more: object = {}): HttpMatchSpec => ({
  path: { type, value },
  ...more,
});

const said = (conditions: readonly GatewayCondition[] | undefined, type: string): string | undefined => {
  const found = conditions?.find((condition) => condition.type === type);
  return found && `${found.status} ${found.reason}`;
};

describe("precedence of matches (HTTPRouteRule)", () => {
  const rules = (...specs: [string, HttpMatchSpec][]) =>
    specs.map(([name, spec]) => ({ matches: [spec], ...to(name) }));
  test.each<[what: string, rules: [string, HttpMatchSpec][], request: object, service: string | undefined]>([
    [
      "exact before prefix",
      [
        ["a", path("/x")],
        ["b", path("/x", "Exact")],
      ],
      { path: "/x" },
      "b",
    ],
    [
      "longer prefix first",
      [
        ["a", path("/")],
        ["b", path("/x/y")],
      ],
      { path: "/x/y/z" },
      "b",
    ],
    [
      "whole elements only",
      [
        ["a", path("/")],
        ["b", path("/x")],
      ],
      { path: "/xy" },
      "a",
    ],
    [
      "a method is more than none",
      [
        ["a", path("/")],
        ["b", path("/", "PathPrefix", { method: "PUT" })],
      ],
      { method: "PUT" },
      "b",
    ],
    [
      "more header fields first",
      [
        ["a", path("/", "PathPrefix", { headers: [{ name: "V", value: "1" }] })],
        [
          "b",
          path("/", "PathPrefix", {
            headers: [
              { name: "V", value: "1" },
              { name: "W", value: "2" },
            ],
          }),
        ],
      ],
      { headers: { v: "1", w: "2" } },
      "b",
    ],
    [
      "a method before header fields",
      [
        ["a", path("/", "PathPrefix", { headers: [{ name: "V", value: "1" }] })],
        ["b", path("/", "PathPrefix", { method: "GET" })],
      ],
      { headers: { v: "1" } },
      "b",
    ],
    [
      "header fields before query parameters",
      [
        ["a", path("/", "PathPrefix", { queryParams: [{ name: "q", value: "1" }] })],
        ["b", path("/", "PathPrefix", { headers: [{ name: "V", value: "1" }] })],
      ],
      { headers: { v: "1" }, query: "?q=1" },
      "b",
    ],
    [
      "a longer path whose other conditions fail leaves it to a shorter one",
      [
        ["a", path("/")],
        ["b", path("/x", "PathPrefix", { method: "PUT" })],
      ],
      { path: "/x" },
      "a",
    ],
    [
      "an expression matches the whole path",
      [["a", path("/v[12]", "RegularExpression")]],
      { path: "/v1/x" },
      "unmatched",
    ],
    [
      "and comes after exact paths",
      [
        ["a", path("/v.", "RegularExpression")],
        ["b", path("/v1", "Exact")],
      ],
      { path: "/v1" },
      "b",
    ],
    [
      "and before prefixes",
      [
        ["a", path("/v1")],
        ["b", path("/v.", "RegularExpression")],
      ],
      { path: "/v1" },
      "b",
    ],
    [
      "query values are decoded",
      [["a", path("/", "PathPrefix", { queryParams: [{ name: "q", value: "a b" }] })]],
      { query: "?q=a%20b" },
      "a",
    ],
  ])("%s", (_what, specs, request, expected) => {
    expect(reached(translate({ httpRoutes: [route("r", { rules: rules(...specs) })] }), request)).toBe(expected);
  });

  test("of two routes that match the same the older wins, then the first by name", () => {
    const [a, b, c] = [
      route("m", { rules: [to("a")] }, { created: "2030-01-02T00:00:00Z" }),
      route("z", { rules: [to("b")] }),
      route("n", { rules: [to("c")] }),
    ];
    expect(reached(translate({ httpRoutes: [a, b, c] }), {})).toBe("c");
    expect(translate({ httpRoutes: [a, b, c] }).problems).toMatchObject([
      { reason: "Conflict" },
      { reason: "Conflict" },
    ]);
  });
});

describe("host names", () => {
  const listeners = [
    http("any"),
    http("wild", { hostname: "*.example.com" }),
    http("one", { hostname: "very.specific.com" }),
  ];
  const world = (hostnames: string[], sectionName?: string): World => ({
    gateways: [gateway(listeners)],
    httpRoutes: [
      route("r", {
        parentRefs: [{ name: "gw", ...(sectionName ? { sectionName } : {}) }],
        hostnames,
        rules: [to("a")],
      }),
    ],
  });

  test.each([
    [["*.example.com"], "wild", "a.b.example.com", "a"],
    [["*.example.com"], "wild", "example.com", "unmatched"],
    [["a.example.com"], "wild", "a.example.com", "a"],
    [["a.example.com"], "wild", "b.example.com", "unmatched"],
    [["*.specific.com"], "one", "very.specific.com", "a"],
    [["*.specific.com"], "any", "very.specific.com", "unmatched"],
    [["other.com"], "any", "other.com", "a"],
  ])("%j on listener %s, asked for %s: %s", (hostnames, sectionName, host, expected) => {
    expect(reached(translate(world(hostnames, sectionName)), { host })).toBe(expected);
  });

  test("nothing in common with any listener is said", () => {
    const [report] = translate(world(["none.org"], "wild")).routes.values();
    expect(said(report?.parents[0]?.conditions, "Accepted")).toBe("False NoMatchingListenerHostname");
  });

  test("rules of a less specific host are asked when the more specific one's do not match", () => {
    const httpRoutes = [
      route("r", { hostnames: ["a.example.com"], rules: [{ matches: [path("/x")], ...to("a") }] }),
      route("s", { hostnames: ["*.example.com"], rules: [to("b")] }),
    ];
    const translation = translate({ httpRoutes });
    expect(reached(translation, { host: "a.example.com", path: "/x" })).toBe("a");
    expect(reached(translation, { host: "a.example.com", path: "/y" })).toBe("b");
  });
});

test("a route that two of its parents attach to one listener is there once", () => {
  const parentRefs = [
    { name: "gw", namespace: "ns" },
    { name: "gw", namespace: "ns", sectionName: "http" },
  ];
  const filters = [{ type: "RequestHeaderModifier" as const, requestHeaderModifier: { remove: ["x"] } }];
  const httpRoutes = [route("r", { parentRefs, hostnames: ["a.test"], rules: [{ ...to("a"), filters }] })];
  const { gateways, problems, routes } = translate({ httpRoutes });
  expect(gateways[0]?.listeners.own[0]?.attached).toBe(1);
  expect(problems).toEqual([]);
  const types = [...routes.values()][0]?.parents.map(({ conditions }) => conditions.map(({ type }) => type));
  expect(types).toEqual([
    ["Accepted", "ResolvedRefs"],
    ["Accepted", "ResolvedRefs"],
  ]);
});

describe("attachment and references", () => {
  const conditionOf = (world: World, type: string) =>
    said([...translate(world).routes.values()][0]?.parents[0]?.conditions, type);

  test.each<[what: string, world: World, type: string, expected: string]>([
    [
      "a section that is not there",
      { httpRoutes: [route("r", { parentRefs: [{ name: "gw", sectionName: "x" }] })] },
      "Accepted",
      "False NoMatchingParent",
    ],
    [
      "a port that is not there",
      { httpRoutes: [route("r", { parentRefs: [{ name: "gw", port: 81 }] })] },
      "Accepted",
      "False NoMatchingParent",
    ],
    [
      "another namespace",
      { httpRoutes: [route("r", {}, { namespace: "other" })] },
      "Accepted",
      "False NotAllowedByListeners",
    ],
    [
      "a kind that the listener does not take",
      { tcpRoutes: [route("r", {}, { kind: "TCPRoute" })] },
      "Accepted",
      "False NotAllowedByListeners",
    ],
    ["no such Service", { httpRoutes: [route("r", { rules: [to("nope")] })] }, "ResolvedRefs", "False BackendNotFound"],
    [
      "no Service at all",
      { httpRoutes: [route("r", { rules: [to("a", { kind: "Pod" })] })] },
      "ResolvedRefs",
      "False InvalidKind",
    ],
    [
      "a Service elsewhere",
      { httpRoutes: [route("r", { rules: [to("a", { namespace: "other" })] })], services: [service("a", "other")] },
      "ResolvedRefs",
      "False RefNotPermitted",
    ],
    [
      "an expression that is none",
      { httpRoutes: [route("r", { rules: [{ matches: [path("/(", "RegularExpression")], ...to("a") }] })] },
      "Accepted",
      "False UnsupportedValue",
    ],
    ["all is well", { httpRoutes: [route("r", { rules: [to("a")] })] }, "ResolvedRefs", "True ResolvedRefs"],
  ])("%s", (_what, world, type, expected) => {
    expect(conditionOf(world, type)).toBe(expected);
  });

  test("a grant in the Service's namespace allows it", () => {
    const grant = {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "ReferenceGrant",
      metadata: { name: "g", namespace: "other" },
      spec: {
        from: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", namespace: "ns" }],
        to: [{ group: "", kind: "Service", name: "a" }],
      },
    };
    const world: World = {
      httpRoutes: [route("r", { rules: [to("a", { namespace: "other" })] })],
      services: [service("a", "other"), service("b", "other")],
      grants: [grant],
    };
    expect(conditionOf(world, "ResolvedRefs")).toBe("True ResolvedRefs");
    const other = { ...world, httpRoutes: [route("r", { rules: [to("b", { namespace: "other" })] })] };
    expect(conditionOf(other, "ResolvedRefs")).toBe("False RefNotPermitted");
  });

  test("a reference that is no good keeps its share, and that share gets 500", () => {
    const backendRefs = [
      { name: "a", port: 80, weight: 1 },
      { name: "nope", port: 80, weight: 3 },
    ];
    const translation = translate({ httpRoutes: [route("r", { rules: [{ backendRefs }] })] });
    const server = translation.model.listeners[0]?.servers.get("");
    const rule = server?.kind === "http" ? server.hosts.any?.prefix.get("")?.[0]?.rule : undefined;
    expect(rule?.backends).toMatchObject([{ pool: "ns/a:80/http", weight: 1 }, { weight: 3 }]);
    expect(rule?.backends[1]).not.toHaveProperty("pool");
  });

  test("a backend that speaks TLS and has no policy gets nothing in clear", () => {
    const translation = translate({
      httpRoutes: [route("r", { rules: [to("a")] })],
      services: [service("a", "ns", { appProtocol: "https" })],
    });
    expect([...translation.model.pools.values()]).toMatchObject([
      { endpoints: [], absent: expect.stringContaining("TLS") },
    ]);
  });
});

describe("listeners that want the same", () => {
  const entries = (world: World) => {
    const [report] = translate(world).gateways;
    return [...(report?.listeners.own ?? []), ...(report?.listeners.sets ?? []).flatMap((set) => set.entries)].map(
      ({ spec, accepted, conflicted, usable }) => [spec.name, accepted.reason, conflicted.reason, usable],
    );
  };
  const allowed = { allowedListeners: { namespaces: { from: "Same" as const } } };

  test("of one Gateway all are out", () => {
    expect(entries({ gateways: [gateway([http("x"), http("y"), http("z", { hostname: "z.test" })])] })).toEqual([
      ["x", "HostnameConflict", "HostnameConflict", false],
      ["y", "HostnameConflict", "HostnameConflict", false],
      ["z", "Accepted", "NoConflicts", true],
    ]);
  });

  test("a ListenerSet comes after its Gateway, and a younger one after an older", () => {
    const gateways = [gateway([http("x", { hostname: "x.test" })], allowed)];
    const listenerSets = [
      listenerSet("young", [http("y2", { hostname: "y.test" })], "2031-01-01T00:00:00Z"),
      listenerSet("old", [
        http("x1", { hostname: "x.test" }),
        http("y1", { hostname: "y.test" }),
        http("t", { protocol: "TCP" }),
      ]),
    ];
    expect(entries({ gateways, listenerSets })).toEqual([
      ["x", "Accepted", "NoConflicts", true],
      ["x1", "HostnameConflict", "HostnameConflict", false],
      ["y1", "Accepted", "NoConflicts", true],
      ["t", "ProtocolConflict", "ProtocolConflict", false],
      ["y2", "HostnameConflict", "HostnameConflict", false],
    ]);
  });

  test("a protocol that is not served, on a port that another has, is a conflict first", () => {
    const world = {
      gateways: [gateway([http("x")], allowed)],
      listenerSets: [listenerSet("s", [http("t", { protocol: "TCP" }), http("u", { protocol: "TCP", port: 81 })])],
      protocols: new Set(["HTTP", "HTTPS"]),
    };
    expect(entries(world)).toEqual([
      ["x", "Accepted", "NoConflicts", true],
      ["t", "ProtocolConflict", "ProtocolConflict", false],
      ["u", "UnsupportedProtocol", "NoConflicts", false],
    ]);
  });

  test("TLS that must end, where it can only be passed through, is no value that is supported", () => {
    const listeners = [
      http("p", { protocol: "TLS", tls: { mode: "Passthrough" } }),
      http("q", { protocol: "TLS", port: 81, tls: { mode: "Terminate" } }),
    ];
    expect(entries({ gateways: [gateway(listeners)], endsTls: false })).toEqual([
      ["p", "Accepted", "NoConflicts", true],
      ["q", "UnsupportedValue", "NoConflicts", false],
    ]);
  });

  test("TCP and UDP can share a number", () => {
    expect(entries({ gateways: [gateway([http("t", { protocol: "TCP" }), http("u", { protocol: "UDP" })])] })).toEqual([
      ["t", "Accepted", "NoConflicts", true],
      ["u", "Accepted", "NoConflicts", true],
    ]);
  });
});

test("a request on a connection for another server is misdirected", () => {
  const secret = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "cert", namespace: "ns" },
    data: { "tls.crt": "Yw==", "tls.key": "aw==" },
  };
  const tls = { certificateRefs: [{ name: "cert" }] };
  const translation = translate({
    gateways: [
      gateway([
        http("a", { port: 443, protocol: "HTTPS", hostname: "a.test", tls }),
        http("b", { port: 443, protocol: "HTTPS", hostname: "b.test", tls }),
      ]),
    ],
    secrets: [secret],
    httpRoutes: [route("r", { rules: [to("a")] })],
  });
  expect(reached(translation, { host: "a.test", serverName: "a.test" })).toBe("a");
  expect(reached(translation, { host: "b.test", serverName: "a.test" })).toBe("misdirected");
  expect(reached(translation, { host: "c.test", serverName: "a.test" })).toBe("unmatched");
});

test("the oldest TCPRoute has a listener alone", () => {
  const translation = translate({
    gateways: [gateway([http("t", { protocol: "TCP" })])],
    tcpRoutes: [
      route("new", { rules: [to("a")] }, { kind: "TCPRoute", created: "2031-01-01T00:00:00Z" }),
      route("old", { rules: [to("b")] }, { kind: "TCPRoute" }),
    ],
  });
  const [listener] = translation.model.listeners;
  expect(listener && matchStream(listener, "")?.route?.rule.backends).toMatchObject([{ pool: "ns/b:80/tcp" }]);
  expect(translation.gateways[0]?.listeners.own[0]?.attached).toBe(2);
});
