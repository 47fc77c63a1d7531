import { canonicalIp, keyOf, parseIp, type Service } from "../kube/index.ts";
import type { Client } from "../client/index.ts";
import type { Metrics } from "../system/index.ts";
import { allocate, heldBy, type Allocation, type Claims } from "./allocate.ts";
import { createClaimRecord } from "./claims.ts";
import { tellOfPools } from "./pool-figures.ts";
import { poolOf, type AddressRange } from "./pools.ts";
import { ServiceProblem, type AddressProvider, type ServiceIdentity } from "./provider.ts";
import { requestOf } from "./request.ts";

/** Gives addresses from pools that this cluster owns. */
export function createPoolProvider(client: Client, pools: readonly AddressRange[], metrics?: Metrics): AddressProvider {
  const record = createClaimRecord(client);
  /** What is recorded; undefined when that has to be read again. */
  let known: Claims | undefined;
  if (metrics) tellOfPools(metrics, pools, () => known);

  async function read(): Promise<Claims> {
    return (known ??= await record.read());
  }

  async function write(claims: Claims): Promise<void> {
    // Whether a write that failed has been done after all, only the record can tell.
    known = undefined;
    await record.write(claims);
    known = claims;
  }

  function decide(service: Service, owner: ServiceIdentity, claims: Claims): Allocation {
    try {
      return allocate(requestOf(service), claims, pools);
    } catch (problem) {
      if (!(problem instanceof ServiceProblem)) throw problem;
      // As long as nobody can say what else it wants, it keeps what it has.
      return { addresses: heldBy(owner, claims), problem };
    }
  }

  return {
    loadBalancerClass: "fairlead.dev/pool",
    isDefault: true,

    async observe(services) {
      const recorded = await read();
      const adopted = adopt(recorded, services, pools);
      if (adopted.size > recorded.size) await write(adopted);
      const holders = new Map([...adopted.values()].map((owner) => [owner.uid, owner]));
      return [...holders.values()];
    },

    async ensure(service) {
      const claims = await read();
      const owner = { service: keyOf(service), uid: service.metadata.uid ?? "" };
      const { addresses, problem } = decide(service, owner, claims);
      const held = heldBy(owner, claims);
      const added = addresses.filter((address) => !held.includes(address));
      if (added.length > 0) await write(new Map([...claims, ...added.map((address) => [address, owner] as const)]));
      return {
        addresses: addresses.map((ip) => ({ ip, ipMode: "VIP" })),
        former: held.filter((address) => !addresses.includes(address)),
        ...(problem ? { problem } : {}),
      };
    },

    async release(owner, except = []) {
      const claims = await read();
      const gone = heldBy(owner, claims).filter((address) => !except.some(({ ip }) => ip === address));
      if (gone.length > 0) await write(new Map([...claims].filter(([address]) => !gone.includes(address))));
    },
  };
}

/** Adds what statuses show and nobody has claimed: the record may have been lost. The oldest Service comes first. */
function adopt(claims: Claims, services: readonly Service[], pools: readonly AddressRange[]): Claims {
  const adopted = new Map(claims);
  const age = ({ metadata }: Service) => Date.parse(metadata.creationTimestamp ?? "");
  for (const service of [...services].sort((a, b) => age(a) - age(b))) {
    for (const { ip = "" } of service.status?.loadBalancer?.ingress ?? []) {
      const parsed = parseIp(ip);
      const address = canonicalIp(ip);
      if (!parsed || !address || !poolOf(pools, parsed) || adopted.has(address)) continue;
      adopted.set(address, { service: keyOf(service), uid: service.metadata.uid ?? "" });
    }
  }
  return adopted;
}
