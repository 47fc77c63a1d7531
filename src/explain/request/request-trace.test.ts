import { describe, expect, it } from "vitest";
import type { EndpointSlice, Ingress, IngressClass, Service } from "../../kube/index.ts";
import { translateIngresses } from "../../routing/index.ts";
import { traceRequest, type RequestTrace } from "./request-trace.ts";

const classes: IngressClass[] = [
  {
    apiVersion: "networking.k8s.io/v1",
    kind: "IngressClass",
    metadata: { name: "ours" },
    spec: { controller: "example.com/us" },
  },
];
const nginxClass: IngressClass = {
  apiVersion: "networking.k8s.io/v1",
  kind: "IngressClass",
  metadata: { name: "nginx" },
  spec: { controller: "k8s.io/ingress-nginx" },
};
const service: Service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { namespace: "shop", name: "web" },
  spec: { clusterIP: "10.96.0.5", ports: [{ name: "http", port: 80 }] },
};
const slice: EndpointSlice = {
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { namespace: "shop", name: "web-x", labels: { "kubernetes.io/service-name": "web" } },
  addressType: "IPv4",
  ports: [{ name: "http", port: 8080, protocol: "TCP" }],
  endpoints: [
    { addresses: ["10.42.0.2"], conditions: { ready: true } },
    { addresses: ["10.42.0.3"], conditions: { ready: true } },
    { addresses: ["10.42.0.4"], conditions: { ready: false } },
  ],
};
const path = (value: string, name = "web", pathType = "Prefix") => ({
  path: value,
  pathType,
  backend: { service: { name, port: { number: 80 } } },
});
const ingress = (
  name: string,
  rules: readonly [host: string, paths: object[]][],
  rest: object = {},
  created = "2026-01-01T00:00:00Z",
): Ingress =>
  JSON.parse(
    JSON.stringify({
      apiVersion: "networking.k8s.io/v1",
      kind: "Ingress",
      metadata: { namespace: "shop", name, creationTimestamp: created },
      spec: {
        ingressClassName: "ours",
        rules: rules.map(([host, paths]) => ({ ...(host ? { host } : {}), http: { paths } })),
        ...rest,
      },
    }),
  ) as Ingress;

function trace(
  url: string,
  ingresses: readonly Ingress[],
  headers: Record<string, string> = {},
  raw?: string,
  method = "GET",
): RequestTrace {
  const translation = translateIngresses({
    ingresses,
    classes: [...classes, nginxClass],
    nginx: { controllers: ["k8s.io/ingress-nginx"], options: {} },
    service: (key) => (key === "shop/web" ? service : undefined),
    slices: (key) => (key === "shop/web" ? [slice] : []),
    secret: () => undefined,
    inspect: () => undefined,
    controllerName: "example.com/us",
    ports: { http: 80, https: 443 },
  });
  return traceRequest(translation, {
    method,
    url: new URL(url),
    headers,
    ...(raw === undefined ? {} : { path: raw }),
  });
}

const one = ingress("site", [
  ["a.example", [path("/"), path("/cart"), path("/cart", "none", "Exact")]],
  ["*.example", [path("/cart")]],
]);

describe("traceRequest", () => {
  it("shows the route that is taken, the field it comes from, and the odds of each endpoint", () => {
    const found = trace("http://a.example/cart/7", [one]);
    expect(found).toMatchObject({
      verdict: "forward",
      reason: "one of 2 endpoints",
      listener: { name: "http", port: 80 },
    });
    expect(found.candidates[0]).toEqual({
      route: "a.example Prefix /cart",
      object: "Ingress shop/site",
      field: "spec.rules[0].http.paths[1]",
      taken: true,
      why: "taken",
    });
    expect(found.backends[0]?.endpoints.map(({ address, odds }) => [address, odds])).toEqual([
      ["10.42.0.2", 0.5],
      ["10.42.0.3", 0.5],
      ["10.42.0.4", 0],
    ]);
  });

  it("says of each other route what ruled it out", () => {
    const found = trace("http://a.example/cart/7", [one, ingress("other", [["b.example", [path("/")]]])]);
    expect(Object.fromEntries(found.candidates.map(({ route, why }) => [route, why]))).toEqual({
      "a.example Prefix /cart": "taken",
      "a.example Prefix /": "it would match, but the longer path /cart comes first",
      "a.example Exact /cart": "path: /cart/7 is not the same as /cart",
      "*.example Prefix /cart": "host: a.example is more specific and decides alone",
      "b.example Prefix /": "host: a.example is not b.example",
    });
  });

  it("answers 503 for a Service that does not exist, with the problem", () => {
    const found = trace("http://a.example/cart", [one]);
    expect(found).toMatchObject({ verdict: "answer", status: 503, reason: "Service shop/none does not exist" });
    expect(found.problems).toMatchObject([{ object: "Ingress shop/site", field: expect.stringContaining("paths[2]") }]);
  });

  it("tells of problems of who could have had the request, and of nobody else", () => {
    const lost = ingress("lost", [["b.test", [path("/", "none")]]]);
    expect(trace("http://a.example/", [one, lost]).problems.map(({ object }) => object)).toEqual(["Ingress shop/site"]);
    expect(trace("http://b.test/", [one, lost]).problems.map(({ object }) => object)).toEqual(["Ingress shop/lost"]);
  });

  it.each(["TRACE", "CONNECT"])("refuses %s, as every data plane does", (method) => {
    expect(trace("http://a.example/", [one], {}, undefined, method)).toMatchObject({ verdict: "refuse", status: 405 });
  });

  it("answers 404 where nothing matches, and takes a default backend where there is one", () => {
    const narrow = ingress("narrow", [["c.example", [path("/x")]]]);
    expect(trace("http://c.example/y", [narrow])).toMatchObject({ verdict: "refuse", status: 404 });
    const fallback = ingress("all", [], { defaultBackend: { service: { name: "web", port: { number: 80 } } } });
    const found = trace("http://c.example/y", [narrow, fallback]);
    expect(found).toMatchObject({ verdict: "forward" });
    expect(found.candidates[0]).toMatchObject({
      object: "Ingress shop/all",
      field: "spec.defaultBackend",
      taken: true,
    });
  });

  it("takes the Host header before the URL's host, and refuses what has no clear meaning", () => {
    expect(trace("http://192.0.2.1/", [one], { host: "a.example" }).verdict).toBe("forward");
    expect(trace("http://a.example/", [one], {}, "/a/..%2fb")).toMatchObject({ verdict: "refuse", status: 400 });
    expect(trace("http://a.example/", [one], { host: "no host" })).toMatchObject({ verdict: "refuse", status: 400 });
  });

  it("names the ports that there are when none listens", () => {
    const found = trace("http://a.example:8081/", [one]);
    expect(found).toMatchObject({ verdict: "refuse", reason: expect.stringContaining("80 (HTTP), 443 (HTTPS)") });
  });

  it("bounds the candidates", () => {
    const many = ingress("many", [["a.example", Array.from({ length: 100 }, (_, i) => path(`/p${i}`))]]);
    const found = trace("http://a.example/p50", [many]);
    expect(found.candidates).toHaveLength(30);
    expect(found.more).toBe(70);
    expect(found.candidates[0]).toMatchObject({ route: "a.example Prefix /p50", taken: true });
  });
});

describe("Ingresses of ingress-nginx", () => {
  const annotated = (name: string, annotations: Record<string, string>, paths: object[]): Ingress => {
    const made = ingress(name, [["n.example", paths]], { ingressClassName: "nginx" });
    const prefix = "nginx.ingress.kubernetes.io/";
    made.metadata.annotations = Object.fromEntries(
      Object.entries(annotations).map(([key, value]) => [prefix + key, value]),
    );
    return made;
  };

  it("tells a redirect that an annotation makes, and where to", () => {
    const found = trace("http://n.example/x?y=1", [annotated("n", { "force-ssl-redirect": "true" }, [path("/")])]);
    expect(found).toMatchObject({
      verdict: "answer",
      status: 308,
      reason: "a filter answers it with a redirect to https://n.example/x?y=1",
    });
  });

  it("tells what keeps everybody out", () => {
    const found = trace("http://n.example/", [annotated("n", { "server-snippet": "deny all;" }, [path("/")])]);
    expect(found).toMatchObject({ verdict: "answer", status: 500, reason: "server-snippet cannot be served" });
  });

  it("tells the odds of a canary, by weight and by header", () => {
    const both = [
      annotated("main", {}, [path("/")]),
      annotated("canary", { canary: "true", "canary-weight": "20", "canary-by-header": "x-c" }, [path("/", "none")]),
    ];
    const odds = (headers: Record<string, string> = {}) =>
      trace("http://n.example/", both, headers).backends.map((each) => [each.service, each.odds]);
    expect(odds()).toEqual([
      ["shop/web", 0.8],
      ["shop/none", 0.2],
    ]);
    expect(odds({ "x-c": "always" })).toEqual([
      ["shop/web", 0],
      ["shop/none", 1],
    ]);
  });

  it("says of an expression whether it matches", () => {
    const paths = [path("/v[0-9]", "none"), path("/", "web")];
    const found = trace("http://n.example/other", [annotated("n", { "use-regex": "true" }, paths)]);
    expect(found.candidates.map(({ taken, why }) => [taken, why])).toEqual([
      [true, "taken"],
      [false, "path: /other does not match (?i)(?:/v[0-9]).*"],
    ]);
  });
});
