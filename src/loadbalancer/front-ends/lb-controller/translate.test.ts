import { describe, expect, it } from "vitest";
import type { EndpointSlice, Ingress, Secret, Service } from "../../../kube/index.ts";
import { match, routesOf, type RoutingModel } from "../../../routing/index.ts";
import { readCustomConfig } from "./custom-config.ts";
import { isRancherIngress } from "./read.ts";
import { createRancherTranslator, type RancherRoutes } from "./translate.ts";

const backend = (name: string) => ({ service: { name, port: { number: 80 } } });
const path = (value: string | undefined, service: string, pathType = "ImplementationSpecific") => ({
  ...(value === undefined ? {} : { path: value }),
  pathType,
  backend: backend(service),
});

let age = 0;
function ingress(key: string, annotations: Record<string, string>, spec: object): Ingress {
  const [namespace = "", name = ""] = key.split("/");
  const creationTimestamp = new Date(Date.UTC(2026, 0, 1) + 1000 * ++age).toISOString();
  return { kind: "Ingress", metadata: { namespace, name, uid: key, annotations, creationTimestamp }, spec } as Ingress;
}
const ruled = (host: string, ...paths: object[]) => ({ rules: [{ host, http: { paths } }] });

function translate(ingresses: readonly Ingress[], secrets: readonly string[] = []): RancherRoutes {
  return createRancherTranslator()({
    ingresses,
    service: (key) =>
      key.endsWith("missing")
        ? undefined
        : ({ kind: "Service", metadata: { name: key }, spec: { ports: [{ port: 80, targetPort: 8080 }] } } as Service),
    slices: (key): EndpointSlice[] => [
      {
        kind: "EndpointSlice",
        metadata: { namespace: key.split("/")[0] ?? "", name: key },
        addressType: "IPv4",
        ports: [{ name: "", port: 8080, protocol: "TCP" }],
        endpoints: [{ addresses: ["10.0.0.1"] }],
      } as EndpointSlice,
    ],
    secret: (key) =>
      secrets.includes(key)
        ? ({ kind: "Secret", metadata: { namespace: key.split("/")[0], name: key.split("/")[1], uid: key } } as Secret)
        : undefined,
    inspect: () => undefined,
  });
}

/** Which Service a request reaches. */
function reached(model: RoutingModel, port: number, host: string, target: string): string | undefined {
  const listener = model.listeners.find((one) => one.port === port);
  if (!listener) return undefined;
  const found = match(model, { host, path: target, listener: listener.name });
  const rule = found.outcome === "route" ? found.route.rule : undefined;
  const key = rule?.backends[0]?.pool;
  return key === undefined ? undefined : model.pools.get(key)?.service.name;
}

const portsOf = ({ model }: RancherRoutes) => model.listeners.map(({ port, protocol }) => `${protocol} ${port}`);

describe("which Ingresses are lb-controller's", () => {
  it.each([
    [{}, {}, true],
    [{ "kubernetes.io/ingress.class": "rancher" }, {}, true],
    [{ "kubernetes.io/ingress.class": "" }, {}, true],
    [{ "kubernetes.io/ingress.class": "nginx" }, {}, false],
    [{}, { ingressClassName: "rancher" }, true],
    [{}, { ingressClassName: "nginx" }, false],
    [{ "kubernetes.io/ingress.class": "rancher" }, { ingressClassName: "nginx" }, false],
  ])("annotations %j, spec %j: %s", (annotations, spec, expected) => {
    expect(isRancherIngress(ingress("a/b", annotations, spec))).toBe(expected);
  });
});

describe("ports", () => {
  it("are those of the annotations, and shared by who names the same", () => {
    const routes = translate([
      ingress("a/one", {}, ruled("one.test", path("/", "web"))),
      ingress("b/one", {}, ruled("two.test", path("/", "web"))),
      ingress("a/ninety", { "http.port": "90" }, { defaultBackend: backend("web") }),
    ]);
    expect(portsOf(routes)).toEqual(["HTTP 80", "HTTP 90"]);
    expect(routes.served.get("a/ninety")).toEqual([90]);
    expect(routes.problems).toEqual([]);
  });

  it("one that is HTTP already is not HTTPS for a younger Ingress, which is told so and keeps its other port", () => {
    const tls = { tls: [{ secretName: "pair" }] };
    const routes = translate(
      [
        ingress("a/plain", { "http.port": "443" }, ruled("a.test", path("/", "web"))),
        ingress("a/secure", {}, { ...ruled("b.test", path("/", "web")), ...tls }),
      ],
      ["a/pair"],
    );
    expect(portsOf(routes)).toEqual(["HTTP 80", "HTTP 443"]);
    expect(routes.problems).toMatchObject([
      { object: { name: "secure" }, reason: "Conflict", field: "metadata.annotations[https.port]" },
    ]);
  });

  it.each([
    [{ "http.port": "x" }, "metadata.annotations[http.port]"],
    [{ "http.port": "0" }, "metadata.annotations[http.port]"],
    [{ "http.port": "65536" }, "metadata.annotations[http.port]"],
    [{ "http.port": "80\nfrontend evil" }, "metadata.annotations[http.port]"],
    [{ "allow.http": "perhaps" }, "metadata.annotations[allow.http]"],
    [{ "allow.http": "false" }, "metadata.annotations[allow.http]"],
  ])("what %j says wrong harms only its Ingress", (annotations, field) => {
    const routes = translate([
      ingress("a/bad", annotations, ruled("bad.test", path("/", "web"))),
      ingress("a/good", {}, ruled("good.test", path("/", "web"))),
    ]);
    expect(routes.problems).toMatchObject([{ object: { name: "bad" }, field, reason: "InvalidAnnotation" }]);
    expect([...routes.served.keys()]).toEqual(["a/good"]);
    expect(reached(routes.model, 80, "bad.test", "/")).toBeUndefined();
    expect(reached(routes.model, 80, "good.test", "/")).toBe("web");
  });
});

describe("paths", () => {
  const { model } = translate([
    ingress(
      "a/x",
      {},
      ruled("foo.test", path("/foo", "old"), path("/api", "new", "Prefix"), path("/e", "exact", "Exact")),
    ),
  ]);
  it.each([
    ["/foo", "old"],
    ["/foo/bar", "old"],
    ["/foobar", "old"],
    ["/FOO", "old"],
    ["/fo", undefined],
    ["/api/x", "new"],
    ["/apix", undefined],
    ["/e", "exact"],
    ["/e/", undefined],
  ])("%s reaches %s", (target, expected) => {
    expect(reached(model, 80, "foo.test", target)).toBe(expected);
  });
});

describe("what the original lost", () => {
  it("all certificates are served by their names, the first also for other names", () => {
    const spec = {
      rules: [...ruled("a.test", path("/", "web")).rules, ...ruled("b.test", path("/", "web")).rules],
      tls: [
        { hosts: ["a.test"], secretName: "one" },
        { hosts: ["b.test"], secretName: "two" },
      ],
    };
    const routes = translate([ingress("n/x", {}, spec)], ["n/one", "n/two"]);
    const server = routes.model.listeners.find(({ port }) => port === 443)?.servers.get("");
    const names = [...(server?.tls?.certificates ?? [])].map(([host, { secret }]) => `${host} ${secret.name}`);
    expect(names).toEqual(["a.test one", "b.test two", " one"]);
  });

  it("without a certificate HTTPS is not opened, and the Secret is named", () => {
    const routes = translate([
      ingress("n/x", {}, { ...ruled("a.test", path("/", "web")), tls: [{ secretName: "gone" }] }),
    ]);
    expect(portsOf(routes)).toEqual(["HTTP 80"]);
    expect(routes.problems).toMatchObject([{ reason: "SecretNotFound", field: "spec.tls[0].secretName" }]);
  });

  it("a Service that does not exist is told, and the other rules stay", () => {
    const routes = translate([ingress("n/x", {}, ruled("a.test", path("/a", "missing"), path("/b", "web")))]);
    expect(routes.problems).toMatchObject([{ reason: "ServiceNotFound" }]);
    expect(reached(routes.model, 80, "a.test", "/b")).toBe("web");
  });
});

describe("io.rancher.stickiness.policy", () => {
  const sticky = (text: string) =>
    translate([
      ingress("n/x", { "io.rancher.stickiness.policy": text }, ruled("a.test", path("/", "web"))),
      ingress("n/y", {}, ruled("b.test", path("/", "web"))),
    ]);
  const affinityOf = ({ model }: RancherRoutes) =>
    model.listeners.flatMap((listener) => [...routesOf(listener)]).find(({ host }) => host === "a.test")?.rule.affinity;

  it("keeps clients by its cookie, on its own Ingress", () => {
    const routes = sticky("name: policy\ncookie: JSESSIONID\nmode: insert\nindirect: true\ndomain: .example.com");
    expect(affinityOf(routes)).toEqual({ cookie: "JSESSIONID", domain: ".example.com", secure: false });
    expect(routes.problems).toEqual([]);
  });

  it.each([
    ["mode: rewrite", "mode rewrite is not supported"],
    ["postonly: true", "postonly is not supported"],
    ["colour: blue", '"colour" is unknown'],
    ["cookie", 'no "name: value"'],
    ["cookie: a b", "no name of a cookie"],
    ["cookie: a; Path=/", "no name of a cookie"],
    ["cookie: a\ndomain: x y", "is no domain"],
  ])("%j is told, and both Ingresses are served", (text, message) => {
    const routes = sticky(text);
    expect(routes.problems).toHaveLength(1);
    expect(routes.problems[0]?.message).toContain(message);
    expect(affinityOf(routes)).toBeUndefined();
    expect(routes.served.size).toBe(2);
  });
});

describe("the annotation config", () => {
  it("what is understood is done, by port or for all", () => {
    const text = "defaults\n balance source\n timeout connect 5s\n timeout server 700\nfrontend 81\n balance leastconn";
    const { model, problems } = translate([
      ingress("n/x", { config: text, "http.port": "81" }, ruled("a", path("/", "web"))),
    ]);
    expect(problems).toEqual([]);
    expect([...model.pools.values()].map(({ balance }) => balance)).toEqual(["leastconn"]);
    const [route] = model.listeners.flatMap((listener) => [...routesOf(listener)]);
    expect(route?.rule.timeouts).toEqual({ connect: 5_000, read: 700 });
  });

  it("the original's example: the rest is told by name", () => {
    const { problems } = translate([
      ingress(
        "n/x",
        { config: "defaults\n balance source\nglobal\nmaxconnrate 60" },
        { defaultBackend: backend("web") },
      ),
    ]);
    expect(problems).toMatchObject([{ reason: "UnsupportedFeature", field: "metadata.annotations[config]" }]);
    expect(problems[0]?.message).toBe('"global: maxconnrate 60": not taken over');
  });

  it("is bounded", () => {
    expect(readCustomConfig("x y\n".repeat(100_000)).ignored.length).toBeLessThanOrEqual(1_001);
    expect(
      readCustomConfig("defaults\nbalance url_param x\nbalance source extra\ntimeout server 1d").ignored,
    ).toHaveLength(3);
  });
});
