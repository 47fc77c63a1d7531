import { expect, test } from "vitest";
import type { Deployment, Ingress, Secret } from "../../kube/index.ts";
import { type HttpMatchSpec, translateGateways } from "../gateway/index.ts";
import type { StreamServices } from "../ingress-nginx/index.ts";
import { type IngressInput, translateIngresses, type Translation } from "../ingress.ts";
import { outcomeOf } from "../outcome.ts";
import { ingress, ingressClass, rule, service, to } from "../testing.ts";
import { parseAccessLogLine } from "./access-log.ts";
import { assessIngresses } from "./assess.ts";
import { readController } from "./controller.ts";
import { gatewayObjects } from "./gateway-objects.ts";
import { probeModels } from "./probe.ts";
import { createReplay } from "./replay.ts";

const prefix = "nginx.ingress.kubernetes.io/";

function annotated(name: string, annotations: Record<string, string>, ...rules: ReturnType<typeof rule>[]): Ingress {
  const all = Object.fromEntries(Object.entries(annotations).map(([key, value]) => [prefix + key, value]));
  return ingress(name, { rules }, { annotations: all });
}

const secret: Secret = {
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "tls", namespace: "ns" },
  data: { "tls.crt": "eA==", "tls.key": "eA==" },
};

function translated(
  ingresses: readonly Ingress[],
  options: Record<string, string> = {},
  streams: readonly StreamServices[] = [],
): Translation {
  const input: IngressInput = {
    ingresses,
    classes: [ingressClass("ours", { controller: "nginx" })],
    service: (key) => service(key.slice(3)),
    slices: () => [],
    secret: (key) => (key === "ns/tls" ? secret : undefined),
    inspect: () => undefined,
    controllerName: "",
    nginx: { controllers: ["nginx"], options, streams },
    ports: { http: 80, https: 443 },
  };
  return translateIngresses(input);
}

function assessed(ingresses: readonly Ingress[], options: Record<string, string> = {}) {
  return assessIngresses({ ingresses, options, problems: translated(ingresses, options).problems });
}

test("each annotation is judged, and an Ingress by the worst of its own", () => {
  const { ingresses, options } = assessed(
    [
      annotated("a", { "proxy-body-size": "8m", "proxy-buffering": "on" }, rule("a.test", ["Prefix", "/", "a"])),
      annotated("b", { "proxy-http-version": "1.0" }, rule("b.test", ["Prefix", "/", "a"])),
      annotated("c", { "stream-snippet": "x;" }, rule("c.test", ["Prefix", "/", "a"])),
      annotated("d", { "proxy-read-timeout": "soon" }, rule("d.test", ["Prefix", "/", "a"])),
      annotated("e", {}, rule("e.test", ["Prefix", "/", "a"])),
    ],
    { "ssl-redirect": "false", "server-snippet": "deny all;", "use-gzip": "true", "worker-processes": "2" },
  );
  expect(ingresses.map(({ object, verdict }) => [object, verdict])).toEqual([
    ["Ingress ns/a", "unneeded"],
    ["Ingress ns/b", "differs"],
    ["Ingress ns/c", "refused"],
    ["Ingress ns/d", "unreadable"],
    ["Ingress ns/e", "same"],
  ]);
  expect(ingresses[0]?.annotations.map(({ name, verdict }) => [name, verdict])).toEqual([
    ["proxy-body-size", "same"],
    ["proxy-buffering", "unneeded"],
  ]);
  expect(options.map(({ verdict }) => verdict)).toEqual(["same", "refused", "differs", "unneeded"]);
});

test("a value that asks for what is done anyway is the same, and closes nothing", () => {
  const settings = {
    "enable-modsecurity": "false",
    "proxy-http-version": "1.1",
    "proxy-cookie-path": "off",
    "affinity-mode": "persistent",
  };
  const { ingresses, options } = assessed([annotated("a", settings, rule("a.test", ["Prefix", "/", "a"]))], {
    "use-gzip": "false",
    "enable-modsecurity": "false",
    "ssl-protocols": "TLSv1.2 TLSv1.3",
    "server-snippet": "",
    constructor: "x",
  });
  expect(ingresses[0]).toMatchObject({ verdict: "same", problems: [] });
  expect(options.map(({ verdict }) => verdict)).toEqual(["same", "same", "same", "same", "unneeded"]);
  const on = assessed([annotated("a", { "enable-modsecurity": "true" }, rule("a.test", ["Prefix", "/", "a"]))]);
  expect(on.ingresses[0]?.verdict).toBe("refused");
});

test("how a controller is started says which ConfigMaps and classes are meant, and what its flags become", () => {
  const started = (args: string[], image = "registry.k8s.io/ingress-nginx/controller:v1.12.1"): Deployment => ({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "c", namespace: "edge" },
    spec: {
      selector: {},
      template: { metadata: {}, spec: { containers: [{ name: "controller", image, args }] } },
    },
  });
  const reading = readController(
    started([
      "/nginx-ingress-controller",
      "--configmap=$(POD_NAMESPACE)/settings",
      "--tcp-services-configmap",
      "edge/tcp",
      "--controller-class=k8s.io/inner",
      "--ingress-class=inner",
      "--watch-ingress-without-class",
      "--election-id=x",
    ]),
  );
  expect(reading).toMatchObject({
    object: "Deployment edge/c",
    configMap: "edge/settings",
    tcpServices: "edge/tcp",
    controllerClass: "k8s.io/inner",
    className: "inner",
    withoutClass: true,
  });
  expect(reading?.flags.map(({ name, verdict }) => `${name} ${verdict}`)).toEqual([
    "--configmap same",
    "--tcp-services-configmap same",
    "--controller-class differs",
    "--ingress-class differs",
    "--watch-ingress-without-class differs",
    "--election-id unneeded",
  ]);
  expect(readController(started(["--configmap=a/b"], "traefik"))).toBeUndefined();
});

test("each surprise is told with the paths that depend on it, and with nothing else", () => {
  const { surprises } = assessed([
    annotated("regex", { "use-regex": "true" }, rule("r.test", ["ImplementationSpecific", "/[a-z]{3}x", "a"])),
    annotated("other", {}, rule("r.test", ["Exact", "/exact", "a"])),
    annotated("rewrite", { "rewrite-target": "/" }, rule("w.test", ["Prefix", "/app", "a"])),
    annotated(
      "plain",
      {},
      rule("p.test", ["Prefix", "/slash/", "a"], ["Prefix", "/none", "a"], ["Exact", "/a//b", "a"]),
    ),
  ]);
  const told = surprises.map(({ number, affects }) => [number, ...affects.map(({ path }) => path)]);
  expect(told).toEqual([
    [1, "/exact", "/[a-z]{3}x", "/app"],
    [2, "/exact"],
    [3, "/app"],
    [4, "/slash/"],
    [5, "/a//b"],
  ]);
  expect(surprises[3]?.affects[0]).toMatchObject({ object: "Ingress ns/plain", example: "GET http://p.test/slash" });
});

const upstreaminfo =
  '10.0.0.9 - ann [22/Nov/2026:10:00:00 +0000] "GET /api?id=1 HTTP/1.1" 200 5 "-" "curl \\x22x\\x22" 120 0.004 [ns-a-80] [ns-b-80] 10.42.0.7:8080 5 0.004 200 0f5e';

test.each([
  [
    upstreaminfo,
    {
      method: "GET",
      path: "/api",
      query: "?id=1",
      client: "10.0.0.9",
      status: 200,
      upstream: "ns-a-80",
      alternative: "ns-b-80",
    },
  ],
  [
    '::1 - - [x] "POST / HTTP/2.0" 308 0 "-" "-" 1 0.000 [ns-a-80] [] - - - - id',
    { method: "POST", path: "/", query: "", client: "::1", status: 308, upstream: "ns-a-80", local: true },
  ],
  [
    '192.0.2.1 - - [x] "GET /\\x22 HTTP/1.1" 404 12',
    { method: "GET", path: '/"', query: "", client: "192.0.2.1", status: 404 },
  ],
  [
    '{"method":"GET","vhost":"a.test","path":"/p","args":"q=1","status":200,"x_forwarded_proto":"https","proxy_upstream_name":"-"}',
    { method: "GET", host: "a.test", path: "/p", query: "?q=1", status: 200, scheme: "https" },
  ],
  [
    '2026-11-22T10:00:00.1Z stdout F 10.0.0.9 - - [x] "GET /cri HTTP/1.1" 200 1 "-" "-"',
    { method: "GET", path: "/cri", query: "", client: "10.0.0.9", status: 200 },
  ],
  [
    JSON.stringify({ log: '10.0.0.9 - - [x] "GET /docker HTTP/1.1" 200 1\n', stream: "stdout", time: "t" }),
    { method: "GET", path: "/docker", query: "", client: "10.0.0.9", status: 200 },
  ],
  [
    JSON.stringify({ message: JSON.stringify({ method: "GET", path: "/in", status: 204 }) }),
    { method: "GET", path: "/in", query: "", status: 204 },
  ],
  [
    '10.0.0.9 - [10.0.0.9] - - [x] "GET /old HTTP/1.1" 200 1 "-" "-" 1 0.1 [ns-a-80] 10.0.0.1:80 1 0.1 200 id',
    { method: "GET", path: "/old", query: "", client: "10.0.0.9", status: 200, upstream: "ns-a-80" },
  ],
  [
    '{"request":"GET http://b.test/x HTTP/1.1","status":"301"}',
    { method: "GET", host: "b.test", scheme: "http", path: "/x", query: "", status: 301 },
  ],
])("an access log line: %s", (line, expected) => {
  expect(parseAccessLogLine(line)).toEqual(expected);
});

test.each(["", "garbage", "{", "null", "[1]", '{"status":200}', '{"__proto__":{"method":"GET"}}', "x".repeat(100_000)])(
  "no access log line: %#",
  (line) => {
    expect(parseAccessLogLine(line)).toBeUndefined();
  },
);

test("a replay tells each request that would fare otherwise, once, with how often", () => {
  const { model } = translated([
    annotated("web", {}, rule("a.test", ["Prefix", "/api", "a"], ["Prefix", "/", "b"])),
    annotated("moved", { "permanent-redirect": "https://x.test/" }, rule("m.test", ["Prefix", "/", "a"])),
    annotated("shut", { "whitelist-source-range": "10.0.0.0/8" }, rule("s.test", ["Prefix", "/", "a"])),
  ]);
  const replay = createReplay(model);
  const line = (more: object): void => replay.line(JSON.stringify({ method: "GET", status: 200, ...more }));
  line({ host: "a.test", uri: "/api/x", proxy_upstream_name: "ns-a-80" });
  line({ host: "a.test", uri: "//api/x", proxy_upstream_name: "ns-a-80" });
  line({ host: "a.test", uri: "/apix", proxy_upstream_name: "ns-a-80" });
  line({ host: "a.test", uri: "/apix", proxy_upstream_name: "ns-a-80" });
  line({ host: "m.test", uri: "/", status: 301, upstream_addr: "-", proxy_upstream_name: "ns-a-80" });
  line({ host: "a.test", uri: "/", status: 308, upstream_addr: "-", proxy_upstream_name: "ns-b-80" });
  line({ host: "s.test", uri: "/", remote_addr: "10.1.1.1", proxy_upstream_name: "ns-a-80" });
  line({ host: "s.test", uri: "/", remote_addr: "192.0.2.1", status: 403 });
  line({ host: "none.test", uri: "/", status: 404, proxy_upstream_name: "upstream-default-backend" });
  replay.line('1.1.1.1 - - [x] "GET /api HTTP/1.1" 200 5 "-" "-" 1 0.1 [ns-a-80] [] 10.0.0.1:80 1 1 200 id');
  replay.line('1.1.1.1 - - [x] "GET /api HTTP/1.1" 200 5 "-" "-" 1 0.1 [ns-gone-80] [] 10.0.0.1:80 1 1 200 id');
  replay.line("garbage");
  expect(replay.report()).toMatchObject({
    lines: 12,
    unread: 1,
    same: 7,
    different: 4,
    normalised: 1,
    unclear: 0,
    differences: [
      {
        host: "a.test",
        path: "/apix",
        requests: 2,
        line: 3,
        is: "to ns/b:80 with path /apix",
        by: { object: "Ingress ns/web", field: "spec.rules[0].http.paths[1]" },
      },
      { host: "a.test", path: "/", was: "308" },
      { host: "", path: "/api", was: "200 from ns-gone-80" },
    ],
  });
});

test("what is remembered of a replay is bounded", () => {
  const { model } = translated([annotated("web", {}, rule("a.test", ["Prefix", "/", "a"]))]);
  const replay = createReplay(model, { most: 2 });
  for (let i = 0; i < 5; i++) replay.line(JSON.stringify({ method: "GET", host: "b.test", uri: `/${i}`, status: 200 }));
  expect(replay.report()).toMatchObject({ different: 5, more: 3, differences: [{ path: "/0" }, { path: "/1" }] });
});

function written(ingresses: readonly Ingress[]) {
  const before = translated(ingresses);
  const target = { namespace: "default", name: "ingress", className: "ours" };
  const objects = gatewayObjects(before.model, target, {
    pool: (key) => before.model.pools.get(key),
    portNumber: () => 80,
  });
  const after = translateGateways({
    controllerName: "c",
    classes: [{ apiVersion: "", kind: "GatewayClass", metadata: { name: "ours" }, spec: { controllerName: "c" } }],
    gateways: [objects.gateway],
    listenerSets: objects.sets,
    httpRoutes: objects.routes,
    grpcRoutes: [],
    tlsRoutes: [],
    tcpRoutes: [],
    udpRoutes: [],
    grants: [],
    policies: [],
    namespaceLabels: () => ({}),
    service: (key) => service(key.slice(3)),
    slices: () => [],
    secret: () => secret,
    configMap: () => undefined,
    inspect: () => undefined,
    inspectAuthorities: () => undefined,
    namesOf: () => [],
    protocols: new Set(["HTTP", "HTTPS"]),
    mixedTls: true,
    bindPort: (_gateway, _transport, port) => port,
  });
  return { objects, probes: probeModels(before.model, after.model), model: after.model };
}

test("Gateway API objects lead requests as the Ingresses do", () => {
  const keeping = { "preserve-trailing-slash": "true" };
  const secured = annotated("secured", keeping, rule("tls.test", ["Prefix", "/", "a"], ["Exact", "/x", "b"]));
  secured.spec.tls = [{ hosts: ["tls.test"], secretName: "tls" }];
  const { objects, probes, model } = written([
    secured,
    annotated("plain", {}, rule("a.test", ["Prefix", "/", "a"], ["Prefix", "/b", "b"], ["Exact", "/c", "c"])),
    annotated("slash", {}, rule("s.test", ["Prefix", "/slash/", "a"])),
    annotated("regex", { "use-regex": "true" }, rule("r.test", ["ImplementationSpecific", "/v[0-9]+", "b"])),
    annotated("moved", { "temporal-redirect": "https://x.test/new" }, rule("m.test", ["Prefix", "/", "a"])),
    annotated("host", { "upstream-vhost": "in.test", "app-root": "/app" }, rule("v.test", ["Prefix", "/", "a"])),
    annotated("www", { "from-to-www-redirect": "true" }, rule("w.test", ["Prefix", "/", "a"])),
    ingress("all", { defaultBackend: to("d") }),
  ]);
  const slash = { request: "GET http://www.w.test/", was: "308 to http://w.test", is: "308 to http://w.test/" };
  expect(probes.differences).toEqual([expect.objectContaining(slash)]);
  expect(probes.requests).toBeGreaterThan(40);
  expect(objects.notes.filter(({ kind }) => kind === "left out")).toEqual([]);
  const ask = (host: string, path: string, scheme: "http" | "https" = "http") =>
    outcomeOf(model, { host, path, scheme, listener: `default/ingress TCP ${scheme === "http" ? 80 : 443}` });
  expect(ask("tls.test", "/x")).toMatchObject({ kind: "redirect", status: 308, location: "https://tls.test/x" });
  expect(ask("tls.test", "/x", "https")).toMatchObject({ kind: "forward", pools: ["ns/b:80/http"] });
  expect(ask("v.test", "/")).toMatchObject({ kind: "redirect", location: "http://v.test/app" });
});

test("what the Gateway API cannot say is told, and a guard is never lost", () => {
  const { objects, probes } = written([
    annotated("range", { "whitelist-source-range": "10.0.0.0/8" }, rule("a.test", ["Prefix", "/", "a"])),
    annotated("asked", { "auth-url": "http://x.ns.svc/" }, rule("b.test", ["Prefix", "/", "a"])),
    annotated("prefix", { "rewrite-target": "/$2" }, rule("c.test", ["Prefix", "/api(/|$)(.*)", "a"])),
    annotated("captures", { "rewrite-target": "/$2/$1" }, rule("d.test", ["Prefix", "/(.*)/x/(.*)", "a"])),
  ]);
  const left = objects.notes.filter(({ kind }) => kind === "left out").map(({ object }) => object);
  expect(left).toEqual(["Ingress ns/asked", "Ingress ns/captures", "Ingress ns/range"]);
  expect(objects.routes.map(({ metadata }) => metadata.name)).toEqual(["prefix"]);
  expect(probes.differences.some(({ is, object }) => object === "Ingress ns/range" && is.startsWith("404"))).toBe(true);
});

test("a redirect to https keeps its slash, which is told and seen", () => {
  const { objects, probes } = written([
    annotated("cut", { "force-ssl-redirect": "true" }, rule("a.test", ["Prefix", "/", "a"])),
  ]);
  expect(objects.notes.map(({ message }) => message).join()).toContain("keeps the slash");
  expect(probes.differences).toContainEqual(
    expect.objectContaining({ was: "308 to https://a.test", is: "308 to https://a.test/" }),
  );
});

test("ports for TCP and UDP are in no object, and that is told", () => {
  const configMap = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "tcp", namespace: "ns" } };
  const { model } = translated([ingress("all", { defaultBackend: to("d") })], {}, [
    { transport: "TCP", configMap: { ...configMap, data: { "5432": "ns/a:80" } } },
  ]);
  const target = { namespace: "default", name: "ingress", className: "ours" };
  const { notes } = gatewayObjects(model, target, { pool: (key) => model.pools.get(key), portNumber: () => 80 });
  expect(notes.filter(({ kind }) => kind === "left out")).toEqual([
    expect.objectContaining({ object: "ConfigMap ns/tcp", field: "data[5432]", kind: "left out" }),
  ]);
});

test("a canary becomes rules by header and cookie, and weights", () => {
  const { objects } = written([
    annotated("main", {}, rule("a.test", ["Prefix", "/", "a"])),
    annotated(
      "canary",
      { canary: "true", "canary-by-header": "X-Canary", "canary-by-cookie": "c", "canary-weight": "20" },
      rule("a.test", ["Prefix", "/", "b"]),
    ),
  ]);
  const rules = objects.routes[0]?.spec.rules ?? [];
  const shown = rules.map(({ matches = [], backendRefs = [] }) => [
    ((matches[0] as HttpMatchSpec).headers ?? []).map(({ value }) => value).join(),
    backendRefs.map(({ name, weight }) => `${name} ${weight}`).join(),
  ]);
  expect(shown).toEqual([
    ["always", "b 1"],
    ["never", "a 1"],
    ["(?:.*;\\s*)?c=always(?:;.*)?", "b 1"],
    ["(?:.*;\\s*)?c=never(?:;.*)?", "a 1"],
    ["", "a 80,b 20"],
  ]);
});
