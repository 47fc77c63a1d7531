import { parseIp, type IpFamily } from "../kube/index.ts";
import { maySharePorts, ownerKey, type ClaimBook } from "./claim-book.ts";
import type { AddressClaimSpec } from "./definitions.ts";
import { inOrder, isIn, isOnRequest, poolOf, serves, type Pool } from "./pools.ts";
import { ServiceProblem, type ProblemReason } from "./provider.ts";
import type { AddressRequest } from "./request.ts";

export interface Allocation {
  readonly addresses: readonly string[];
  readonly problem?: ServiceProblem;
}

/** What an allocation is decided from. */
export interface Allocator {
  readonly book: ClaimBook;
  readonly pools: readonly Pool[];
  /** Why nobody may be given an address that nobody has claimed: a node has it, or a machine of the network. */
  readonly foreign: (address: string) => string | undefined;
}

/**
 * Decides the addresses of a Service. Pure. What it holds it keeps, even when the pools have changed, unless it asks for
 * another address and can have it. A problem with one address takes no other away.
 */
export function allocate(request: AddressRequest, allocator: Allocator): Allocation {
  const held = allocator.book.heldBy(request);
  const found = request.families.map((family) => allocateOne(request, family, held, allocator));
  const required = found.find(({ family, address }) => address === undefined && request.required.includes(family));
  const addresses = found.flatMap(({ address }) => (address === undefined ? [] : [address]));
  const failed =
    required ?? found.find(({ problem, family }) => problem && (request.wanted[family] || addresses.length === 0));
  // Both families or none, where both are required, but never less than it has.
  const given = required ? addresses.filter((address) => held.includes(address)) : addresses;
  return failed?.problem ? { addresses: given, problem: failed.problem } : { addresses: given };
}

interface Found {
  readonly family: IpFamily;
  readonly address?: string;
  readonly problem?: ServiceProblem;
}

function allocateOne(request: AddressRequest, family: IpFamily, held: readonly string[], allocator: Allocator): Found {
  const kept = held.find((address) => parseIp(address)?.family === family);
  const wanted = request.wanted[family];
  const problem = keepProblem(request, kept, allocator) ?? (wanted ? whyNot(request, wanted, allocator) : undefined);
  if (wanted === undefined) {
    if (kept === undefined) return anyOf(request, family, allocator);
    if (!problem) return { family, address: kept };
    // Its ports are another's by now: one of them has to move, and it is the one that has changed.
    const other = anyOf(request, family, allocator);
    return other.address ? other : { family, address: kept, problem };
  }
  if (!problem) return { family, address: wanted };
  return kept ? { family, address: kept, problem } : { family, problem };
}

/** Why a Service may not go on sharing what it has: its ports or its sharing key have changed. */
function keepProblem(request: AddressRequest, kept: string | undefined, { book }: Allocator) {
  const claim = kept === undefined ? undefined : book.get(kept);
  const other = claim && otherHolder(request, claim);
  if (!other) return undefined;
  const message = `${claim.address} is shared with Service ${ownerKey(other)}, whose ports or sharing key do not allow that`;
  return new ServiceProblem("AddressTaken", message);
}

/** A holder of an address beside whom the Service may not have it. */
function otherHolder(request: AddressRequest, claim: AddressClaimSpec) {
  const me = { ports: request.ports, ...(request.sharing === undefined ? {} : { sharing: request.sharing }) };
  return claim.owners?.find(
    (owner) => !(ownerKey(owner) === request.service && owner.uid === request.uid) && !maySharePorts(me, owner),
  );
}

function anyOf(request: AddressRequest, family: IpFamily, { book, pools, foreign }: Allocator): Found {
  const ofFamily = pools.filter(({ ranges }) => ranges.some((range) => range.family === family));
  const open = inOrder(ofFamily).filter(
    (pool) => serves(pool, request) && (request.pool ? pool.name === request.pool.name : pool.autoAssign),
  );
  const allows = (address: string) => {
    const ip = parseIp(address);
    return ip !== undefined && ip.family === family && poolOf(open, ip) !== undefined && !foreign(address);
  };
  const before = book.reservedFor(request.service).find(allows);
  if (before) return { family, address: before };
  const shared = request.sharing === undefined ? [] : book.shared(request.sharing);
  const beside = shared.find((address) => {
    const claim = book.get(address);
    return claim && allows(address) && !otherHolder(request, claim);
  });
  if (beside) return { family, address: beside };
  for (const { ranges } of open) {
    for (const range of ranges) {
      if (range.family !== family) continue;
      const address = book.free(range, (one) => foreign(one) !== undefined);
      if (address) return { family, address };
    }
  }
  // Rather the address of one that is gone than none.
  const preferred = open.filter(({ reservation }) => reservation !== "Strict");
  const last = book.reserved().find(({ address }) => {
    const ip = parseIp(address);
    return ip && poolOf(preferred, ip) && !isOnRequest(preferred, ip) && allows(address);
  });
  if (last) return { family, address: last.address };
  return { family, problem: whyNone(request, family, ofFamily, open) };
}

function whyNone(request: AddressRequest, family: IpFamily, ofFamily: readonly Pool[], open: readonly Pool[]) {
  const texts = (pools: readonly Pool[]) =>
    pools.flatMap(({ ranges }) => ranges.filter((range) => range.family === family).map(({ text }) => text)).join(", ");
  const problem = (reason: ProblemReason, message: string) => new ServiceProblem(reason, message);
  if (open.length > 0) {
    return problem(
      "PoolExhausted",
      `all ${family} addresses of ${texts(open)} are taken; the Service waits for one to become free`,
    );
  }
  if (request.pool) {
    const named = ofFamily.find(({ name }) => name === request.pool?.name);
    const { name, field } = request.pool;
    return named
      ? problem("PoolNotAllowed", `${field}: the pool ${name} does not serve this Service; look at its selectors`)
      : problem("NoPool", `${field}: there is no pool ${JSON.stringify(name)} with ${family} addresses`);
  }
  if (ofFamily.length === 0) return problem("NoPool", `no pool has ${family} addresses`);
  const names = ofFamily.map(({ name }) => name).join(", ");
  const remedy = "change a pool's selectors or autoAssign, or ask for one by fairlead.dev/address-pool";
  return problem("PoolNotAllowed", `none of the pools ${names} gives ${family} addresses to this Service; ${remedy}`);
}

/** Why a Service cannot have the address that it asks for. */
function whyNot(request: AddressRequest, wanted: string, { book, pools, foreign }: Allocator) {
  const { field, service } = request;
  const problem = (reason: ProblemReason, message: string) => new ServiceProblem(reason, `${field}: ${message}`);
  const claim = book.get(wanted);
  const mine = claim?.owners?.some((owner) => ownerKey(owner) === service && owner.uid === request.uid);
  const other = claim && otherHolder(request, claim);
  if (other) {
    const sharing = request.sharing === undefined ? "" : "; sharing needs the same key, policy and other ports";
    return problem("AddressTaken", `${wanted} is held by Service ${ownerKey(other)}${sharing}`);
  }
  if (mine) return undefined;
  const ip = parseIp(wanted);
  const pool = ip && poolOf(pools, ip);
  if (!pool) {
    const all = pools.flatMap(({ ranges }) => ranges.map(({ text }) => text)).join(", ");
    return problem("OutsidePools", `${wanted} is in none of the pools ${all}`);
  }
  if (request.pool && request.pool.name !== pool.name) {
    return problem(
      "PoolNotAllowed",
      `${wanted} is of the pool ${pool.name}, but ${request.pool.field} asks for another`,
    );
  }
  if (!serves(pool, request)) {
    return problem("PoolNotAllowed", `${wanted} is of the pool ${pool.name}, which does not serve this Service`);
  }
  const keptFor = claim?.reservedFor && ownerKey(claim.reservedFor);
  if (keptFor && keptFor !== service && pool.reservation === "Strict") {
    return problem("AddressTaken", `${wanted} is kept for Service ${keptFor}; delete the AddressClaim to give it up`);
  }
  const why = foreign(wanted);
  return why ? problem("AddressInUse", `${wanted} ${why}`) : undefined;
}

/** True when the address is of a pool of `pools`. */
export function isPooled(pools: readonly Pool[], address: string): boolean {
  const ip = parseIp(address);
  return ip !== undefined && pools.some(({ ranges }) => ranges.some((range) => isIn(range, ip)));
}
