import { setMaxListeners } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createApiServer } from "../../src/apiserver/index.ts";
import { createInformers, createLocalClient, type Client } from "../../src/client/index.ts";
import { isStatus, resources, type Service } from "../../src/kube/index.ts";
import { addressClaims, startLoadBalancer } from "../../src/loadbalancer/index.ts";
import { openEtcdStore, openLmdbStore, type Store } from "../../src/store/index.ts";
import { silentLogger, systemClock as clock } from "../../src/system/index.ts";
import { noEtcd, startEtcd } from "../support/etcd.ts";

const serviceCount = Number(process.env["FAIRLEAD_STABILITY_SERVICES"] ?? 500);
const faults = Number(process.env["FAIRLEAD_STABILITY_FAULTS"] ?? 200);
const pool = "10.97.0.1-10.97.3.254";
const namespace = "default";
const user = { name: "test", groups: ["system:masters", "system:authenticated"] };
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** API server and load balancer in this process, over a store that outlives them. */
async function open(openStore: () => Promise<Store>) {
  const stop = new AbortController();
  const { signal } = stop;
  setMaxListeners(0, signal);
  const store = await openStore();
  const api = createApiServer({
    store,
    clock,
    log: silentLogger,
    signal,
    serviceCidrs: ["10.96.0.0/16"],
    advertise: { address: "127.0.0.1", port: 6443 },
    allowLoopback: true,
    kubelet: { open: () => Promise.reject(new Error("there is no kubelet")) },
  });
  await api.ready;
  const client = createLocalClient(api.handler, user);
  let balancer = startBalancer(client);
  await balancer.part.ready;
  return {
    client,
    /** The load balancer ends in the middle of what it does, and another starts. */
    async crash() {
      balancer.stop.abort(new Error("crash"));
      await balancer.part.stopped;
      balancer = startBalancer(client);
    },
    async close() {
      balancer.stop.abort(new Error("crash"));
      await balancer.part.stopped;
      stop.abort(new Error("closed"));
      await api.stopped;
      await store.close();
    },
  };
}

function startBalancer(client: Client) {
  const stop = new AbortController();
  const { signal } = stop;
  setMaxListeners(0, signal);
  const informers = createInformers(client, { signal, log: silentLogger });
  const part = startLoadBalancer({ client, informers, pools: [pool], signal, clock, log: silentLogger });
  part.ready.catch(() => {});
  return { stop, part };
}

/** Sees every status that is ever shown, and says what may not be. */
function createWitness() {
  const holders = new Map<string, string>();
  const addressOf = new Map<string, string>();
  const faults: string[] = [];
  return {
    faults,
    addressOf,
    watch(client: Client) {
      const stop = new AbortController();
      setMaxListeners(0, stop.signal);
      const services = createInformers(client, { signal: stop.signal, log: silentLogger }).of(resources.Service);
      services.onChange(({ before, after }) => {
        const { name = "" } = (after ?? before)?.metadata ?? {};
        const ip = after && ipOf(after);
        if (!ip) return;
        // An address is kept for the name of one that is gone: with room in the pool it is never another's.
        const other = holders.get(ip);
        if (other !== undefined && other !== name) faults.push(`${ip} is shown by ${other} and by ${name}`);
        const former = addressOf.get(name);
        if (former !== undefined && former !== ip) faults.push(`${name} moved from ${former} to ${ip}`);
        holders.set(ip, name);
        addressOf.set(name, ip);
      });
      return { stop: () => stop.abort(new Error("closed")), synced: services.synced };
    },
  };
}

const ipOf = ({ status }: Service) => status?.loadBalancer?.ingress?.[0]?.ip;

function random(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

async function addressesStay(openStore: () => Promise<Store>, seed: number): Promise<void> {
  const next = random(seed);
  const witness = createWitness();
  let cluster = await open(openStore);
  let look = witness.watch(cluster.client);
  const names = Array.from({ length: serviceCount }, (_, i) => `s${i}`);
  const create = async (name: string) => {
    const spec = { type: "LoadBalancer", allocateLoadBalancerNodePorts: false, ports: [{ port: 80 }] };
    await cluster.client.create(resources.Service, { metadata: { name, namespace }, spec }).catch((error: unknown) => {
      if (!isStatus(error, "AlreadyExists")) throw error;
    });
  };
  const unless = async (work: Promise<unknown>) => {
    await work.catch((error: unknown) => {
      if (!isStatus(error, "NotFound")) throw error;
    });
  };
  const seen = { deletions: 0, crashes: 0, restarts: 0 };
  await Promise.all(names.map(create));
  for (let done = 0; done < faults; done++) {
    const name = names[Math.floor(next() * names.length)] ?? "";
    const dice = next();
    if (dice < 0.6) {
      seen.deletions++;
      await unless(cluster.client.delete(resources.Service, { namespace, name }));
    } else if (dice < 0.95) {
      seen.crashes++;
      await cluster.crash();
    } else {
      seen.restarts++;
      look.stop();
      await cluster.close();
      cluster = await open(openStore);
      look = witness.watch(cluster.client);
      await look.synced;
    }
    if (next() < 0.5) await create(names[Math.floor(next() * names.length)] ?? "");
    await sleep(next() * 20);
  }
  // Who is about to go must be gone before it can come again.
  const settled = async (isSo: (services: readonly Service[]) => boolean) => {
    for (let tries = 0; tries < 600; tries++) {
      const { items } = await cluster.client.list(resources.Service, { namespace });
      if (isSo(items)) return items;
      await sleep(100);
    }
    throw new Error("the load balancer does not come to rest");
  };
  await settled((all) => all.every(({ metadata }) => !metadata.deletionTimestamp));
  await Promise.all(names.map(create));
  const items = await settled((all) => all.filter((one) => ipOf(one)).length === names.length);
  expect(witness.faults).toEqual([]);
  const shown = items.flatMap((one) => ipOf(one) ?? []);
  expect(new Set(shown).size).toBe(names.length);
  const { items: claims } = await cluster.client.list(addressClaims);
  expect(claims.flatMap(({ spec }) => (spec.owners?.length ? [spec.address] : [])).sort()).toEqual(shown.sort());
  const { deletions, crashes, restarts } = seen;
  const did = `${deletions} deletions, ${crashes} crashes of the load balancer, ${restarts} restarts of all`;
  console.log(
    `${names.length} Services, ${did}: ${witness.addressOf.size} names, ${witness.faults.length} addresses moved or given twice`,
  );
  look.stop();
  await cluster.close();
}

describe(`${serviceCount} Services, ${faults} restarts and deletions: no address is given twice or moves`, () => {
  test("lmdb", async () => {
    const dir = await mkdtemp(join(tmpdir(), "fairlead-stability-"));
    try {
      await addressesStay(() => openLmdbStore({ path: join(dir, "store"), noFsync: true }), 7);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });

  test.skipIf(noEtcd)(`etcd${noEtcd ? ` (${noEtcd})` : ""}`, async () => {
    const etcd = await startEtcd();
    try {
      const root = "/registry/";
      await addressesStay(() => openEtcdStore({ endpoints: etcd.endpoints, root, prefix: root }), 11);
    } finally {
      await etcd.stop();
    }
  });
});
