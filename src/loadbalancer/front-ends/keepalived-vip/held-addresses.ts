import { keyOf, parseIp } from "../../../kube/index.ts";
import type { Client, Informer } from "../../../client/index.ts";
import { maySharePorts } from "../../claim-book.ts";
import { createClaimRecord, withoutOwner } from "../../claims.ts";
import type { AddressClaim, ClaimOwner } from "../../definitions.ts";
import type { HeldAddress } from "./plan.ts";

/** Claims of addresses that are held for an object that is no Service. */
export interface HeldAddresses {
  load(): Promise<void>;
  /** Holds these and no others; answers why some are not to be had. */
  hold(
    owner: Omit<ClaimOwner, "ports">,
    pool: string,
    wanted: readonly HeldAddress[],
    now: number,
  ): Promise<Map<string, string>>;
}

export function createHeldAddresses(
  client: Client,
  claims: () => Informer<AddressClaim>,
  firstGroup: number,
): HeldAddresses {
  const record = createClaimRecord(client, claims);
  const { book } = record;
  return {
    load: () => record.load(),
    async hold(who, pool, wanted, now) {
      const isWanted = (address: string) => wanted.some((one) => one.address === address);
      const refused = new Map<string, string>();
      for (const { address, ports } of wanted) {
        const owner: ClaimOwner = { ...who, ports };
        const before = book.get(address);
        const isMine = (one: ClaimOwner) => one.kind === who.kind && one.uid === who.uid;
        const mine = before?.owners?.find(isMine);
        const others = (before?.owners ?? []).filter((one) => !isMine(one));
        if (mine && before?.pool === pool && JSON.stringify(mine.ports) === JSON.stringify(ports)) continue;
        const other = others.find((one) => !maySharePorts(one, owner));
        if (other) {
          refused.set(address, `${address} is held by ${other.kind} ${keyOf({ metadata: other })}`);
          continue;
        }
        const group = before?.group ?? book.quietestGroup(parseIp(address)?.family ?? "IPv4", firstGroup);
        await record.write({ address, pool, group, owners: [...others, owner] });
      }
      const isOfName = (one: ClaimOwner) =>
        one.kind === who.kind && one.namespace === who.namespace && one.name === who.name;
      const claims = [...book.all()].filter(({ owners }) => owners?.some(isOfName));
      for (const claim of claims) {
        // An object that was made anew under the same name has another uid.
        const former = claim.owners?.filter(isOfName).filter(({ uid }) => uid !== who.uid || !isWanted(claim.address));
        let left = claim;
        for (const { uid } of former ?? []) left = withoutOwner(left, { service: keyOf({ metadata: who }), uid }, now);
        if (left === claim) continue;
        if (left.owners?.length) await record.write(left);
        else await record.erase(claim.address);
      }
      return refused;
    },
  };
}
