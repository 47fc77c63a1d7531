import { parseIp, type IpFamily } from "../kube/index.ts";
import { firstFree, poolOf, type AddressRange } from "./pools.ts";
import { ServiceProblem, type ServiceIdentity } from "./provider.ts";
import type { AddressRequest } from "./request.ts";

/** Who holds which address. */
export type Claims = ReadonlyMap<string, ServiceIdentity>;

export interface Allocation {
  readonly addresses: readonly string[];
  readonly problem?: ServiceProblem;
}

/**
 * Decides the addresses of a Service. Pure. What it holds it keeps, even when the pools have changed, unless it asks for
 * another address and can have it. A problem with one address takes no other away.
 */
export function allocate(request: AddressRequest, claims: Claims, pools: readonly AddressRange[]): Allocation {
  const held = heldBy(request, claims);
  const found = request.families.map((family) => allocateOne(request, family, held, claims, pools));
  const required = found.find(({ family, address }) => address === undefined && request.required.includes(family));
  const addresses = found.flatMap(({ address }) => (address === undefined ? [] : [address]));
  const failed =
    required ?? found.find(({ problem, family }) => problem && (request.wanted[family] || addresses.length === 0));
  // Both families or none, where both are required, but never less than it has.
  const given = required ? addresses.filter((address) => held.includes(address)) : addresses;
  return failed?.problem ? { addresses: given, problem: failed.problem } : { addresses: given };
}

/** Addresses that are claimed for a Service. */
export function heldBy({ service, uid }: ServiceIdentity, claims: Claims): string[] {
  const held: string[] = [];
  for (const [address, owner] of claims) if (owner.service === service && owner.uid === uid) held.push(address);
  return held;
}

interface Found {
  readonly family: IpFamily;
  readonly address?: string;
  readonly problem?: ServiceProblem;
}

function allocateOne(
  request: AddressRequest,
  family: IpFamily,
  held: readonly string[],
  claims: Claims,
  pools: readonly AddressRange[],
): Found {
  const kept = held.find((address) => parseIp(address)?.family === family);
  const wanted = request.wanted[family];
  if (wanted === undefined) return kept ? { family, address: kept } : anyOf(family, claims, pools);
  if (held.includes(wanted)) return { family, address: wanted };
  const problem = whyNot(wanted, request.field, claims, pools);
  if (!problem) return { family, address: wanted };
  return kept ? { family, address: kept, problem } : { family, problem };
}

function anyOf(family: IpFamily, claims: Claims, pools: readonly AddressRange[]): Found {
  const address = firstFree(pools, family, (one) => claims.has(one));
  if (address) return { family, address };
  const ofFamily = pools.filter((pool) => pool.family === family).map((pool) => pool.text);
  if (ofFamily.length === 0)
    return { family, problem: new ServiceProblem("NoPool", `no pool has ${family} addresses`) };
  const message = `all ${family} addresses of ${ofFamily.join(", ")} are taken; the Service waits for one to become free`;
  return { family, problem: new ServiceProblem("PoolExhausted", message) };
}

function whyNot(
  wanted: string,
  field: string,
  claims: Claims,
  pools: readonly AddressRange[],
): ServiceProblem | undefined {
  const owner = claims.get(wanted);
  if (owner) return new ServiceProblem("AddressTaken", `${field}: ${wanted} is held by Service ${owner.service}`);
  const ip = parseIp(wanted);
  if (ip && poolOf(pools, ip)) return undefined;
  const all = pools.map((pool) => pool.text).join(", ");
  return new ServiceProblem("OutsidePools", `${field}: ${wanted} is in none of the pools ${all}`);
}
