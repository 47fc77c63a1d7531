import { canonicalIp, keyOf, parseIp, resources, type Service } from "../kube/index.ts";
import type { Client, Informers } from "../client/index.ts";
import type { Clock, Logger, Metrics } from "../system/index.ts";
import { allocate, isPooled, type Allocation } from "./allocate.ts";
import { ownerKey } from "./claim-book.ts";
import { createClaimRecord, withoutOwner } from "./claims.ts";
import { addressClaims, ensureDefinitions, type AddressClaimSpec, type ClaimOwner } from "./definitions.ts";
import { tellOfPools } from "./pool-figures.ts";
import { startPoolSource, type PoolSource } from "./pool-source.ts";
import { poolOf, type Pool } from "./pools.ts";
import { noProbe, type AddressProbe } from "./probe.ts";
import { ServiceProblem, type AddressProvider, type ServiceIdentity } from "./provider.ts";
import { portsOf, requestOf, sharingOf, type AddressRequest } from "./request.ts";

export interface PoolProviderOptions {
  readonly client: Client;
  readonly informers: Informers;
  /** Pools beside those of the API. */
  readonly flags: readonly Pool[];
  /** The only class of Services that it serves. Default: `poolClass`, and Services without a class. */
  readonly loadBalancerClass?: string;
  /** The VRRP router id that is given first. Default 1. */
  readonly firstGroup?: number;
  /** Asked before an address is given that nobody has claimed. Absent: nobody is asked. */
  readonly probe?: AddressProbe;
  readonly metrics?: Metrics;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** The class of Services that get addresses from pools. */
export const poolClass = "fairlead.dev/pool";

/** Milliseconds for which an address that answered a probe is given to nobody. */
const foreignFor = 300_000;
/** Milliseconds for which an address that was ours may still answer. */
const fadesFor = 10_000;
/** Addresses that are probed for one Service before it waits for its next turn. */
const mostProbes = 16;
/** Addresses of a pool that are kept for Services that are gone; beyond, the one that waits longest is given up. */
const mostReserved = 1024;
/** Milliseconds between two writes of the pools' statuses. */
const reportPause = 1_000;

/** Gives addresses from pools that this cluster owns. */
export function createPoolProvider(options: PoolProviderOptions): AddressProvider {
  const { client, informers, clock, log, signal } = options;
  const probe = options.probe ?? noProbe;
  const record = createClaimRecord(client, () => informers.of(addressClaims));
  const { book } = record;
  const listeners: ((service?: string) => void)[] = [];
  const tellAll = (service?: string) => {
    for (const listener of listeners) listener(service);
  };
  /** Who else has an address, and until when that is believed. */
  const foreign = new Map<string, { why: string; until: number }>();
  /** When we gave an address up. */
  const faded = new Map<string, number>();
  let source: PoolSource | undefined;
  let tellPools: ((pools: readonly Pool[]) => void) | undefined;
  const pools = () => source?.pools() ?? [];
  const nodes = informers.of(resources.Node);
  const namespaces = informers.of(resources.Namespace);

  const nodeOf = (address: string): string | undefined => {
    const node = nodes.list().find(({ status }) => status?.addresses?.some((one) => one.address === address));
    return node && `is an address of node ${node.metadata.name}`;
  };
  const foreignWhy = (address: string): string | undefined => {
    const known = foreign.get(address);
    if (known && known.until > clock.now()) return known.why;
    if (known) foreign.delete(address);
    return nodeOf(address);
  };

  let reporting = false;
  /** Statuses of pools follow with a pause, so that a thousand Services cost a few writes. */
  const report = () => {
    tellPools?.(pools());
    if (reporting || !source) return;
    reporting = true;
    const work = async () => {
      await clock.sleep(reportPause, signal);
      reporting = false;
      await source?.report(book);
    };
    work().catch(() => (reporting = false));
  };

  const requestFor = (service: Service): AddressRequest =>
    requestOf(service, namespaces.get({ name: service.metadata.namespace ?? "" })?.metadata.labels);

  function decide(service: Service, owner: ServiceIdentity): Allocation {
    try {
      return allocate(requestFor(service), { book, pools: pools(), foreign: foreignWhy });
    } catch (problem) {
      if (!(problem instanceof ServiceProblem)) throw problem;
      // As long as nobody can say what else it wants, it keeps what it has.
      return { addresses: book.heldBy(owner), problem };
    }
  }

  /** Decides until all that is new has been probed. */
  async function decideFree(service: Service, owner: ServiceIdentity): Promise<Allocation> {
    for (let round = 0; ; round++) {
      const allocation = decide(service, owner);
      let conflict = false;
      for (const address of allocation.addresses) {
        const fadedAt = faded.get(address);
        if (book.has(address) || (fadedAt !== undefined && clock.now() - fadedAt < fadesFor)) continue;
        const why = await probe.inUse(address);
        if (!why) continue;
        conflict = true;
        foreign.set(address, { why, until: clock.now() + foreignFor });
        log.warn({ address, why }, "an address of a pool is in use by someone else");
      }
      if (!conflict) return allocation;
      if (round >= mostProbes) {
        const problem = new ServiceProblem("AddressInUse", `${mostProbes} addresses of the pools are in use by others`);
        return { addresses: book.heldBy(owner), problem };
      }
    }
  }

  /** Writes that a Service holds an address; nothing when that is written. */
  async function claim(service: Service, address: string): Promise<void> {
    const old = book.get(address);
    const owner = ownerOf(service);
    const others = (old?.owners ?? []).filter((one) => ownerKey(one) !== ownerKey(owner) || one.uid !== owner.uid);
    const mine = old?.owners?.find((one) => ownerKey(one) === ownerKey(owner) && one.uid === owner.uid);
    if (mine && JSON.stringify(sortedOwner(mine)) === JSON.stringify(sortedOwner(owner))) return;
    const ip = parseIp(address);
    const pool = ip && poolOf(pools(), ip)?.name;
    const spec: AddressClaimSpec = {
      address,
      ...(pool ? { pool } : {}),
      group: old?.group ?? book.quietestGroup(ip?.family ?? "IPv4", options.firstGroup),
      owners: [...others, owner],
    };
    await record.write(spec);
  }

  /** Takes back what statuses show and nobody has claimed: the record may have been lost. The oldest Service comes first. */
  async function adopt(services: readonly Service[]): Promise<void> {
    const age = ({ metadata }: Service) => Date.parse(metadata.creationTimestamp ?? "");
    for (const service of [...services].sort((a, b) => age(a) - age(b))) {
      for (const { ip = "" } of service.status?.loadBalancer?.ingress ?? []) {
        const address = canonicalIp(ip);
        if (!address || !isPooled(pools(), address)) continue;
        const holders = book.get(address)?.owners ?? [];
        if (holders.length === 0) await claim(service, address);
      }
    }
  }

  /** Of more reservations than a pool may have, the oldest is given up. */
  async function giveUpOldest(address: string): Promise<void> {
    const ip = parseIp(address);
    const pool = ip && poolOf(pools(), ip);
    if (!pool || pool.reservation === "Strict") return;
    const kept = book.reserved().filter((one) => isPooled([pool], one.address));
    for (const { address: oldest } of kept.slice(0, Math.max(0, kept.length - mostReserved)))
      await record.erase(oldest);
  }

  return {
    loadBalancerClass: options.loadBalancerClass ?? poolClass,
    isDefault: options.loadBalancerClass === undefined,
    onChange: (listener) => void listeners.push(listener),

    async observe(services) {
      if (!source) {
        await ensureDefinitions(client, { clock, signal });
        source = startPoolSource({ client, informers, flags: options.flags, clock, log });
        if (options.metrics) tellPools = tellOfPools(options.metrics, book);
        await Promise.all([source.ready, nodes.synced, namespaces.synced]);
        await record.load();
        source.onChange(() => {
          report();
          tellAll();
        });
        record.onForeignChange((_address, before) => {
          report();
          tellAll();
          for (const owner of before?.owners ?? []) tellAll(ownerKey(owner));
        });
      }
      await adopt(services);
      report();
      // Others may hold addresses too, such as a ConfigMap of keepalived-vip: they give them back themselves.
      const holders = [...book.all()].flatMap(({ owners }) => owners ?? []).filter(({ kind }) => kind === "Service");
      const identities = new Map(holders.map((one) => [one.uid, { service: ownerKey(one), uid: one.uid }]));
      return [...identities.values()];
    },

    async ensure(service) {
      const owner = { service: keyOf(service), uid: service.metadata.uid ?? "" };
      if (book.heldBy(owner).length === 0) await adopt([service]);
      const { addresses, problem } = await decideFree(service, owner);
      const held = book.heldBy(owner);
      // With a problem its ports stay as they are written: they may be what the problem is.
      for (const address of addresses) if (!problem || !held.includes(address)) await claim(service, address);
      if (addresses.some((address) => !held.includes(address))) report();
      return {
        addresses: addresses.map((ip) => ({ ip, ipMode: "VIP" })),
        former: held.filter((address) => !addresses.includes(address)),
        ...(problem ? { problem } : {}),
      };
    },

    async release(owner, except = []) {
      for (const address of book.heldBy(owner)) {
        if (except.some(({ ip }) => ip === address)) continue;
        const found = book.get(address);
        if (!found) continue;
        const left = withoutOwner(found, owner, clock.now());
        const ip = parseIp(address);
        const pool = ip && poolOf(pools(), ip);
        // Who has taken another address instead does not come back for this one.
        const isKept = left.owners?.length || (except.length === 0 && pool && pool.reservation !== "None");
        if (isKept) await record.write(left);
        else await record.erase(address);
        faded.set(address, clock.now());
        for (const [one, at] of faded) if (clock.now() - at >= fadesFor) faded.delete(one);
        if (isKept && !left.owners?.length) await giveUpOldest(address);
      }
      report();
    },
  };
}

/** How a Service is written into a claim. A sharing that cannot be read counts as none. */
function ownerOf(service: Service): ClaimOwner {
  const { namespace = "", name, uid = "" } = service.metadata;
  let sharing: string | undefined;
  try {
    sharing = sharingOf(service);
  } catch (error) {
    if (!(error instanceof ServiceProblem)) throw error;
  }
  return {
    kind: "Service",
    namespace,
    name,
    uid,
    ports: portsOf(service),
    ...(sharing === undefined ? {} : { sharing }),
  };
}

const sortedOwner = ({ kind, namespace, name, uid, ports, sharing }: ClaimOwner) => [
  kind,
  namespace,
  name,
  uid,
  [...ports].sort(),
  sharing,
];
