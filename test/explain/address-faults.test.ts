import { setMaxListeners } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readStory } from "../../src/cli/explain.ts";
import { createHttpClient, createInformers, loadKubeconfig, type Client } from "../../src/client/index.ts";
import { resources, type Service } from "../../src/kube/index.ts";
import { createProvider } from "../../src/loadbalancer/azure/index.ts";
import {
  addressPools,
  ensureDefinitions,
  startLoadBalancer,
  startProviderController,
  type AddressPoolSpec,
} from "../../src/loadbalancer/index.ts";
import {
  createMetrics,
  freePort,
  silentLogger as log,
  systemClock as clock,
  type Component,
} from "../../src/system/index.ts";
import { startTestCluster, type TestCluster } from "../../src/testing/index.ts";
import { expectDocumented } from "../metrics/page.ts";
import { repository } from "../support/lab.ts";
import {
  client as azureClient,
  secret,
  startAzure,
  subscription,
  tenant,
  type Azure,
} from "../loadbalancer/azure/server.mjs";

// What keeps a Service from the address that it should have, each done to a real cluster with the real controllers, and named first by what
// `fairlead explain` says. What keeps an address that was given from being reached is in announcement-faults.test.ts.

const pools: Readonly<Record<string, AddressPoolSpec>> = {
  public: { addresses: ["192.0.2.64/28"] },
  one: { addresses: ["192.0.2.1"], autoAssign: false },
  kept: { addresses: ["192.0.2.2-192.0.2.3"], autoAssign: false, reservation: "Strict" },
  elsewhere: { addresses: ["192.0.2.128/28"], namespaces: ["elsewhere"] },
  gold: { addresses: ["192.0.2.144/28"], serviceSelectors: [{ matchLabels: { tier: "gold" } }] },
  nodes: { addresses: ["192.0.2.200-192.0.2.201"], autoAssign: false },
  // Shares an address with an older one, so it is not in force.
  wrong: { addresses: ["192.0.2.78-192.0.2.90"] },
};

interface Ask {
  readonly spec?: object;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Nothing is behind it. */
  readonly isEmpty?: true;
}

interface Fault extends Ask {
  readonly name: string;
  /** Code of the first finding, and what it says. */
  readonly check?: string;
  readonly says: RegExp;
}

const asks = (address: string, more: Readonly<Record<string, string>> = {}): Ask => ({
  annotations: { "fairlead.dev/address": address, ...more },
});
const takes = (pool: string): Ask => ({ annotations: { "fairlead.dev/address-pool": pool } });
const shares = (key: string) => ({ "fairlead.dev/allow-shared-address": key });

/** Those that are there before, and have what they ask for. */
const holders: Readonly<Record<string, Ask>> = {
  holder: asks("192.0.2.70"),
  sharer: asks("192.0.2.71", shares("a")),
  single: takes("one"),
  former: asks("192.0.2.2"),
};

const faults: readonly Fault[] = [
  { name: "no-such-pool", ...takes("nowhere"), says: /there is no pool "nowhere" with IPv4 addresses/ },
  { name: "pool-of-others", ...takes("elsewhere"), says: /the pool elsewhere does not serve this Service/ },
  { name: "labels-missing", ...asks("192.0.2.150"), says: /192\.0\.2\.150 is of the pool gold, which does not serve/ },
  { name: "pool-empty", ...takes("one"), says: /all IPv4 addresses of 192\.0\.2\.1 are taken/ },
  { name: "taken", ...asks("192.0.2.70"), says: /192\.0\.2\.70 is held by Service shop\/holder$/ },
  {
    name: "other-key",
    ...asks("192.0.2.71", shares("b")),
    says: /held by Service shop\/sharer; sharing needs the same key/,
  },
  {
    name: "same-port",
    ...asks("192.0.2.71", shares("a")),
    says: /held by Service shop\/sharer; sharing needs .* other ports/,
  },
  {
    name: "other-policy",
    ...asks("192.0.2.71", shares("a")),
    spec: { externalTrafficPolicy: "Local", ports: [{ port: 81 }] },
    says: /held by Service shop\/sharer; sharing needs the same key, policy/,
  },
  { name: "outside-pools", ...asks("203.0.113.7"), says: /203\.0\.113\.7 is in none of the pools/ },
  { name: "pool-not-valid", ...asks("192.0.2.85"), says: /192\.0\.2\.85 is in none of the pools/ },
  {
    name: "pool-and-address",
    ...asks("192.0.2.72", { "fairlead.dev/address-pool": "one" }),
    says: /192\.0\.2\.72 is of the pool public, but .*address-pool.* asks for another/,
  },
  { name: "kept-for-another", ...asks("192.0.2.2"), says: /192\.0\.2\.2 is kept for Service shop\/former/ },
  { name: "address-of-a-node", ...asks("192.0.2.200"), says: /192\.0\.2\.200 is an address of node node-1/ },
  { name: "no-address", ...asks("web.example.com"), says: /"web\.example\.com" is not an IP address/ },
  { name: "other-family", ...asks("2001:db8::1"), says: /2001:db8::1 is IPv6, but the Service has only IPv4/ },
  { name: "two-of-a-family", ...asks("192.0.2.73,192.0.2.74"), says: /two addresses of IPv4/ },
  { name: "dhcp", ...asks("0.0.0.0"), says: /asks for DHCP, which is not offered/ },
  { name: "class-of-others", spec: { loadBalancerClass: "acme.io/lb" }, says: /class "acme\.io\/lb" is for another/ },
  { name: "class-of-nobody", spec: { loadBalancerClass: "fairlead.dev/aws" }, says: /nobody has said why/ },
  { name: "nothing-behind", isEmpty: true, check: "no-selector-no-endpoints", says: /no selector/ },
];

describe("why a Service has not the address that it should have", () => {
  const stop = new AbortController();
  const { signal } = stop;
  setMaxListeners(0, signal);
  const parts: Component[] = [];
  let cluster: TestCluster;
  let client: Client;

  const create = async (name: string, { spec = {}, labels = {}, annotations = {}, isEmpty }: Ask): Promise<void> => {
    const namespace = "shop";
    await client.create(resources.Service, {
      metadata: { namespace, name, labels, annotations },
      spec: { type: "LoadBalancer", ports: [{ port: 80 }], ...spec },
    });
    if (isEmpty) return;
    await client.create(resources.EndpointSlice, {
      metadata: { namespace, name, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: [{ port: 8080 }],
      endpoints: [{ addresses: ["198.51.100.9"], nodeName: "node-1", conditions: { ready: true } }],
    });
  };
  const read = (name: string) => client.get(resources.Service, { namespace: "shop", name });
  async function until(name: string, isSo: (service: Service) => boolean): Promise<void> {
    for (let tries = 0; ; tries++) {
      const service = await read(name);
      if (isSo(service)) return;
      if (tries > 300) throw new Error(`Service ${name} has not come to that: ${JSON.stringify(service.status)}`);
      await clock.sleep(100);
    }
  }
  const first = async (name: string) => {
    const options = { kubeconfig: cluster.kubeconfigFile, namespace: "shop" };
    return (await readStory(`service/${name}`, options)).story.findings[0];
  };
  const hasAddress = ({ status }: Service) => (status?.loadBalancer?.ingress ?? []).length > 0;

  beforeAll(async () => {
    cluster = await startTestCluster();
    client = createHttpClient(await loadKubeconfig({ path: cluster.kubeconfigFile }));
    await ensureDefinitions(client, { clock, signal });
    await client.create(resources.Namespace, { metadata: { name: "shop" }, spec: {} });
    await client.create(resources.Node, { metadata: { name: "node-1" }, spec: {} });
    const addresses = [{ type: "InternalIP", address: "192.0.2.200" }];
    const body = { status: { addresses } };
    await client.patch(resources.Node, { name: "node-1" }, { type: "merge", body }, { subresource: "status" });
    // The order in which they were made counts, and times are of whole seconds.
    for (const [name, spec] of Object.entries(pools)) {
      if (name === "wrong") await clock.sleep(1_100);
      await client.create(addressPools, { metadata: { name }, spec });
    }
    const informers = createInformers(client, { signal, log });
    const part = startLoadBalancer({ client, informers, pools: [], signal, clock, log });
    parts.push(part);
    await part.ready;
    for (const [name, ask] of Object.entries(holders)) {
      await create(name, ask);
      await until(name, hasAddress);
    }
    await client.delete(resources.Service, { namespace: "shop", name: "former" });
    while (await read("former").catch(() => undefined)) await clock.sleep(50);
    for (const { name, ...ask } of faults) await create(name, ask);
  });
  afterAll(async () => {
    stop.abort();
    await Promise.all(parts.map(({ stopped }) => stopped));
    await cluster?.stop();
  });

  test.each(faults)("$name", async ({ name, check = "load-balancer-pending", says }) => {
    if (check === "load-balancer-pending" && !name.startsWith("class"))
      await until(name, ({ status }) => status?.conditions?.some(({ status: is }) => is === "False") ?? false);
    else if (check !== "load-balancer-pending") await until(name, hasAddress);
    const found = await first(name);
    expect(found).toMatchObject({ check, object: `Service shop/${name}` });
    expect(found?.problem).toMatch(says);
    expect(found?.remedy).not.toBe("");
  });

  test("of those that have what they ask for nothing is said", async () => {
    for (const name of ["holder", "sharer", "single"]) expect(await first(name)).toBeUndefined();
  });

  describe("from a provider", () => {
    let azure: Azure;
    beforeAll(async () => {
      azure = await startAzure(0);
    });
    afterAll(() => azure.close());

    /** Its controller, until the fault has been told. */
    async function tells(name: string, ask: Ask, says: RegExp, reason: string, more: object = {}): Promise<string> {
      const end = new AbortController();
      setMaxListeners(0, end.signal);
      const place = {
        subscription,
        resourceGroup: "lab",
        location: "lab",
        virtualNetwork: "net",
        securityGroup: "nodes",
      };
      const who = { tenant, clientId: azureClient, clientSecret: secret, authority: azure.url, endpoint: azure.url };
      const provider = createProvider({ ...place, ...who, subnet: "nodes", floatingIp: false, pollMs: 20, ...more });
      const informers = createInformers(client, { signal: end.signal, log });
      const metrics = createMetrics();
      const given = { client, informers, provider, cluster: "lab", metrics, clock, log };
      const running = startProviderController({ ...given, signal: end.signal });
      try {
        await create(name, { ...ask, spec: { loadBalancerClass: "fairlead.dev/azure", ...ask.spec } });
        await until(name, ({ status }) => status?.conditions?.some((one) => one.reason === reason) ?? false);
        const found = await first(name);
        expect(found).toMatchObject({ check: "load-balancer-pending", object: `Service shop/${name}` });
        expect(found?.problem).toMatch(says);
        expect(found?.problem).not.toContain(secret);
        return await metrics.text();
      } finally {
        end.abort();
        await running.stopped;
      }
    }

    test("it refuses what it cannot do", () =>
      tells("refused", { spec: { ports: [{ port: 80, protocol: "SCTP" }] } }, /SCTP/, "Refused"));

    test("its quota is used up", async () => {
      await azure.mode({ quota: 1_000 });
      await tells("quota", {}, /PublicIPCountLimitReached|quota|limit/i, "Quota");
      await azure.mode({ quota: 0 });
    });

    test("it throttles", async () => {
      await azure.mode({ throttle: 1_000 });
      const figures = await tells("throttled", {}, /too many/i, "Throttled");
      expect(figures).toMatch(/^fairlead_provider_call_duration_seconds_count\{.*outcome="Throttled"\} [1-9]/m);
      expect(figures).toMatch(/^fairlead_provider_syncs_total\{provider="azure",outcome="failed"\} [1-9]/m);
      const page = await readFile(join(repository, "docs/metrics.md"), "utf8");
      expectDocumented(page, figures, "Addresses on any cluster", /^fairlead_provider_/);
      await azure.mode({ throttle: 0 });
    });

    test("it does not take the credentials", () =>
      tells("credentials", {}, /AADSTS7000215|invalid_client/, "Credentials", { clientSecret: "another" }));

    test("it does not answer", async () => {
      await tells("unreachable", {}, /ECONNREFUSED|refused/i, "Unavailable", {
        endpoint: `http://127.0.0.1:${await freePort()}`,
      });
    });
  });
});
