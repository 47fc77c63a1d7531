import { describe, expect, test } from "vitest";
import type { EndpointSlice, Ingress, IngressClass, IngressSpec, Secret, Service } from "../kube/index.ts";
import { translateIngresses, type Translation } from "./ingress.ts";
import { certificateFor, match } from "./match.ts";

const controllerName = "example.test/ours";

function ingressClass(
  name: string,
  more: { controller?: string; isDefault?: boolean; created?: string } = {},
): IngressClass {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "IngressClass",
    metadata: {
      name,
      creationTimestamp: more.created ?? "2030-01-01T00:00:00Z",
      annotations: more.isDefault ? { "ingressclass.kubernetes.io/is-default-class": "true" } : {},
    },
    spec: { controller: more.controller ?? controllerName },
  };
}

function ingress(
  name: string,
  spec: IngressSpec,
  more: { created?: string; annotations?: Record<string, string>; classless?: boolean } = {},
): Ingress {
  const { created = "2030-01-01T00:00:00Z", annotations = {} } = more;
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: { name, namespace: "ns", creationTimestamp: created, annotations },
    spec: more.classless ? spec : { ingressClassName: "ours", ...spec },
  };
}

const to = (service: string, port: { number?: number; name?: string } = { number: 80 }) => ({
  service: { name: service, port },
});

type PathRule = [type: string, path: string | undefined, service: string];

function rule(host: string | undefined, ...paths: PathRule[]) {
  return {
    ...(host === undefined ? {} : { host }),
    http: {
      paths: paths.map(([pathType, path, service]) => ({
        pathType,
        ...(path === undefined ? {} : { path }),
        backend: to(service),
      })),
    },
  };
}

function service(
  name: string,
  ports: object[] = [{ name: "http", port: 80, targetPort: 8080 }],
  more: object = {},
): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "ns" },
    spec: { ports, ...more },
  } as Service;
}

function slice(of: string, endpoints: object[], ports: object[] = [{ name: "http", port: 8080 }]): EndpointSlice {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `${of}-1`, namespace: "ns", labels: { "kubernetes.io/service-name": of } },
    addressType: "IPv4",
    ports,
    endpoints,
  } as EndpointSlice;
}

interface World {
  classes?: IngressClass[];
  services?: Service[];
  slices?: EndpointSlice[];
  secrets?: Secret[];
}

const everyService = ["a", "b", "c", "d"].map((name) => service(name));

function translate(ingresses: Ingress[], world: World = {}): Translation {
  const { classes = [ingressClass("ours")], services = everyService, slices = [], secrets = [] } = world;
  const key = (object: { metadata: { namespace?: string; name: string } }) =>
    `${object.metadata.namespace}/${object.metadata.name}`;
  return translateIngresses({
    ingresses,
    classes,
    service: (wanted) => services.find((each) => key(each) === wanted),
    slices: (wanted) =>
      slices.filter((each) => `ns/${each.metadata.labels?.["kubernetes.io/service-name"]}` === wanted),
    secret: (wanted) => secrets.find((each) => key(each) === wanted),
    inspect: (_certificate, keyText) => (keyText === "bad" ? "has a bad key" : undefined),
    controllerName,
    ports: { http: 80, https: 443 },
  });
}

/** Name of the Service that a request reaches; `undefined` for 404. */
function reached(translation: Translation, host: string, path: string): string | undefined {
  const found = match(translation.model, { host, path });
  return found.outcome === "route" ? found.pool.service.name : undefined;
}

describe("path types, by the table of the Ingress documentation", () => {
  // Paths of one Ingress, and which Service (a: first path, b: second, c: third) a request reaches; d is the default backend.
  test.each<[rules: [string, string][], request: string, service: string]>([
    [[["Prefix", "/"]], "/", "a"],
    [[["Prefix", "/"]], "/any/path", "a"],
    [[["Exact", "/foo"]], "/foo", "a"],
    [[["Exact", "/foo"]], "/bar", "d"],
    [[["Exact", "/foo"]], "/foo/", "d"],
    [[["Exact", "/foo/"]], "/foo", "d"],
    [[["Exact", "/foo/"]], "/foo/", "a"],
    [[["Prefix", "/foo"]], "/foo", "a"],
    [[["Prefix", "/foo"]], "/foo/", "a"],
    [[["Prefix", "/foo/"]], "/foo", "a"],
    [[["Prefix", "/foo/"]], "/foo/", "a"],
    [[["Prefix", "/aaa/bb"]], "/aaa/bbb", "d"],
    [[["Prefix", "/aaa/bbb"]], "/aaa/bbb", "a"],
    [[["Prefix", "/aaa/bbb/"]], "/aaa/bbb", "a"],
    [[["Prefix", "/aaa/bbb"]], "/aaa/bbb/", "a"],
    [[["Prefix", "/aaa/bbb"]], "/aaa/bbb/ccc", "a"],
    [[["Prefix", "/aaa/bbb"]], "/aaa/bbbxyz", "d"],
    [
      [
        ["Prefix", "/"],
        ["Prefix", "/aaa"],
      ],
      "/aaa/ccc",
      "b",
    ],
    [
      [
        ["Prefix", "/"],
        ["Prefix", "/aaa"],
        ["Prefix", "/aaa/bbb"],
      ],
      "/aaa/bbb",
      "c",
    ],
    [
      [
        ["Prefix", "/"],
        ["Prefix", "/aaa"],
        ["Prefix", "/aaa/bbb"],
      ],
      "/ccc",
      "a",
    ],
    [[["Prefix", "/aaa"]], "/ccc", "d"],
    [
      [
        ["Prefix", "/foo"],
        ["Exact", "/foo"],
      ],
      "/foo",
      "b",
    ],
    [
      [
        ["Exact", "/foo"],
        ["Prefix", "/foo"],
      ],
      "/foo",
      "a",
    ],
    // Beyond the table.
    [
      [
        ["Exact", "/foo"],
        ["Prefix", "/foo"],
      ],
      "/foo/",
      "b",
    ],
    [
      [
        ["Exact", "/foo/"],
        ["Prefix", "/foo"],
      ],
      "/foo/",
      "a",
    ],
    [
      [
        ["Exact", "/"],
        ["Prefix", "/"],
      ],
      "/",
      "a",
    ],
    [[["Exact", "/"]], "/x", "d"],
    [[["Prefix", "/foo"]], "/FOO", "d"],
    [[["Exact", "/foo"]], "/Foo", "d"],
    [[["ImplementationSpecific", "/foo"]], "/foo/bar", "a"],
    [[["ImplementationSpecific", "/foo"]], "/foobar", "d"],
    [
      [
        ["Prefix", "/aaa"],
        ["Prefix", "/aaa/bbb/ccc"],
      ],
      "/aaa/bbb",
      "a",
    ],
    [
      [
        ["Prefix", "/aaa"],
        ["Prefix", "/aaa/bbb/ccc"],
      ],
      "/aaa/bbb/ccc/ddd/eee",
      "b",
    ],
    [[["Prefix", "/foo"]], "/x/../foo", "a"],
    [[["Prefix", "/foo"]], "/foo/../bar", "d"],
    [[["Prefix", "/foo"]], "/%66oo", "a"],
    [[["Prefix", "/foo"]], "/foo%2Fbar", "d"],
    [[["Prefix", "/foo"]], "//foo", "d"],
    [[["Prefix", "/foo"]], "/foo//bar", "a"],
    [[["Exact", "/é"]], "/%C3%A9", "a"],
    [[["Prefix", "/.*"]], "/anything", "d"],
  ])("%j: %s reaches %s", (rules, request, expected) => {
    const names = ["a", "b", "c"];
    const paths = rules.map(([type, path], index): PathRule => [type, path, names[index] ?? ""]);
    const translation = translate([ingress("one", { defaultBackend: to("d"), rules: [rule("foo.com", ...paths)] })]);
    expect(reached(translation, "foo.com", request)).toBe(expected);
    expect(translation.problems).toEqual([]);
  });

  test("a path that is left out stands for all", () => {
    const one = ingress("one", { rules: [rule("foo.com", ["ImplementationSpecific", undefined, "a"])] });
    expect(reached(translate([one]), "foo.com", "/x/y")).toBe("a");
  });

  test("a path of thousands of slashes is cut short", () => {
    const one = ingress("one", { rules: [rule("foo.com", ["Prefix", "/a", "a"])] });
    expect(reached(translate([one]), "foo.com", `/a${"/".repeat(30_000)}`)).toBe("a");
  });
});

describe("hosts", () => {
  const all = [
    ingress("one", {
      rules: [
        rule("foo.bar.com", ["Prefix", "/x", "a"]),
        rule("*.bar.com", ["Prefix", "/", "b"]),
        rule(undefined, ["Prefix", "/", "c"]),
      ],
    }),
  ];
  test.each([
    ["foo.bar.com", "/x", "a"],
    ["FOO.bar.com:8080", "/x", "a"],
    ["foo.bar.com.", "/x", "a"],
    ["other.bar.com", "/x", "b"],
    ["a.b.bar.com", "/", "c"],
    ["bar.com", "/", "c"],
    ["", "/", "c"],
    ["10.0.0.1", "/", "c"],
    // The most specific host decides alone.
    ["foo.bar.com", "/y", undefined],
  ])("%s%s reaches %s", (host, path, expected) => {
    expect(reached(translate(all), host, path)).toBe(expected);
  });

  test("a rule without paths leaves its host to the default backend", () => {
    const one = ingress("one", {
      defaultBackend: to("d"),
      rules: [{ host: "foo.com" }, rule(undefined, ["Prefix", "/", "a"])],
    });
    expect(reached(translate([one]), "foo.com", "/")).toBe("d");
    expect(reached(translate([one]), "other.com", "/")).toBe("a");
  });

  test("a wrong host is a problem and harms no other rule", () => {
    const one = ingress("one", {
      rules: [rule("foo_com/$(x)", ["Prefix", "/", "a"]), rule("foo.com", ["Prefix", "/", "b"])],
    });
    const translation = translate([one]);
    expect(translation.problems).toMatchObject([{ reason: "InvalidHost", field: "spec.rules[0].host" }]);
    expect(reached(translation, "foo.com", "/")).toBe("b");
  });

  test("why a route was taken is told", () => {
    expect(match(translate(all).model, { host: "x.bar.com", path: "/" })).toMatchObject({
      outcome: "route",
      why: { host: "wildcard", path: "prefix" },
      route: {
        owner: { object: { kind: "Ingress", namespace: "ns", name: "one" }, field: "spec.rules[1].http.paths[0]" },
      },
    });
  });
});

describe("default backends", () => {
  test("an Ingress without rules takes everything", () => {
    const translation = translate([ingress("all", { defaultBackend: to("a") })]);
    expect(reached(translation, "any.host", "/any/path")).toBe("a");
  });

  test("each host goes to the default backend of the Ingress that names it", () => {
    const translation = translate([
      ingress("one", { defaultBackend: to("a"), rules: [rule("one.com", ["Exact", "/x", "c"])] }),
      ingress("two", { defaultBackend: to("b"), rules: [rule("two.com", ["Exact", "/x", "c"])] }),
      ingress("zero", { defaultBackend: to("d") }),
    ]);
    expect(reached(translation, "one.com", "/")).toBe("a");
    expect(reached(translation, "two.com", "/")).toBe("b");
    expect(reached(translation, "three.com", "/")).toBe("d");
    expect(translation.problems).toEqual([]);
  });

  test("of two for everything the older wins, and the other is told", () => {
    const translation = translate([
      ingress("younger", { defaultBackend: to("a") }, { created: "2031-01-01T00:00:00Z" }),
      ingress("older", { defaultBackend: to("b") }),
    ]);
    expect(reached(translation, "x.com", "/")).toBe("b");
    expect(translation.problems).toMatchObject([
      { reason: "Conflict", object: { name: "younger" }, field: "spec.defaultBackend" },
    ]);
  });
});

describe("conflicts", () => {
  const same = { rules: [rule("foo.com", ["Prefix", "/x", "a"] as PathRule)] };
  const other = { rules: [rule("foo.com", ["Prefix", "/x/", "b"] as PathRule, ["Prefix", "/y", "b"] as PathRule)] };

  test("the oldest keeps host and path, and the rest of the other works", () => {
    const translation = translate([ingress("z", same), ingress("a", other, { created: "2031-01-01T00:00:00Z" })]);
    expect(reached(translation, "foo.com", "/x")).toBe("a");
    expect(reached(translation, "foo.com", "/y")).toBe("b");
    expect(translation.problems).toMatchObject([
      { reason: "Conflict", object: { name: "a" }, field: "spec.rules[0].http.paths[0]" },
    ]);
  });

  test("of the same age the first by name", () => {
    expect(reached(translate([ingress("z", same), ingress("a", other)]), "foo.com", "/x")).toBe("b");
  });

  test("two that say the same do not conflict", () => {
    expect(translate([ingress("z", same), ingress("a", same)]).problems).toEqual([]);
  });
});

describe("classes", () => {
  const spec = { rules: [rule("foo.com", ["Prefix", "/", "a"] as PathRule)] };
  const theirs = ingressClass("theirs", { controller: "example.test/theirs" });

  test.each<[what: string, Ingress, IngressClass[], served: boolean]>([
    ["by name", ingress("i", { ...spec, ingressClassName: "ours" }), [ingressClass("ours")], true],
    [
      "another controller's",
      ingress("i", { ...spec, ingressClassName: "theirs" }),
      [ingressClass("ours"), theirs],
      false,
    ],
    [
      "by the old annotation",
      ingress("i", spec, { classless: true, annotations: { "kubernetes.io/ingress.class": "ours" } }),
      [ingressClass("ours")],
      true,
    ],
    [
      "by the old annotation, another's",
      ingress("i", spec, { classless: true, annotations: { "kubernetes.io/ingress.class": "nginx" } }),
      [ingressClass("ours", { isDefault: true })],
      false,
    ],
    [
      "the field wins over the annotation",
      ingress("i", { ...spec, ingressClassName: "theirs" }, { annotations: { "kubernetes.io/ingress.class": "ours" } }),
      [ingressClass("ours"), theirs],
      false,
    ],
    ["the default class", ingress("i", spec, { classless: true }), [ingressClass("ours", { isDefault: true })], true],
    ["no default class", ingress("i", spec, { classless: true }), [ingressClass("ours")], false],
    [
      "the newest of two defaults, theirs",
      ingress("i", spec, { classless: true }),
      [
        ingressClass("ours", { isDefault: true }),
        { ...ingressClass("theirs", { isDefault: true, created: "2031-01-01T00:00:00Z", controller: "x/y" }) },
      ],
      false,
    ],
    [
      "the newest of two defaults, ours",
      ingress("i", spec, { classless: true }),
      [
        ingressClass("ours", { isDefault: true, created: "2032-01-01T00:00:00Z" }),
        { ...ingressClass("theirs", { isDefault: true, controller: "x/y" }) },
      ],
      true,
    ],
  ])("%s", (_what, object, classes, served) => {
    const translation = translate([object], { classes });
    expect(reached(translation, "foo.com", "/")).toBe(served ? "a" : undefined);
    expect(translation.served).toHaveLength(served ? 1 : 0);
    expect(translation.problems).toEqual([]);
  });

  test("a class that does not exist is a problem that names those that do", () => {
    const translation = translate([ingress("i", { ...spec, ingressClassName: "nginx" })]);
    expect(translation.served).toEqual([]);
    expect(translation.problems).toMatchObject([
      { reason: "IngressClassNotFound", field: "spec.ingressClassName", remedy: "name one of: ours" },
    ]);
  });
});

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

  function poolOf(translation: Translation) {
    const found = match(translation.model, { host: "foo.com", path: "/" });
    if (found.outcome !== "route") throw new Error(found.why);
    return found.pool;
  }

  test.each([{ number: 80 }, { name: "http" }])("port %j: endpoints with their own port", (port) => {
    const translation = translate([ingress("i", spec(port))], { slices: [slice("a", endpoints)] });
    expect(poolOf(translation).endpoints.map(({ address, port, ready }) => [address, port, ready])).toEqual([
      ["10.0.0.1", 8080, true],
      ["10.0.0.2", 8080, false],
      ["10.0.0.3", 8080, false],
      ["10.0.0.4", 8080, true],
      ["10.0.0.5", 8080, false],
    ]);
  });

  test("an endpoint that is in two slices counts once, and ready when either says so", () => {
    const both = [
      slice("a", [{ addresses: ["10.0.0.1"], conditions: { ready: false } }]),
      slice("a", [{ addresses: ["10.0.0.1"] }]),
    ];
    const pool = poolOf(translate([ingress("i", spec({ number: 80 }))], { slices: both }));
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
      expect(poolOf(translation)).toMatchObject({ endpoints: [], absent: expect.any(String) });
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
    expect(match(translation.model, { host: "foo.com", path: "/static/x" })).toMatchObject({
      pool: { endpoints: [], absent: expect.any(String) },
    });
  });

  test("appProtocol kubernetes.io/h2c", () => {
    const services = [service("a", [{ port: 80, appProtocol: "kubernetes.io/h2c" }])];
    expect(poolOf(translate([ingress("i", spec({ number: 80 }))], { services })).protocol).toBe("h2c");
  });
});

describe("TLS", () => {
  const secret = (name: string, key = "key", more: object = {}): Secret => ({
    apiVersion: "v1",
    kind: "Secret",
    type: "kubernetes.io/tls",
    metadata: { name, namespace: "ns", uid: name, resourceVersion: "1" },
    data: {
      "tls.crt": Buffer.from("cert").toString("base64"),
      "tls.key": Buffer.from(key).toString("base64"),
      ...more,
    },
  });
  const rules = [rule("foo.com", ["Prefix", "/", "a"] as PathRule)];

  function secretFor(translation: Translation, serverName: string): string | undefined {
    const listener = translation.model.listeners.find((each) => each.protocol === "HTTPS");
    return listener && certificateFor(listener, serverName)?.secret.name;
  }

  test("by server name: exact, then wildcard of one label, then any", () => {
    const translation = translate(
      [
        ingress("i", {
          rules,
          tls: [
            { hosts: ["foo.com"], secretName: "one" },
            { hosts: ["*.foo.com"], secretName: "two" },
          ],
        }),
        ingress("j", { defaultBackend: to("a"), tls: [{ secretName: "three" }] }),
      ],
      { secrets: [secret("one"), secret("two"), secret("three")] },
    );
    expect(translation.problems).toEqual([]);
    expect(secretFor(translation, "foo.com")).toBe("one");
    expect(secretFor(translation, "FOO.com")).toBe("one");
    expect(secretFor(translation, "x.foo.com")).toBe("two");
    expect(secretFor(translation, "x.y.foo.com")).toBe("three");
    expect(secretFor(translation, "")).toBe("three");
  });

  test("without hosts it covers the hosts of the rules", () => {
    const translation = translate([ingress("i", { rules, tls: [{ secretName: "one" }] })], {
      secrets: [secret("one")],
    });
    expect(secretFor(translation, "foo.com")).toBe("one");
    expect(secretFor(translation, "bar.com")).toBeUndefined();
  });

  test.each([
    ["missing", [], "SecretNotFound"],
    ["a bad key", [secret("one", "bad")], "InvalidCertificate"],
    ["no tls.key", [secret("one", "key", { "tls.key": "" })], "InvalidCertificate"],
    ["no tls.crt", [secret("one", "key", { "tls.crt": "" })], "InvalidCertificate"],
  ])("%s: a problem, and the host is still routed", (_what, secrets, reason) => {
    const translation = translate([ingress("i", { rules, tls: [{ hosts: ["foo.com"], secretName: "one" }] })], {
      secrets,
    });
    expect(translation.problems).toMatchObject([{ reason, field: "spec.tls[0].secretName" }]);
    expect(JSON.stringify(translation.problems)).not.toContain(Buffer.from("bad").toString("base64"));
    expect(secretFor(translation, "foo.com")).toBeUndefined();
    expect(reached(translation, "foo.com", "/")).toBe("a");
  });

  test("of two Secrets for one host the older Ingress's is served, and the other is told", () => {
    const tls = (name: string) => ({ rules, tls: [{ hosts: ["foo.com"], secretName: name }] });
    const translation = translate(
      [ingress("young", tls("one"), { created: "2031-01-01T00:00:00Z" }), ingress("old", tls("two"))],
      { secrets: [secret("one"), secret("two")] },
    );
    expect(secretFor(translation, "foo.com")).toBe("two");
    expect(translation.problems).toMatchObject([
      { reason: "Conflict", object: { name: "young" }, field: "spec.tls[0].hosts[0]" },
    ]);
  });

  test("a changed Secret is a new version; an unused one is never looked at", () => {
    const asked: string[] = [];
    const base = {
      classes: [ingressClass("ours")],
      slices: () => [],
      service: () => undefined,
      controllerName,
      ports: { http: 80, https: 443 },
    };
    const version = (resourceVersion: string) => {
      const changed = secret("one");
      changed.metadata.resourceVersion = resourceVersion;
      const translation = translateIngresses({
        ...base,
        ingresses: [ingress("i", { rules, tls: [{ hosts: ["foo.com"], secretName: "one" }] })],
        secret: (name) => {
          asked.push(name);
          return changed;
        },
        inspect: () => undefined,
      });
      return translation.model.listeners[1]?.certificates.get("foo.com")?.version;
    };
    expect(version("1")).not.toBe(version("2"));
    expect(new Set(asked)).toEqual(new Set(["ns/one"]));
  });
});
