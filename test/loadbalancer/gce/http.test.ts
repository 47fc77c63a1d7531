import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createAuthority, issueServer } from "../../../src/apiserver/pki/authority.ts";
import {
  converge,
  remove,
  runContract,
  type Exposure,
  type HttpBackend,
  type HttpExposure,
  type HttpRule,
} from "../../../src/loadbalancer/provider/index.ts";
import { systemClock } from "../../../src/system/index.ts";
import { exposure, settle } from "../../support/exposures.ts";
import { faults, machine, openGceApi, type GceApi } from "./api.ts";

// Ingresses as regional Application Load Balancers, each request held against Google's discovery document; gce.test.ts has the way to a pod.
const { signal } = new AbortController();
const backend = (service: string, nodePort: number | undefined): HttpBackend => ({
  namespace: "ns",
  service,
  uid: `uid-${service}`,
  port: 80,
  targetPort: 8_080,
  ...(nodePort === undefined ? {} : { nodePort }),
  endpoints: [],
});
const [shop, blog] = [backend("shop", 30_001), backend("blog", 30_002)];
const rule = (host: string, path: string, to: HttpBackend, match: HttpRule["match"] = "Prefix"): HttpRule => {
  return { host, path, match, backend: to };
};
const ingress = (http: Partial<HttpExposure> = {}, more: Partial<Exposure> = {}): Exposure =>
  exposure({
    key: { cluster: "lab", namespace: "ns", name: "site", uid: "i-1" },
    ports: [{ name: "http", protocol: "TCP", port: 80 }],
    targets: [machine("node-1", "z1", "10.240.0.1"), machine("node-4", "z2", "10.240.0.4")],
    http: { rules: [rule("shop.example", "/", shop)], certificates: [], ...http },
    ...more,
  });
const authority = await createAuthority("test", systemClock);
const pairOf = async (name: string) => {
  const { cert, key } = await issueServer(authority, { name, hosts: [name] }, systemClock);
  return { name, hosts: [name], pair: { certificate: cert, key } };
};
const last = (url: unknown) => String(url).split("/").at(-1) ?? "";

describe("Application Load Balancers", () => {
  let at: GceApi;
  const kinds = () => at.kinds();
  const make = (desired: Exposure, more?: object) => settle(() => converge(at.provider(more), desired, signal));
  const found = async (kind: string) =>
    Object.entries(await at.things())
      .filter(([path]) => path.includes(`/${kind}/`))
      .map(([, one]) => one);
  const everything = [
    "global/firewalls",
    "regions/r1/addresses",
    "regions/r1/backendServices",
    "regions/r1/backendServices",
    "regions/r1/forwardingRules",
    "regions/r1/healthChecks",
    "regions/r1/targetHttpProxies",
    "regions/r1/urlMaps",
    "zones/z1/networkEndpointGroups",
    "zones/z2/networkEndpointGroups",
  ];

  beforeEach(async () => {
    at = await openGceApi();
  });
  afterEach(() => at.close());

  test("the contract is kept, cut off after every step", { timeout: 300_000 }, async () => {
    const create = () => Promise.resolve(at.provider());
    await at.gce.mode({ delay: 0 });
    const results = await runContract({ create, of: "Ingresses", sleep: (ms) => sleep(Math.min(ms, 20)), signal });
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
    expect(results.length).toBeGreaterThan(10);
    expect(await kinds()).toEqual([]);
  });

  test.each(["INTERNAL", "EXTERNAL"])("%s: all parts are there, and a second look writes nothing", async (scheme) => {
    const { addresses } = await make(ingress(), { scheme });
    expect(addresses).toEqual([{ ip: scheme === "INTERNAL" ? "10.240.9.10" : "203.0.113.10" }]);
    expect(await kinds()).toEqual(everything);
    expect(await found("forwardingRules")).toMatchObject([
      { loadBalancingScheme: `${scheme}_MANAGED`, portRange: "80-80", IPProtocol: "TCP" },
    ]);
    expect(await found("firewalls")).toMatchObject([
      {
        sourceRanges: ["10.129.0.0/23", "130.211.0.0/22", "35.191.0.0/16"],
        allowed: [{ IPProtocol: "tcp", ports: ["30001"] }],
        targetTags: ["nodes"],
      },
    ]);
    const { endpoints, writes } = await at.gce.state();
    expect(Object.values(endpoints).flat()).toEqual([
      { instance: "node-1", ipAddress: "10.240.0.1", port: 30_001 },
      { instance: "node-4", ipAddress: "10.240.0.4", port: 30_001 },
    ]);
    expect(await converge(at.provider({ scheme }), ingress(), signal)).toMatchObject({ state: "done", steps: 0 });
    expect((await at.gce.state()).writes).toBe(writes);
    expect(await at.provider({ scheme }).list("lab", signal)).toEqual([ingress().key]);
    await settle(() => remove(at.provider({ scheme }), ingress().key, signal));
    expect(await kinds()).toEqual([]);
  });

  test("hosts and paths: what counts first in an Ingress counts first there", async () => {
    await make(
      ingress({
        rules: [
          rule("a.example", "/shop/exact", blog, "Exact"),
          rule("a.example", "/shop", shop),
          rule("*.example", "/shop/kept", blog),
          rule("*.example", "/wild", shop),
          rule("", "/", blog),
        ],
      }),
    );
    const [map] = (await found("urlMaps")) as [
      {
        hostRules: { hosts: string[]; pathMatcher: string }[];
        pathMatchers: { name: string; pathRules: { paths: string[]; service: string }[] }[];
        defaultRouteAction: object;
      },
    ];
    const names = new Map(
      ((await found("backendServices")) as { name: string; backends: { group: string }[] }[]).map((one) => [
        one.name,
        one,
      ]),
    );
    const { endpoints } = await at.gce.state();
    const portOf = (service: string) =>
      Object.entries(endpoints).find(([path]) => last(path) === last(service) && names.has(last(service)))?.[1][0]
        ?.port;
    const led = Object.fromEntries(
      map.hostRules.map(({ hosts, pathMatcher }) => {
        const rules = map.pathMatchers.find(({ name }) => name === pathMatcher)?.pathRules ?? [];
        return [
          hosts.join(),
          Object.fromEntries(rules.flatMap(({ paths, service }) => paths.map((path) => [path, portOf(service)]))),
        ];
      }),
    );
    expect(led).toEqual({
      // What is under /shop is the host's own, whatever wider hosts say; elsewhere they count.
      "a.example": {
        "/shop/exact": 30_002,
        "/shop": 30_001,
        "/shop/*": 30_001,
        "/wild": 30_001,
        "/wild/*": 30_001,
        "/*": 30_002,
      },
      "*.example": {
        "/shop/kept": 30_002,
        "/shop/kept/*": 30_002,
        "/wild": 30_001,
        "/wild/*": 30_001,
        "/*": 30_002,
      },
      "*": { "/*": 30_002 },
    });
    expect(map.defaultRouteAction).toEqual({ faultInjectionPolicy: { abort: { httpStatus: 404, percentage: 100 } } });
  });

  test("rules, backends, machines and TLS change; the address stays, and nothing is left over", async () => {
    const first = await make(ingress());
    const [one, two] = [await pairOf("one.example"), await pairOf("two.example")];
    const tls = ingress({ rules: [rule("shop.example", "/", blog)], fallback: shop, certificates: [one, two] });
    await at.gce.mode({ conflict: 1 });
    const second = await make({ ...tls, targets: [machine("node-2", "z1", "10.240.0.2")] });
    expect(second.addresses).toEqual(first.addresses);
    expect((await found("forwardingRules")).map(({ portRange }) => portRange).sort()).toEqual(["443-443", "80-80"]);
    expect(await found("sslCertificates")).toHaveLength(2);
    expect(await found("backendServices")).toHaveLength(2);
    expect(await found("networkEndpointGroups")).toHaveLength(2);
    const [proxy] = (await found("targetHttpsProxies")) as [{ sslCertificates: string[] }];
    expect(proxy.sslCertificates).toHaveLength(2);
    // A Secret that is renewed: the new certificate is served before the old one goes.
    const renewed = { ...tls, http: { ...tls.http, rules: [], certificates: [await pairOf("one.example"), two] } };
    await make(renewed);
    const [after] = (await found("targetHttpsProxies")) as [{ sslCertificates: string[] }];
    expect(last(after.sslCertificates[0])).not.toBe(last(proxy.sslCertificates[0]));
    expect(last(after.sslCertificates[1])).toBe(last(proxy.sslCertificates[1]));
    expect(await found("sslCertificates")).toHaveLength(2);
    const only = { ...renewed, annotations: { "kubernetes.io/ingress.allow-http": "false" } };
    expect((await make(only)).addresses).toEqual(first.addresses);
    expect((await found("forwardingRules")).map(({ portRange }) => portRange)).toEqual(["443-443"]);
    await make(ingress());
    expect(await kinds()).toEqual(everything);
  });

  test.each(faults)("%s: it ends as it should, with nothing twice and nothing left", async (fault, times, reason) => {
    await at.gce.mode({ [fault]: times });
    const made = await make(ingress());
    if (reason) expect(made.reasons).toContain(reason);
    expect(await kinds()).toEqual(everything);
    await at.gce.mode({ [fault]: times });
    await settle(() => remove(at.provider(), ingress().key, signal));
    expect(await kinds()).toEqual([]);
  });

  test("what a hand has changed is put right; a Service and other clusters beside it stay", async () => {
    const tls = ingress({ certificates: [await pairOf("one.example")] });
    await make(tls);
    const service = exposure({ targets: tls.targets });
    await make(service);
    await make({ ...tls, key: { ...tls.key, cluster: "other" } });
    const before = await kinds();
    const { name } = (await found("urlMaps"))[0] as { name: string };
    const token = at.gce.token();
    const hand = async (method: string, path: string, body?: object) => {
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      const url = `${at.gce.url}/compute/v1/projects/lab-project/${path}`;
      const answer = await fetch(url, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
      expect(await answer.text()).toContain("operation");
      await sleep(50);
    };
    await hand("DELETE", `regions/r1/forwardingRules/${name}-80`);
    await hand("DELETE", `regions/r1/targetHttpProxies/${name}-80`);
    await hand("PATCH", `global/firewalls/${name}`, { name, allowed: [{ IPProtocol: "tcp", ports: ["22"] }] });
    const [map] = (await found("urlMaps")) as [{ defaultService: string; fingerprint: string }];
    const { defaultService, fingerprint } = map;
    await hand("PUT", `regions/r1/urlMaps/${name}`, {
      name,
      description: "none",
      defaultService,
      fingerprint,
    });
    // Its description is gone with it: it is somebody else's now, and says so.
    const refused = await converge(at.provider(), tls, signal);
    expect(refused).toMatchObject({ state: "failed", reason: "Refused", message: /urlMap .* is not marked/ });
    const again = (await found("urlMaps"))[0] as { fingerprint: string };
    const [mine] = (await found("backendServices")) as [{ description: string }];
    await hand("PUT", `regions/r1/urlMaps/${name}`, {
      name,
      description: mine.description,
      defaultService,
      fingerprint: again.fingerprint,
    });
    await make(tls);
    expect(await kinds()).toEqual(before);
    expect((await found("firewalls")).find((one) => one["name"] === name)).toMatchObject({
      allowed: [{ ports: ["30001"] }],
    });
    await settle(() => remove(at.provider(), tls.key, signal));
    expect((await at.provider().list("lab", signal)).map(({ uid }) => uid)).toEqual([service.key.uid]);
    expect(await found("urlMaps")).toHaveLength(1);
  });

  test("what cannot be is refused with its reason, and no key is in it", async () => {
    const refused = async (desired: Exposure, words: RegExp, more?: object) => {
      const result = await converge(at.provider(more), desired, signal);
      expect(result).toMatchObject({ state: "failed", reason: "Refused", message: words });
      return result;
    };
    await refused(ingress({ rules: [rule("", "/", backend("x", undefined))] }), /ns\/x has no node port/);
    await refused(ingress({ rules: [rule("", "/a*", shop)] }), /the path \/a\* has \*/);
    await refused(ingress(), /config.proxyRanges is missing/, { proxyRanges: [] });
    const annotations = { "kubernetes.io/ingress.allow-http": "false" };
    await refused(ingress({}, { annotations }), /false needs spec.tls/);
    const certificates = Array.from({ length: 16 }, (_, i) => ({ name: `c${i}`, hosts: [] }));
    await refused(ingress({ certificates }), /16 certificates, Google Cloud takes 15/);
    expect(await kinds()).toEqual([]);
    const [one, two] = [await pairOf("one.example"), await pairOf("two.example")];
    const mixed = { ...one, pair: { certificate: one.pair.certificate, key: two.pair.key } };
    const wrong = await refused(ingress({ certificates: [mixed] }), /certificate and key do not match: \*\*\*/);
    expect(JSON.stringify(wrong)).not.toContain(two.pair.key.split("\n")[2]);
    await settle(() => remove(at.provider(), ingress().key, signal));
    expect(await kinds()).toEqual([]);
    // A certificate without a Secret is one that is there under this name.
    const absent = await converge(at.provider(), ingress({ certificates: [{ name: "shared", hosts: [] }] }), signal);
    expect(absent).toMatchObject({ state: "failed", message: /sslCertificates\/shared/ });
  });
});
