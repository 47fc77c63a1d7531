import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { converge, remove, runContract, type Exposure } from "../../../src/loadbalancer/provider/index.ts";
import { selfSigned } from "../../../src/dataplane/self-signed.ts";
import { createProvider } from "../../../src/loadbalancer/rancher/index.ts";
import { accessKey, createRancher, secretKey, type Rancher } from "./server.mjs";

// The provider against Rancher's API alone; rancher.test.ts has the way from an Ingress to a pod.
const uid = "11111111-2222-4333-8444-0000000000aa";
const backend = { namespace: "contract", service: "web", uid, port: 80, targetPort: 8080, endpoints: [] };
const exposure = (more: Partial<Exposure> = {}): Exposure => ({
  key: { cluster: "lab", namespace: "contract", name: "web", uid: "u-1" },
  families: ["IPv4"],
  ports: [{ name: "http", protocol: "TCP", port: 80 }],
  targets: [],
  sourceRanges: [],
  sessionAffinity: "None",
  annotations: {},
  http: {
    rules: [
      { host: "foo.example", path: "/foo", match: "Prefix", backend },
      { host: "foo.example", path: "/", match: "Prefix", backend },
      { host: "", path: "/all", match: "Prefix", backend },
    ],
    certificates: [],
  },
  ...more,
});

describe.each(["v2-beta", "v1"] as const)("Rancher %s", (version) => {
  let rancher: Rancher;
  let url = "";
  const { signal } = new AbortController();

  beforeEach(async () => {
    rancher = createRancher();
    Object.assign(rancher.mode, { versions: [version], delay: 5 });
    rancher.mirror([{ namespace: "contract", name: "web", uid, addresses: ["10.0.0.1"] }]);
    rancher.server.listen(0, "127.0.0.1");
    await once(rancher.server, "listening");
    url = `http://127.0.0.1:${(rancher.server.address() as AddressInfo).port}/v1/projects/1a5`;
  });
  afterEach(() => rancher.close());

  const provider = () => createProvider({ url, accessKey, secretKey, pollMs: 10, timeoutMs: 30_000 });
  const settle = async (work: () => ReturnType<typeof converge>) => {
    const reasons: string[] = [];
    for (let tries = 0; tries < 300; tries++) {
      const result = await work();
      if (result.state === "done") return { ...result, reasons };
      if (result.state === "failed") reasons.push(`${result.reason}: ${result.message}`);
      await sleep(result.again ?? 10);
    }
    throw new Error(`it does not come to rest: ${reasons.join("; ")}`);
  };
  const make = (desired: Exposure) => settle(() => converge(provider(), desired, signal));

  test("keeps the contract, cut off after every step", { timeout: 120_000 }, async () => {
    const create = () => Promise.resolve(provider());
    const results = await runContract({ create, sleep: (ms) => sleep(ms), signal });
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
    const { balancers, invalid } = rancher.state();
    expect({ balancers, invalid }).toEqual({ balancers: [], invalid: [] });
  });

  test("the same Ingress is what this version calls it", async () => {
    const { addresses } = await make(exposure());
    expect(addresses).toEqual([{ ip: "127.98.0.1", ipMode: "Proxy" }]);
    const { balancers, services, invalid } = rancher.state();
    expect(invalid).toEqual([]);
    const [balancer] = balancers;
    const [serviceId = ""] = Object.keys(services);
    expect(balancer?.name).toBe("contract-rancherlb-web");
    if (version === "v1") {
      expect(balancer?.links).toEqual([
        { serviceId, ports: ["foo.example/foo=8080", "foo.example=8080", "/all=8080"] },
      ]);
    } else {
      const rule = { sourcePort: 80, protocol: "http", targetPort: 8080, serviceId };
      expect(balancer?.body.lbConfig?.["portRules"]).toEqual([
        { ...rule, hostname: "foo.example", path: "/foo", priority: 1 },
        { ...rule, hostname: "foo.example", path: "", priority: 2 },
        { ...rule, hostname: "", path: "/all", priority: 3 },
      ]);
    }
    const writes = rancher.state().log.length;
    await make(exposure());
    expect(rancher.state().log).toHaveLength(writes);
  });

  /** What Rancher's own pages make of the API's answers for each load balancer of its stack: its models loadbalancerservice.js and portrule.js. */
  async function pages() {
    const base = `${new URL(url).origin}/${version}/projects/1a5`;
    const headers = { authorization: `Basic ${Buffer.from(`${accessKey}:${secretKey}`).toString("base64")}` };
    const get = async (path: string) => (await (await fetch(`${base}/${path}`, { headers })).json()) as Found;
    const list = async (path: string) => (await get(path)).data;
    const isV1 = version === "v1";
    const name = isV1 ? "kubernetes-ingress-controllers" : "kubernetes-ingress-lbs";
    const [stack] = await list(`${isV1 ? "environments" : "stacks"}?name=${name}`);
    const found = await list(`loadbalancerservices?${isV1 ? "environmentId" : "stackId"}=${stack?.id}`);
    const shown = [];
    for (const one of found) {
      const rules = one.lbConfig?.portRules ?? [];
      const secure = isV1
        ? (one.launchConfig.labels["io.rancher.loadbalancer.ssl.ports"] ?? "").split(",").map(Number)
        : rules.filter(({ protocol }) => ["tls", "https", "sni"].includes(protocol)).map((rule) => rule.sourcePort);
      const links = one.launchConfig.ports.flatMap((spec) => {
        const port = Number(spec.split(":")[0]);
        const at = one.publicEndpoints.find((point) => point.port === port);
        return at ? [`${secure.includes(port) ? "https" : "http"}://${at.ipAddress}:${port}`] : [];
      });
      const ids = isV1
        ? (await list(`serviceconsumemaps?serviceId=${one.id}`)).map(({ consumedServiceId }) => consumedServiceId)
        : rules.map(({ serviceId }) => serviceId);
      const to = await Promise.all([...new Set(ids)].map(async (id) => (await get(`kubernetesservices/${id}`)).name));
      const first = isV1 ? one.defaultCertificateId : one.lbConfig?.defaultCertificateId;
      const certificate = first ? (await get(`certificates/${first}`)).name : undefined;
      shown.push({ name: one.name, state: one.state, description: one.description, links, to, certificate });
    }
    return shown;
  }
  interface Found {
    readonly data: readonly Found[];
    readonly id: string;
    readonly name: string;
    readonly state: string;
    readonly description?: string;
    readonly consumedServiceId: string;
    readonly defaultCertificateId?: string;
    readonly launchConfig: { readonly ports: readonly string[]; readonly labels: Readonly<Record<string, string>> };
    readonly publicEndpoints: readonly { readonly ipAddress: string; readonly port: number }[];
    readonly lbConfig?: {
      readonly defaultCertificateId?: string;
      readonly portRules?: readonly {
        readonly sourcePort: number;
        readonly protocol: string;
        readonly serviceId: string;
      }[];
    };
  }

  test("Rancher's own pages show it: in its stack, with ports that lead there, Services, certificate and what it is for", async () => {
    const { http } = exposure();
    const pair = selfSigned(Date.now(), ["foo.example"]);
    await make(
      exposure({ http: { rules: http?.rules ?? [], certificates: [{ name: "tls", hosts: ["foo.example"], pair }] } }),
    );
    expect(await pages()).toEqual([
      {
        name: "contract-rancherlb-web",
        state: "active",
        description: "Ingress contract/web of the cluster lab",
        links: ["http://127.98.0.1:80", "https://127.98.0.1:443"],
        to: ["web"],
        certificate: expect.stringMatching(/^contract-rancherlb-web-[0-9a-f]{8}-tls$/) as string,
      },
    ]);
    expect(rancher.state().invalid).toEqual([]);
  });

  test("what Rancher repeats of a certificate's key is told to nobody", async () => {
    rancher.mode["echo"] = true;
    const pair = selfSigned(Date.now(), ["foo.example"]);
    const certificates = [{ name: "tls", hosts: ["foo.example"], pair }];
    const wanted = exposure({ http: { rules: exposure().http?.rules ?? [], certificates } });
    let message = "";
    for (let tries = 0; tries < 300 && !message.includes("InvalidFormat"); tries++) {
      const result = await converge(provider(), wanted, signal);
      message = "message" in result ? result.message : "";
      await sleep(10);
    }
    expect(message).toMatch(/InvalidFormat/);
    for (const line of pair.key.split("\n").filter((one) => one.length > 15 && !one.startsWith("-----")))
      expect(message).not.toContain(line);
  });

  test("a certificate that changes is uploaded again, once, and goes with the last that needs it", async () => {
    const { rules = [] } = exposure().http ?? {};
    const withPair = (pair: { certificate: string; key: string }) =>
      exposure({ http: { rules, certificates: [{ name: "tls", hosts: ["foo.example"], pair }] } });
    const [first, second] = [selfSigned(Date.now(), ["foo.example"]), selfSigned(Date.now(), ["foo.example"])];
    await make(withPair(first));
    const uploads = () => rancher.state().log.filter((line) => /^(?:create|update) certificates/.test(line)).length;
    expect([uploads(), rancher.state().certificates.length]).toEqual([1, 1]);
    await make(withPair(second));
    await make(withPair(second));
    expect([uploads(), rancher.state().certificates.length]).toEqual([2, 1]);
    await make(exposure());
    expect(rancher.state()).toMatchObject({ certificates: [], invalid: [] });
  });

  test("a port that Rancher keeps for itself is refused before anything is made", async () => {
    const result = await converge(provider(), exposure({ annotations: { "http.port": "42" } }), signal);
    expect(result).toMatchObject({
      state: "failed",
      reason: "Refused",
      message: expect.stringContaining("42") as string,
    });
    expect(rancher.state()).toMatchObject({ balancers: [], log: [] });
  });

  test("annotations of lb-controller: ports, scale, scheduling, stickiness", async () => {
    const annotations = {
      "http.port": "99",
      scale: "2",
      "io.rancher.scheduler.affinity.host_label": "edge=yes",
      "io.rancher.stickiness.policy": "name: test\ncookie: SID\nindirect: true",
    };
    await make(exposure({ annotations }));
    const body = rancher.state().balancers[0]?.body;
    expect(body).toMatchObject({
      scale: 2,
      launchConfig: { ports: ["99:99"], labels: { "io.rancher.scheduler.affinity:host_label": "edge=yes" } },
    });
    const policy = { name: "test", cookie: "SID", indirect: true, mode: "insert" };
    expect(body).toMatchObject(
      version === "v1"
        ? { loadBalancerConfig: { lbCookieStickinessPolicy: policy } }
        : { lbConfig: { stickinessPolicy: policy } },
    );
    await make(exposure({ annotations: { ...annotations, "http.port": "98" } }));
    expect(rancher.state().balancers.map((one) => one.body["launchConfig"])).toMatchObject([{ ports: ["98:98"] }]);
    expect(rancher.state().invalid).toEqual([]);
  });

  test("what somebody else has changed is put right, and then left alone", async () => {
    const wanted = exposure({
      annotations: { scale: "2", "io.rancher.stickiness.policy": "cookie: SID\nmode: insert" },
    });
    await make(wanted);
    const now = () => structuredClone(rancher.state().balancers[0]);
    const before = now();
    const body = () => rancher.state().balancers[0]?.body ?? {};
    const links = () => rancher.state().balancers[0]?.links as unknown[];
    const lb = () => (version === "v1" ? body()["loadBalancerConfig"] : body().lbConfig) as Record<string, unknown>;
    const drifts: (() => unknown)[] = [
      () => (body()["scale"] = 1),
      () => delete lb()[version === "v1" ? "lbCookieStickinessPolicy" : "stickinessPolicy"],
      () => (version === "v1" ? links().splice(0) : (lb()["portRules"] = [])),
      () => (body()["launchConfig"] = { ports: ["81:81"] }),
    ];
    for (const drift of drifts) {
      drift();
      expect(now()).not.toEqual(before);
      await make(wanted);
      expect(now()).toEqual(before);
      const writes = rancher.state().log.length;
      await make(wanted);
      expect(rancher.state().log).toHaveLength(writes);
    }
    expect(rancher.state().invalid).toEqual([]);
  });

  test("what it was busy with, lost and failed at ends as it should, once", async () => {
    Object.assign(rancher.mode, { lose: 2, busy: 2, fail: 1 });
    const { reasons } = await make(exposure());
    expect(reasons.join("\n")).toMatch(/Timeout getting agent/);
    expect(rancher.state().balancers).toHaveLength(1);
    await settle(() => remove(provider(), exposure().key, signal));
    expect(rancher.state().balancers).toEqual([]);
  });

  test("a load balancer that lb-controller has made is taken over, one of someone else is left alone", async () => {
    const theirs = { ...exposure().key, uid: "u-2", cluster: "other" };
    await make(exposure({ key: theirs }));
    const result = await converge(provider(), exposure(), signal);
    expect(result).toMatchObject({
      state: "failed",
      reason: "Refused",
      message: expect.stringContaining("of other") as string,
    });
    const [balancer] = rancher.state().balancers;
    // Its metadata is gone, its name and external id are lb-controller's.
    Object.assign(balancer?.body ?? {}, { metadata: undefined });
    await make(exposure());
    expect(rancher.state().balancers).toMatchObject([
      { name: "contract-rancherlb-web", body: { metadata: { fairlead: { uid: "u-1" } } } },
    ]);
  });

  test("and one that the first lb-controllers have made, under the name that they gave it", async () => {
    await make(exposure());
    const [balancer] = rancher.state().balancers;
    const former = {
      name: "contract-web",
      externalId: String(balancer?.body["externalId"]).replace("-rancherlb-", "-"),
    };
    rancher.rename("contract-rancherlb-web", former);
    await make(exposure());
    expect(rancher.state().balancers).toMatchObject([
      { name: "contract-web", body: { metadata: { fairlead: { uid: "u-1" } } } },
    ]);
    await settle(() => remove(provider(), exposure().key, signal));
    expect(rancher.state().balancers).toEqual([]);
  });

  test("a Service that Rancher does not know yet is waited for", async () => {
    const unknown = { ...backend, service: "late", uid: "late-uid" };
    const late = exposure({
      http: { rules: [{ host: "", path: "/", match: "Prefix", backend: unknown }], certificates: [] },
    });
    let found = "";
    for (let tries = 0; tries < 100 && !found.includes("does not know"); tries++) {
      const result = await converge(provider(), late, signal);
      found = "message" in result ? result.message : "";
      await sleep(10);
    }
    expect(found).toMatch(/does not know Service contract\/late yet/);
    rancher.mirror([{ namespace: "contract", name: "late", uid: "late-uid", addresses: [] }]);
    await make(late);
  });

  test("a change is pushed", async () => {
    const one = provider();
    await make(exposure());
    const stop = new AbortController();
    const keys: (string | undefined)[] = [];
    const watching = one.watch?.("lab", (key) => keys.push(key?.uid), stop.signal);
    while (keys.length === 0) await sleep(10);
    rancher.move("127.98.0.2");
    while (keys.length === 1) await sleep(10);
    expect(keys).toEqual([undefined, "u-1"]);
    stop.abort();
    await watching;
    const { addresses } = await make(exposure());
    expect(addresses).toEqual([{ ip: "127.98.0.2", ipMode: "Proxy" }]);
  });
});
