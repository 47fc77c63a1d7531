import { parseIp, type IpFamily } from "../kube/index.ts";
import type { AddressClaimSpec, ClaimOwner } from "./definitions.ts";
import { firstFree, isIn, type AddressRange } from "./pools.ts";
import type { ServiceIdentity } from "./provider.ts";

/** Who holds which address, in memory: the cost of a question does not grow with how many are taken. */
export interface ClaimBook {
  get(address: string): AddressClaimSpec | undefined;
  has(address: string): boolean;
  set(claim: AddressClaimSpec): void;
  delete(address: string): void;
  all(): Iterable<AddressClaimSpec>;
  readonly size: number;
  /** Addresses that a Service holds. */
  heldBy(owner: ServiceIdentity): readonly string[];
  /** Addresses that were released by who had this `namespace/name`, the last released first. */
  reservedFor(service: string): readonly string[];
  /** Addresses that nobody holds and that are kept for who had them, the first released first. */
  reserved(): readonly AddressClaimSpec[];
  /** Addresses with a holder that shares under this key. */
  shared(sharing: string): readonly string[];
  /** The lowest address of a range that nobody has, or has had; `isBarred` is asked beside. */
  free(range: AddressRange, isBarred: (address: string) => boolean): string | undefined;
  /** The VRRP router id, 1 to 255, that the fewest addresses of a family have; the first such `from` this one on. */
  quietestGroup(family: IpFamily, from?: number): number;
  /** How many addresses of the ranges are held, and how many kept for who had them. */
  count(ranges: readonly AddressRange[]): { assigned: number; reserved: number };
}

export const ownerKey = ({ namespace, name }: { namespace: string; name: string }): string => `${namespace}/${name}`;

export function createClaimBook(): ClaimBook {
  const claims = new Map<string, AddressClaimSpec>();
  const byOwner = new Map<string, Set<string>>();
  const bySharing = new Map<string, Set<string>>();
  const kept = new Map<string, AddressClaimSpec>();
  /** By text of a range: below this every address is taken. */
  const lowest = new Map<string, { range: AddressRange; value: bigint }>();

  /** How many addresses have each VRRP router id. */
  const groups: Record<IpFamily, number[]> = { IPv4: Array<number>(256).fill(0), IPv6: Array<number>(256).fill(0) };

  const countGroup = ({ address, group }: AddressClaimSpec, by: number) => {
    const counts = groups[parseIp(address)?.family ?? "IPv4"];
    if (group !== undefined) counts[group] = (counts[group] ?? 0) + by;
  };
  const add = (index: Map<string, Set<string>>, key: string, address: string) => {
    const found = index.get(key);
    if (found) found.add(address);
    else index.set(key, new Set([address]));
  };
  const take = (index: Map<string, Set<string>>, key: string, address: string) => {
    const found = index.get(key);
    if (found?.delete(address) && found.size === 0) index.delete(key);
  };
  const keysOf = (claim: AddressClaimSpec): { owners: string[]; sharings: string[] } => ({
    owners: (claim.owners ?? []).map((owner) => `${ownerKey(owner)} ${owner.uid}`),
    sharings: (claim.owners ?? []).flatMap(({ sharing }) => (sharing ? [sharing] : [])),
  });
  const remove = (address: string) => {
    const old = claims.get(address);
    if (!old) return;
    const { owners, sharings } = keysOf(old);
    for (const owner of owners) take(byOwner, owner, address);
    for (const sharing of sharings) take(bySharing, sharing, address);
    countGroup(old, -1);
    kept.delete(address);
    claims.delete(address);
  };
  const released = (claim: AddressClaimSpec) => Date.parse(claim.releasedAt ?? "") || 0;

  return {
    get: (address) => claims.get(address),
    has: (address) => claims.has(address),
    set(claim) {
      const { address } = claim;
      remove(address);
      claims.set(address, claim);
      countGroup(claim, 1);
      const { owners, sharings } = keysOf(claim);
      for (const owner of owners) add(byOwner, owner, address);
      for (const sharing of sharings) add(bySharing, sharing, address);
      if (owners.length === 0) kept.set(address, claim);
    },
    delete(address) {
      remove(address);
      const ip = parseIp(address);
      if (!ip) return;
      for (const entry of lowest.values()) {
        if (isIn(entry.range, ip) && ip.value < entry.value) entry.value = ip.value;
      }
    },
    all: () => claims.values(),
    get size() {
      return claims.size;
    },
    heldBy: ({ service, uid }) => [...(byOwner.get(`${service} ${uid}`) ?? [])],
    reservedFor(service) {
      const mine = [...kept.values()].filter(({ reservedFor }) => reservedFor && ownerKey(reservedFor) === service);
      return mine.sort((a, b) => released(b) - released(a)).map(({ address }) => address);
    },
    reserved: () => [...kept.values()].sort((a, b) => released(a) - released(b)),
    shared: (sharing) => [...(bySharing.get(sharing) ?? [])],
    free(range, isBarred) {
      const entry = lowest.get(range.text) ?? { range, value: range.first };
      if (entry.range.first !== range.first || entry.range.last !== range.last) entry.value = range.first;
      entry.range = range;
      const unclaimed = firstFree(range, entry.value, (address) => claims.has(address));
      entry.value = unclaimed ? unclaimed.value : range.last + 1n;
      lowest.set(range.text, entry);
      if (!unclaimed || !isBarred(unclaimed.address)) return unclaimed?.address;
      return firstFree(range, unclaimed.value, (address) => claims.has(address) || isBarred(address))?.address;
    },
    quietestGroup(family, from = 1) {
      const counts = groups[family];
      let best = from;
      for (let i = 1; i < 255; i++) {
        const group = ((from - 1 + i) % 255) + 1;
        if ((counts[group] ?? 0) < (counts[best] ?? 0)) best = group;
      }
      return best;
    },
    count(ranges) {
      let assigned = 0;
      let reserved = 0;
      for (const { address, owners } of claims.values()) {
        const ip = parseIp(address);
        if (!ip || !ranges.some((range) => isIn(range, ip))) continue;
        if (owners?.length) assigned++;
        else reserved++;
      }
      return { assigned, reserved };
    },
  };
}

/** Whether two holders may have one address: the same sharing, and no port of one is the other's. */
export function maySharePorts(a: Pick<ClaimOwner, "ports" | "sharing">, b: Pick<ClaimOwner, "ports" | "sharing">) {
  return a.sharing !== undefined && a.sharing === b.sharing && !a.ports.some((port) => b.ports.includes(port));
}
