import { keyOf, parseIp } from "../../../kube/index.ts";
import type { Client, Informer } from "../../../client/index.ts";
import { maySharePorts } from "../../claim-book.ts";
import { createClaimRecord, withoutOwner } from "../../claims.ts";
import type { AddressClaim, ClaimOwner } from "../../definitions.ts";
import type { AddressProbe } from "../../probe.ts";
import type { HeldAddress } from "./plan.ts";

/** Claims of addresses that are held for an object that is no Service. */
export interface HeldAddresses {
  load(): Promise<void>;
  /** Somebody of this cluster has it. */
  isClaimed(address: string): boolean;
  /** Holds these and no others; answers why some are not to be had. */
  hold(
    owner: Omit<ClaimOwner, "ports">,
    pool: string,
    wanted: readonly HeldAddress[],
    now: number,
  ): Promise<Map<string, string>>;
}

/** Milliseconds after which an address that somebody else has is asked for again. */
export const probeAgain = 60_000;
/** Milliseconds for which an address that was ours may still answer. */
const fades = 10_000;

export function createHeldAddresses(
  client: Client,
  claims: () => Informer<AddressClaim>,
  firstGroup: number,
  probe: AddressProbe,
): HeldAddresses {
  const record = createClaimRecord(client, claims);
  const { book } = record;
  /** Who else has an address, and until when that is believed. */
  const foreign = new Map<string, { readonly why: string; readonly until: number }>();

  /** When an address was given up. */
  const erased = new Map<string, number>();

  async function whyForeign(address: string, now: number): Promise<string | undefined> {
    // What was ours a moment ago may still answer.
    if (now - (erased.get(address) ?? -fades) < fades) return undefined;
    const known = foreign.get(address);
    if (known && known.until > now) return known.why;
    const why = await probe.inUse(address);
    if (why === undefined) foreign.delete(address);
    else foreign.set(address, { why, until: now + probeAgain });
    return why;
  }

  return {
    load: () => record.load(),
    isClaimed: (address) => book.has(address),
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
        const why = before ? undefined : await whyForeign(address, now);
        if (why !== undefined) {
          refused.set(address, `${address} is in use by someone else: it ${why}`);
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
        else {
          await record.erase(claim.address);
          for (const [address, at] of erased) if (now - at >= fades) erased.delete(address);
          erased.set(claim.address, now);
        }
      }
      return refused;
    },
  };
}
