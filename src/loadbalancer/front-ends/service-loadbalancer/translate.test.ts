import { describe, expect, test } from "vitest";
import type { EndpointSlice, Service } from "../../../kube/index.ts";
import { match, poolsOf, type RoutingModel } from "../../../routing/index.ts";
import { translateServices, type TranslateInput } from "./translate.ts";

function service(
  key: string,
  more: { port?: number; annotations?: Record<string, string>; spec?: object } = {},
): Service {
  const [namespace = "", name = ""] = key.split("/");
  const { port = 80, annotations = {}, spec = {} } = more;
  const metadata = { namespace, name, annotations, creationTimestamp: "2030-01-01T00:00:00Z" };
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata,
    spec: {
      type: "ClusterIP",
      clusterIP: "10.96.0.7",
      sessionAffinity: "None",
      ports: [{ port, protocol: "TCP" }],
      ...spec,
    },
  };
}

const slices = (key: string): EndpointSlice[] => [
  {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      namespace: key.split("/")[0] ?? "",
      name: "s",
      labels: { "kubernetes.io/service-name": key.split("/")[1] ?? "" },
    },
    addressType: "IPv4",
    ports: [{ name: "", port: 8080, protocol: "TCP" }],
    endpoints: [{ addresses: ["10.244.0.3"] }],
  },
];

const translate = (services: Service[], more: Partial<TranslateInput> = {}) =>
  translateServices({
    services,
    slices,
    tcpServices: [],
    forwardServices: false,
    balance: "roundrobin",
    httpPort: 80,
    httpsPort: 443,
    ...more,
  });

function reached(model: RoutingModel, host: string, path: string): string | undefined {
  const found = match(model, { host, path });
  if (found.outcome !== "route") return undefined;
  const { namespace, name } = poolsOf(model, found.route)[0]?.pool.service ?? { namespace: "", name: "" };
  return `${namespace}/${name}`;
}

describe("paths", () => {
  test("/NAME for port 80, /NAME:PORT for others, and never another's beginning", () => {
    const { model, problems } = translate([service("default/nginx"), service("default/nginx-two", { port: 8080 })]);
    expect(problems).toEqual([]);
    expect(reached(model, "x", "/nginx")).toBe("default/nginx");
    expect(reached(model, "x", "/nginx/deep")).toBe("default/nginx");
    expect(reached(model, "x", "/nginx-two:8080/a")).toBe("default/nginx-two");
    expect(reached(model, "x", "/nginx-two")).toBeUndefined();
  });

  test("one name in two namespaces: both are reached", () => {
    const { model } = translate([service("a/web"), service("b/web")]);
    expect(["/web", "/a/web", "/b/web"].map((path) => reached(model, "x", path))).toEqual(["a/web", "a/web", "b/web"]);
  });

  test("a host leads only there, together with the path or alone", () => {
    const { model } = translate([
      service("a/web", { annotations: { "serviceloadbalancer/lb.host": "www.example.com" } }),
    ]);
    expect(reached(model, "www.example.com", "/web")).toBe("a/web");
    expect(reached(model, "www.example.com", "/")).toBe("a/web");
    expect(reached(model, "other.example.com", "/web")).toBeUndefined();
  });

  test("aclMatch has the place of the name, and the path stays", () => {
    const { model } = translate([service("a/web", { annotations: { "serviceloadbalancer/lb.aclMatch": "-i /test" } })]);
    expect(reached(model, "x", "/TEST/a")).toBe("a/web");
    expect(reached(model, "x", "/testing")).toBe("a/web");
    expect(reached(model, "x", "/web")).toBeUndefined();
    const found = match(model, { host: "x", path: "/test" });
    expect(found.outcome === "route" && found.route.rule.filters).toEqual([]);
  });
});

describe("who gets a request", () => {
  const balanceOf = (one: Service, more: Partial<TranslateInput> = {}) =>
    [...translate([one], more).model.pools.values()].map(({ balance }) => balance);

  test("only ClientIP makes clients stay: the API says None where nobody says anything", () => {
    expect(balanceOf(service("a/web", { spec: { sessionAffinity: "None" } }))).toEqual(["roundrobin"]);
    expect(balanceOf(service("a/web", { spec: { sessionAffinity: "ClientIP" } }))).toEqual(["source"]);
  });

  test.each(["roundrobin", "leastconn", "first", "source"])("lb.algorithm %s", (name) => {
    expect(balanceOf(service("a/web", { annotations: { "serviceloadbalancer/lb.algorithm": name } }))).toEqual([name]);
  });

  test("an algorithm that is none is told, and the flag's is used", () => {
    const annotations = { "serviceloadbalancer/lb.algorithm": "random}\nlisten x" };
    const { model, problems } = translate([service("a/web", { annotations })], { balance: "leastconn" });
    expect([...model.pools.values()][0]?.balance).toBe("leastconn");
    expect(problems).toMatchObject([{ reason: "InvalidAnnotation", field: expect.stringContaining("lb.algorithm") }]);
  });

  test("the cookie", () => {
    const annotations = { "serviceloadbalancer/lb.cookie-sticky-session": "true" };
    const { model } = translate([service("a/web", { annotations })]);
    const found = match(model, { host: "x", path: "/web" });
    expect(found.outcome === "route" && found.route.rule.affinity?.cookie).toBe("SERVERID");
  });
});

describe("TCP", () => {
  const mysql = [{ name: "mysql", port: 3306 }];

  test("a port of its own, for the one that is named; not by HTTP as well", () => {
    const { model } = translate([service("a/mysql", { port: 3306 })], { tcpServices: mysql });
    expect(model.listeners.map(({ name, port }) => [name, port])).toEqual([
      ["http", 80],
      ["tcp 3306", 3306],
    ]);
    expect(reached(model, "x", "/mysql:3306")).toBeUndefined();
  });

  test("two Services that want one port: the older has it, and the other is told", () => {
    const { problems, ways } = translate([service("a/mysql", { port: 3306 }), service("b/mysql", { port: 3306 })], {
      tcpServices: mysql,
    });
    expect(ways.map(({ service: of }) => of)).toEqual(["a/mysql"]);
    expect(problems).toMatchObject([{ reason: "Conflict", object: { namespace: "b" } }]);
    const chosen = translate([service("a/mysql", { port: 3306 }), service("b/mysql", { port: 3306 })], {
      tcpServices: [{ namespace: "b", name: "mysql", port: 3306 }],
    });
    expect(chosen.ways.filter(({ at }) => at.startsWith("tcp")).map(({ service: of }) => of)).toEqual(["b/mysql"]);
  });
});

test("HTTPS is asked for and there is no certificate: it is not served in clear", () => {
  const annotations = { "serviceloadbalancer/lb.sslTerm": "true" };
  const { model, problems } = translate([service("a/web", { annotations })]);
  expect(reached(model, "x", "/web")).toBeUndefined();
  expect(problems).toMatchObject([{ reason: "InvalidCertificate", remedy: "give --ssl-cert" }]);
});

test("no Service: no route; and which Services count", () => {
  expect(translate([]).ways).toEqual([]);
  const all = [
    service("a/web"),
    service("b/lb", { spec: { type: "LoadBalancer" } }),
    service("b/dns", { spec: { ports: [{ port: 53, protocol: "UDP" }] } }),
    service("b/out", { spec: { type: "ExternalName" } }),
    service("b/web2"),
  ];
  const served = (more: Partial<TranslateInput>) => translate(all, more).ways.map(({ service: of }) => of);
  expect(served({})).toEqual(["a/web", "b/web2"]);
  expect(served({ namespace: "b" })).toEqual(["b/web2"]);
  expect(served({ targetService: "web" })).toEqual(["a/web"]);
});

test("cluster IPs in place of pods", () => {
  const { model } = translate([service("a/web")], { forwardServices: true });
  expect([...model.pools.values()][0]?.endpoints).toMatchObject([{ address: "10.96.0.7", port: 80 }]);
});
