import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createFakeClient, createInformers, type FakeClient } from "../../client/index.ts";
import { resources, type Ingress, type Service } from "../../kube/index.ts";
import { FakeClock, silentLogger } from "../../system/index.ts";
import { startProviderController } from "./controller.ts";
import type { Capabilities, LoadBalancerProvider } from "./contract.ts";
import { createFakeCloud, type FakeCloud } from "./fake-provider.ts";
import { httpExposureOf } from "./http-exposure.ts";

const can: Capabilities = {
  families: ["IPv4"],
  protocols: [],
  mixedProtocols: false,
  sourceRanges: false,
  sessionAffinity: false,
  requestedAddress: false,
  localPolicy: false,
  withoutNodePorts: true,
  mostPorts: 2,
  annotations: ["example.com/"],
  http: { tls: true, exactPaths: false, endpoints: true },
};
const service = (name: string): Service =>
  ({
    metadata: { name, namespace: "ns", uid: `uid-${name}` },
    spec: { ports: [{ name: "http", port: 80, targetPort: "web", protocol: "TCP" }] },
  }) as unknown as Service;
const slices = (name: string) => [
  {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name, namespace: "ns", labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080, protocol: "TCP" }],
    endpoints: [{ addresses: ["10.1.0.1"], conditions: { ready: true } }],
  },
];
const path = (text: string, name: string, pathType = "Prefix") => ({
  path: text,
  pathType,
  backend: { service: { name, port: { name: "http" } } },
});
const ingress = (spec: object): Ingress =>
  ({
    metadata: { name: "web", namespace: "ns", uid: "u1", annotations: { "example.com/a": "1", other: "2" } },
    spec,
  }) as unknown as Ingress;
const read = (spec: object) =>
  httpExposureOf(
    "lab",
    ingress(spec),
    {
      service: (key) => (key === "ns/gone" ? undefined : service(key.slice(3))),
      slices: (key) => slices(key.slice(3)),
      secret: (key) => (key === "ns/empty" ? ({ metadata: { name: "empty" }, data: {} } as never) : undefined),
    },
    [],
    can,
  );

describe("an Ingress as a load balancer has it", () => {
  test("rules are in the order of the Ingress API, backends are resolved to pods", () => {
    const { exposure, problems } = read({
      rules: [
        { http: { paths: [path("/any", "a")] } },
        { host: "*.example.com", http: { paths: [path("/", "a")] } },
        { host: "www.example.com", http: { paths: [path("/", "a"), path("/long", "b"), path("/long", "c", "Exact")] } },
      ],
    });
    expect(problems).toEqual([]);
    expect(
      exposure.http?.rules.map(({ host, path: at, match, backend }) => [host, at, match, backend.service]),
    ).toEqual([
      ["www.example.com", "/long", "Exact", "c"],
      ["www.example.com", "/long", "Prefix", "b"],
      ["www.example.com", "/", "Prefix", "a"],
      ["*.example.com", "/", "Prefix", "a"],
      ["", "/any", "Prefix", "a"],
    ]);
    expect(exposure.http?.rules[0]?.backend).toEqual({
      namespace: "ns",
      service: "c",
      uid: "uid-c",
      port: 80,
      targetPort: 8080,
      endpoints: [{ address: "10.1.0.1", port: 8080 }],
    });
    expect(exposure.annotations).toEqual({ "example.com/a": "1" });
  });

  test("what cannot be is named, and the rest is served", () => {
    const { exposure, problems } = read({
      defaultBackend: { resource: { kind: "Bucket", name: "x" } },
      rules: [{ host: "a.example", http: { paths: [path("/", "gone"), path("/ok", "b")] } }],
      tls: [{ hosts: ["a.example"] }, { secretName: "empty" }, { secretName: "elsewhere" }],
    });
    expect(problems).toEqual([
      "spec.defaultBackend.resource is not supported; name a Service",
      "spec.rules[0].http.paths[0].backend.service: Service ns/gone does not exist; the rule is left out",
      "spec.tls[0].secretName is missing; name a Secret",
      "spec.tls[1]: Secret ns/empty has no data tls.crt; it is left out",
    ]);
    expect(exposure.http?.rules.map(({ path: at }) => at)).toEqual(["/ok"]);
    expect(exposure.http?.certificates).toEqual([{ name: "elsewhere", hosts: [] }]);
    expect(exposure.ports.map(({ port }) => port)).toEqual([80, 443]);
  });
});

describe("the controller with Ingresses", () => {
  let client: FakeClient;
  let clock: FakeClock;
  let cloud: FakeCloud;
  let stop: AbortController;
  let tell: (() => void) | undefined;

  const provider = (): LoadBalancerProvider =>
    cloud.provider({
      ingressController: "example.com/fake",
      capabilities: can,
      watch: (_cluster, onChange, signal) => {
        tell = () => onChange();
        return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      },
    });
  const start = async (one = provider()) => {
    stop = new AbortController();
    const options = { signal: stop.signal, log: silentLogger, clock };
    const informers = createInformers(client, options);
    await startProviderController({ client, informers, provider: one, cluster: "c", ...options }).ready;
  };
  const quiet = async () => {
    for (let i = 0; i < 10; i++) await clock.advance(500);
  };
  const where = { namespace: "ns", name: "web" };
  const addresses = async () =>
    ((await client.get(resources.Ingress, where)).status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip);

  beforeEach(async () => {
    clock = new FakeClock();
    client = createFakeClient({ clock });
    cloud = createFakeCloud();
    client.put(resources.IngressClass, { metadata: { name: "fake" }, spec: { controller: "example.com/fake" } });
    client.put(resources.Service, { ...service("b"), metadata: { name: "b", namespace: "ns" } });
    await start();
    const rules = [{ host: "a.example", http: { paths: [path("/", "b")] } }];
    await client.create(resources.Ingress, { metadata: where, spec: { ingressClassName: "fake", rules } });
    await client.create(resources.Ingress, { metadata: { ...where, name: "theirs" }, spec: { rules } });
    await quiet();
  });
  afterEach(() => stop.abort());

  test("only those of its class have a load balancer, and lose it with themselves", async () => {
    expect(await addresses()).toEqual(["192.0.2.1"]);
    expect([...cloud.balancers.values()].map(({ key }) => key.name)).toEqual(["web"]);
    await client.delete(resources.Ingress, where);
    await quiet();
    expect(cloud.balancers.size).toBe(0);
  });

  test("neither a stop, a start nor an API that is away takes the address off", async () => {
    stop.abort();
    expect(await addresses()).toEqual(["192.0.2.1"]);
    const { ProviderFailure } = await import("./contract.ts");
    await start({ ...provider(), observe: () => Promise.reject(new ProviderFailure("Unavailable", "away")) });
    await quiet();
    expect(await addresses()).toEqual(["192.0.2.1"]);
    expect(cloud.balancers.size).toBe(1);
  });

  test("what the other side pushes is looked at at once", async () => {
    for (const [key, one] of cloud.balancers) cloud.balancers.set(key, { ...one, address: "192.0.2.77" });
    await clock.advance(10);
    expect(await addresses()).toEqual(["192.0.2.1"]);
    tell?.();
    await clock.advance(10);
    expect(await addresses()).toEqual(["192.0.2.77"]);
  });
});
