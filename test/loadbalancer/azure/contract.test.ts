import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createProvider } from "../../../src/loadbalancer/azure/index.ts";
import { converge, remove, runContract, type Exposure } from "../../../src/loadbalancer/provider/index.ts";
import { exposure as service, settle } from "../../support/exposures.ts";
import { client, federated, secret, startAzure, subscription, tenant, type Azure } from "./server.mjs";

// The provider against Azure's API alone, each body held against Microsoft's models; azure.test.ts has the way from a Service to a pod.
const { signal } = new AbortController();
const internal = { "service.beta.kubernetes.io/azure-load-balancer-internal": "true" };

describe("Azure's API", () => {
  let folder = "";
  let azure: Azure;

  const provider = (more: object = {}) =>
    createProvider({
      subscription,
      resourceGroup: "lab",
      location: "lab",
      virtualNetwork: "net",
      subnet: "nodes",
      securityGroup: "nodes",
      tenant,
      clientId: client,
      clientSecret: secret,
      authority: azure.url,
      metadataUrl: azure.url,
      endpoint: azure.url,
      pollMs: 10,
      timeoutMs: 30_000,
      ...more,
    });
  const found = async (kind: string) => {
    const { things, invalid } = await azure.state();
    expect(invalid).toEqual([]);
    return things.filter(({ id }) => id.split("/").at(-2) === kind);
  };
  const count = async () => [
    (await found("loadBalancers")).length,
    (await found("publicIPAddresses")).length,
    (await found("securityRules")).length,
  ];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fairlead-azure-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  beforeEach(async () => {
    azure = await startAzure(0);
  });
  afterEach(() => azure.close());

  test.each([
    ["public", {}],
    ["internal, to node ports", { internal: true, floatingIp: false }],
  ])("the contract is kept, cut off after every step: %s", async (_, more) => {
    const create = () => Promise.resolve(provider(more));
    const results = await runContract({ create, sleep: (ms) => sleep(Math.min(ms, 20)), signal });
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
    expect(await count()).toEqual([0, 0, 0]);
  });

  test("a Service is a frontend, probes, rules and who may come in; the second time nothing is written", async () => {
    const web = service({
      sessionAffinity: "ClientIP",
      healthCheckNodePort: 32_000,
      sourceRanges: ["198.51.100.0/24"],
    });
    const { addresses } = await settle(() => converge(provider(), web, signal));
    expect(addresses).toEqual([{ ip: "127.97.0.10", ipMode: "VIP" }]);
    expect(await found("loadBalancers")).toMatchObject([
      {
        name: "fairlead-lab",
        properties: {
          frontendIPConfigurations: [{}],
          backendAddressPools: [
            { properties: { loadBalancerBackendAddresses: [{ properties: { ipAddress: "10.0.0.1" } }, {}] } },
          ],
          loadBalancingRules: [
            { properties: { protocol: "Tcp", frontendPort: 80, backendPort: 80, enableFloatingIP: true } },
            { properties: { protocol: "Udp", frontendPort: 53, loadDistribution: "SourceIP" } },
          ],
          probes: [{ properties: { protocol: "Http", port: 32_000, requestPath: "/healthz" } }],
        },
      },
    ]);
    const rules = (await found("securityRules")).map(({ properties }) => properties);
    expect(rules).toMatchObject([
      { access: "Allow", protocol: "Tcp", priority: 500, destinationAddressPrefixes: ["127.97.0.10"] },
      { access: "Deny", protocol: "Tcp", priority: 2_500, destinationPortRanges: ["80"] },
      { access: "Allow", protocol: "Udp", sourceAddressPrefixes: ["168.63.129.16/32", "198.51.100.0/24"] },
      { access: "Deny", protocol: "Udp", sourceAddressPrefix: "*" },
    ]);
    const { writes } = await azure.state();
    expect(await converge(provider(), web, signal)).toMatchObject({ state: "done", steps: 0 });
    expect((await azure.state()).writes).toBe(writes);
  });

  test("many Services at once share one load balancer, whose document nobody overwrites for another", async () => {
    const one = provider();
    const all = Array.from({ length: 8 }, (_, i) =>
      service({
        key: { ...service().key, name: `web-${i}`, uid: `u-${i}` },
        ...(i % 2 === 0 ? { annotations: internal } : {}),
      }),
    );
    // Another process does the same to half of them.
    const other = provider();
    await Promise.all(all.map((each, i) => settle(() => converge(i < 4 ? one : other, each, signal))));
    expect(await count()).toEqual([2, 4, 8]);
    expect((await one.list("lab", signal)).map(({ name }) => name).sort()).toEqual(all.map(({ key }) => key.name));
    await Promise.all(all.map((each, i) => settle(() => remove(i < 4 ? other : one, each.key, signal))));
    expect(await count()).toEqual([0, 0, 0]);
  });

  test("what somebody else has in the load balancer stays, and so does the load balancer", async () => {
    await settle(() => converge(provider(), service(), signal));
    await azure.addForeign();
    const changed = service({ ports: service().ports.slice(0, 1), targets: service().targets.slice(1) });
    // Whoever else changes it makes the ETag old: it is read anew, at once.
    await azure.mode({ conflict: 1 });
    const first = await settle(() => converge(provider(), changed, signal));
    expect(first.addresses).toEqual([{ ip: "127.97.0.10", ipMode: "VIP" }]);
    expect(first.reasons).toEqual([]);
    // Again and again: the core is told, and tries later.
    await azure.mode({ conflict: 9 });
    const again = await settle(() => converge(provider(), service(), signal));
    expect(again.reasons).toContain("Conflict");
    await azure.mode({ conflict: 0 });
    await settle(() => remove(provider(), changed.key, signal));
    expect(await count()).toEqual([1, 0, 0]);
    expect((await found("loadBalancers"))[0]?.properties["probes"]).toMatchObject([{ name: "foreign" }]);
  });

  test.each<[string, string, (string | number)[] | undefined, unknown]>([
    ["no rule is left", "loadBalancers", ["loadBalancingRules"], []],
    ["another port is probed", "loadBalancers", ["probes", 0, "properties", "port"], 9],
    [
      "no node is behind it",
      "loadBalancers",
      ["backendAddressPools", 0, "properties", "loadBalancerBackendAddresses"],
      [],
    ],
    [
      "clients are led by another rule",
      "loadBalancers",
      ["loadBalancingRules", 0, "properties", "loadDistribution"],
      "SourceIP",
    ],
    ["others are let in", "securityRules", ["access"], "Allow"],
    ["the rules for clients are gone", "securityRules", undefined, undefined],
    ["the load balancer is gone", "loadBalancers", undefined, undefined],
  ])("somebody else has changed it: %s; it is put right, and then left alone", async (_, kind, at, value) => {
    const web = service({ healthCheckNodePort: 32_000, sourceRanges: ["198.51.100.0/24"] });
    await settle(() => converge(provider(), web, signal));
    // What Azure chooses anew each time is not compared.
    const chosen = new Set(["etag", "resourceGuid"]);
    const all = async () => {
      const things = [...(await found("loadBalancers")), ...(await found("securityRules"))];
      const text = JSON.stringify(things, (name, one: unknown) => (chosen.has(name) ? undefined : one));
      return JSON.parse(text) as unknown;
    };
    const wanted = await all();
    await azure.change(kind, at, value);
    expect(await all()).not.toEqual(wanted);
    const { addresses } = await settle(() => converge(provider(), web, signal));
    expect(addresses).toEqual([{ ip: "127.97.0.10", ipMode: "VIP" }]);
    expect(await all()).toEqual(wanted);
    expect(await converge(provider(), web, signal)).toMatchObject({ state: "done", steps: 0 });
  });

  test.each([
    ["busy", 3, "Unavailable"],
    ["throttle", 3, "Throttled"],
    ["fail", 2, "Unavailable"],
    ["quota", 2, "Quota"],
    ["lose", 3, "Unavailable"],
    ["hang", 2, ""],
    ["byLocation", 9, ""],
  ])("%s: it ends as it should, with nothing twice and nothing left", async (fault, times, reason) => {
    await azure.mode({ [fault]: times });
    const made = await settle(() => converge(provider(), service(), signal));
    if (reason) expect(made.reasons).toContain(reason);
    expect(await count()).toEqual([1, 1, 2]);
    await azure.mode({ [fault]: times });
    await settle(() => remove(provider(), service().key, signal));
    expect(await count()).toEqual([0, 0, 0]);
  });

  test("who calls: a secret, a federated token, the machine; a token that ends is replaced; no secret in a message", async () => {
    const one = provider();
    await settle(() => converge(one, service(), signal));
    await azure.mode({ revoke: true });
    expect(await converge(one, service(), signal)).toMatchObject({ state: "done", steps: 0 });
    const file = join(folder, "token");
    await writeFile(file, `${federated}\n`);
    for (const more of [
      { clientSecret: undefined, federatedTokenFile: file },
      { clientSecret: undefined, tenant: undefined },
    ]) {
      expect(await converge(provider(more), service(), signal)).toMatchObject({ state: "done", steps: 0 });
    }
    const wrong = await converge(provider({ clientSecret: "not-the-right-one" }), service(), signal);
    expect(wrong).toMatchObject({ state: "failed", reason: "Credentials" });
    expect(JSON.stringify(wrong)).not.toContain("not-the-right-one");
    const missing = await converge(
      provider({ clientSecret: undefined, federatedTokenFile: "/nowhere" }),
      service(),
      signal,
    );
    expect(missing).toMatchObject({ state: "failed", reason: "Credentials" });
  });

  test("an address that is asked for; what cannot be is refused, and nothing is made", async () => {
    const asked = service({ annotations: internal, requestedAddress: "127.97.1.200" });
    expect((await settle(() => converge(provider(), asked, signal))).addresses).toEqual([
      { ip: "127.97.1.200", ipMode: "VIP" },
    ]);
    const refused = async (desired: Exposure, words: RegExp, more: object = {}) => {
      const result = await converge(provider(more), desired, signal);
      expect(result).toMatchObject({ state: "failed", reason: "Refused" });
      expect("message" in result ? result.message : "").toMatch(words);
    };
    await refused({ ...asked, requestedAddress: "127.97.1.201" }, /make the Service anew/);
    await refused(service(), /is internal, which cannot be changed/);
    const other = { ...asked.key, uid: "u-2" };
    await refused(service({ key: other, requestedAddress: "192.0.2.1" }), /chooses public addresses itself/);
    const annotated = (name: string, value: string) =>
      service({ key: other, annotations: { [`service.beta.kubernetes.io/azure-load-balancer-${name}`]: value } });
    await refused(annotated("internal", "yes"), /true or false is needed, not "yes"/);
    await refused(annotated("tcp-idle-timeout", "101"), /from 4 to 100/);
    await refused(annotated("tcp-idle-timeout", "0x5"), /from 4 to 100/);
    await refused(service({ key: other, annotations: { ...internal } }), /no name of a subnet/, { subnet: "../x" });
    await refused(service({ key: other }), /there is no elsewhere/, { securityGroup: "elsewhere" });
    await refused(service({ key: other }), /ResourceGroupNotFound/, { resourceGroup: "elsewhere", securityGroup: "" });
    expect(await count()).toEqual([1, 0, 0]);
    expect(() => provider({ resourceGroup: "a/../b" })).toThrow(/resourceGroup: a name is needed/);
    expect(() => provider({ colour: "blue" })).toThrow(/colour is unknown/);
  });
});
