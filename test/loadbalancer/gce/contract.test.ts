import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { converge, remove, runContract, withRenewal, type Exposure } from "../../../src/loadbalancer/provider/index.ts";
import { silentLogger, systemClock } from "../../../src/system/index.ts";
import { exposure, settle } from "../../support/exposures.ts";
import { faults, machine, openGceApi, type GceApi } from "./api.ts";

// The provider against Compute Engine's API alone, each request held against Google's discovery document; gce.test.ts has the way to a pod.
// PROVIDERS=full holds load balancers of both schemes against the contract.
const isFull = process.env["PROVIDERS"] === "full";
const { signal } = new AbortController();
const service = (more: Partial<Exposure> = {}): Exposure =>
  exposure({
    ports: [
      { name: "http", protocol: "TCP", port: 80 },
      { name: "dns", protocol: "UDP", port: 53 },
    ],
    targets: [machine("node-1", "z1", "10.240.0.1"), machine("node-4", "z2", "10.240.0.4")],
    ...more,
  });

describe("Compute Engine's API", () => {
  let at: GceApi;
  let gce: GceApi["gce"];
  const provider = (more?: object) => at.provider(more);
  const kinds = () => at.kinds();
  const everything = [
    "global/firewalls",
    "global/firewalls",
    "regions/r1/addresses",
    "regions/r1/backendServices",
    "regions/r1/forwardingRules",
    "regions/r1/forwardingRules",
    "regions/r1/healthChecks",
    "zones/z1/networkEndpointGroups",
    "zones/z2/networkEndpointGroups",
  ];

  beforeEach(async () => {
    at = await openGceApi();
    ({ gce } = at);
  });
  afterEach(() => at.close());

  test.each(isFull ? ["INTERNAL", "EXTERNAL"] : ["INTERNAL"])(
    "the contract is kept, cut off after every step: %s",
    async (scheme) => {
      const create = () => Promise.resolve(provider({ scheme }));
      const results = await runContract({ create, sleep: (ms) => sleep(Math.min(ms, 20)), signal });
      expect(results.filter(({ ok }) => !ok)).toEqual([]);
      expect(await kinds()).toEqual([]);
    },
  );

  test("a Service is an address, a backend service over the zones, rules of its protocols and firewall rules", async () => {
    const web = service({
      sessionAffinity: "ClientIP",
      healthCheckNodePort: 32_000,
      sourceRanges: ["198.51.100.0/24"],
    });
    const { addresses } = await settle(() => converge(provider({ scheme: "EXTERNAL" }), web, signal));
    expect(addresses).toEqual([{ ip: "203.0.113.10", ipMode: "VIP" }]);
    expect(await kinds()).toEqual(everything);
    const { things, endpoints } = await gce.state();
    const found = (part: string) =>
      Object.entries(things)
        .filter(([path]) => path.includes(part))
        .map(([, one]) => one);
    expect(found("/backendServices/")).toMatchObject([
      { loadBalancingScheme: "EXTERNAL", protocol: "UNSPECIFIED", sessionAffinity: "CLIENT_IP", backends: [{}, {}] },
    ]);
    expect(found("/healthChecks/")).toMatchObject([{ httpHealthCheck: { port: 32_000, requestPath: "/healthz" } }]);
    expect(found("/forwardingRules/")).toMatchObject([
      { IPProtocol: "TCP", ports: ["80"], IPAddress: "203.0.113.10", networkTier: "PREMIUM" },
      { IPProtocol: "UDP", ports: ["53"], IPAddress: "203.0.113.10" },
    ]);
    expect(found("/firewalls/")).toMatchObject([
      { sourceRanges: ["198.51.100.0/24"], destinationRanges: ["203.0.113.10/32"], targetTags: ["nodes"] },
      { allowed: [{ IPProtocol: "tcp", ports: ["32000"] }] },
    ]);
    expect(
      Object.values(endpoints)
        .flat()
        .map(({ instance }) => instance),
    ).toEqual(["node-1", "node-4"]);
    const { writes } = await gce.state();
    expect(await converge(provider({ scheme: "EXTERNAL" }), web, signal)).toMatchObject({ state: "done", steps: 0 });
    expect((await gce.state()).writes).toBe(writes);
  });

  test("ports, machines, zones, affinity and ranges change; the address stays", async () => {
    const first = await settle(() => converge(provider(), service(), signal));
    const many = Array.from({ length: 7 }, (_, i) => ({ name: `p${i}`, protocol: "TCP" as const, port: 8_000 + i }));
    const changed = service({
      ports: many,
      targets: [machine("node-2", "z1", "10.240.0.2"), machine("node-3", "z1", "10.240.0.3")],
      sessionAffinity: "ClientIP",
      sourceRanges: ["192.0.2.0/24"],
      healthCheckNodePort: 32_001,
    });
    // Whoever else changes the backend service makes the fingerprint old: it is read anew.
    await gce.mode({ conflict: 1 });
    const second = await settle(() => converge(provider(), changed, signal));
    expect(second.reasons).toContain("Conflict");
    expect(second.addresses).toEqual(first.addresses);
    expect(await kinds()).toEqual(
      everything.filter(
        (kind, i) =>
          kind !== "zones/z2/networkEndpointGroups" && i !== everything.indexOf("regions/r1/forwardingRules"),
      ),
    );
    const { things, endpoints } = await gce.state();
    const rule = Object.entries(things).find(([path]) => path.includes("/forwardingRules/"))?.[1];
    expect(rule).toMatchObject({ allPorts: true, IPProtocol: "TCP" });
    expect(
      Object.values(endpoints)
        .flat()
        .map(({ instance }) => instance),
    ).toEqual(["node-2", "node-3"]);
    await settle(() => remove(provider(), changed.key, signal));
    expect(await kinds()).toEqual([]);
  });

  test.each(faults)("%s: it ends as it should, with nothing twice and nothing left", async (fault, times, reason) => {
    await gce.mode({ [fault]: times });
    const made = await settle(() => converge(provider(), service(), signal));
    if (reason) expect(made.reasons).toContain(reason);
    expect(await kinds()).toEqual(everything);
    await gce.mode({ [fault]: times });
    await settle(() => remove(provider(), service().key, signal));
    expect(await kinds()).toEqual([]);
  });

  test("a token that ends is replaced; the metadata server gives one too", async () => {
    const one = provider();
    await settle(() => converge(one, service(), signal));
    await gce.mode({ revoke: true });
    expect(await converge(one, service(), signal)).toMatchObject({ state: "done", steps: 0 });
    const metadata = provider({ credentialsFile: "", metadataUrl: gce.url });
    expect(await converge(metadata, service(), signal)).toMatchObject({ state: "done", steps: 0 });
  });

  test("what somebody has changed is put right; what somebody else has made is left alone", async () => {
    const desired = service();
    await settle(() => converge(provider(), desired, signal));
    const other = provider();
    // A different view of the machines stands for a hand that detached one.
    await settle(() => converge(other, { ...desired, targets: desired.targets.slice(0, 1) }, signal));
    await settle(() => converge(other, desired, signal));
    expect(await kinds()).toEqual(everything);
    const elsewhere = { ...desired, key: { ...desired.key, cluster: "other" } };
    await settle(() => converge(provider(), elsewhere, signal));
    expect(await provider().list("other", signal)).toEqual([elsewhere.key]);
    await settle(() => remove(provider(), elsewhere.key, signal));
    expect(await kinds()).toEqual(everything);
  });

  test("an address that is asked for; what cannot be is refused, and nothing is made", async () => {
    const asked = service({ requestedAddress: "10.240.9.77" });
    const { addresses } = await settle(() => converge(provider(), asked, signal));
    expect(addresses).toEqual([{ ip: "10.240.9.77", ipMode: "VIP" }]);
    const refused = async (desired: Exposure, words: RegExp, more: object = {}) => {
      const result = await converge(provider(more), desired, signal);
      expect(result).toMatchObject({ state: "failed", reason: "Refused" });
      expect("message" in result ? result.message : "").toMatch(words);
    };
    await refused({ ...asked, requestedAddress: "10.240.9.78" }, /make the Service anew/);
    await refused(asked, /is INTERNAL, which cannot be changed/, { scheme: "EXTERNAL" });
    const annotated = (annotations: Record<string, string>) =>
      service({ key: { ...asked.key, uid: "u-2" }, annotations });
    await refused(annotated({ "networking.gke.io/load-balancer-type": "x\ny" }), /Internal or External is needed/);
    await refused(
      annotated({ "networking.gke.io/internal-load-balancer-allow-global-access": "true" }),
      /only for internal/,
      { scheme: "EXTERNAL" },
    );
    const nowhere = service({ key: { ...asked.key, uid: "u-2" }, targets: [{ node: "a", addresses: ["10.0.0.1"] }] });
    await refused(nowhere, /spec.providerID/, { zone: undefined });
    const taken = service({ key: { ...asked.key, uid: "u-3" }, requestedAddress: "10.240.9.77" });
    // It may become free.
    const second = await converge(provider(), taken, signal);
    expect(second).toMatchObject({ state: "failed", reason: "Conflict" });
    expect("message" in second ? second.message : "").toMatch(/IP_IN_USE/);
  });

  test("keys that are no keys: an error that names the file, and no word of the key", async () => {
    await writeFile(at.credentialsFile, "{");
    expect(() => provider()).toThrow(/credentialsFile .*no JSON/);
    await at.writeKey({ type: "external_account" });
    expect(() => provider()).toThrow(/type is "external_account"/);
    await at.writeKey({ private_key: "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n" });
    const broken = await converge(provider(), service(), signal);
    expect(broken).toMatchObject({ state: "failed", reason: "Credentials" });
    expect(JSON.stringify(broken)).not.toContain("c2VjcmV0");
    await at.writeKey({ client_email: "somebody@else" });
    const create = () => Promise.resolve(provider());
    const renewed = withRenewal(await create(), { create, clock: systemClock, log: silentLogger });
    expect(await converge(provider(), service(), signal)).toMatchObject({ state: "failed", reason: "Credentials" });
    expect(await kinds()).toEqual([]);
    // A key that is put right is read anew.
    await at.writeKey();
    await settle(() => converge(renewed, service(), signal));
    expect(await kinds()).toEqual(everything);
  });
});
