import { findCondition, formatTime, isStatus, setCondition, type Condition, type Service } from "../../kube/index.ts";
import type { Client, createEventRecorder } from "../../client/index.ts";
import type { Clock, Logger } from "../../system/index.ts";
import { addressClaims, announcedCondition, conflictCondition, type AddressClaim } from "../definitions.ts";
import type { Conflicts } from "./conflicts.ts";
import type { VipDaemon } from "./daemon.ts";
import type { VipPlan, VrrpInstance } from "./plan.ts";

export interface ClaimReporterOptions {
  readonly client: Client;
  readonly nodeName: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: ReturnType<typeof createEventRecorder>;
  readonly daemon: VipDaemon;
  readonly conflicts: Conflicts;
  readonly services: { get(name: { readonly namespace: string; readonly name: string }): Service | undefined };
}

/** Writes into claims who holds them, and who else answers. What cannot be written waits: who holds an address does not depend on it. */
export function createClaimReporter(options: ClaimReporterOptions) {
  const { client, nodeName, clock, log, events, daemon, conflicts, services } = options;

  /** Of a claim that this node holds, or that nobody holds and this node is to look after. */
  const conflictOf = (claim: AddressClaim, instance: VrrpInstance | undefined, isHeld: boolean): AddressClaim => {
    const isMine = isHeld || (claim.status?.holder === undefined && (instance?.isPreferred ?? false));
    if (!isMine || !conflicts.isKnown(claim.spec.address)) return claim;
    return withConflict(claim, conflicts.claimant(claim.spec.address), clock);
  };
  const tellOwners = (claim: AddressClaim, message: string) => {
    for (const { kind, namespace, name } of claim.spec.owners ?? []) {
      const service = kind === "Service" ? services.get({ namespace, name }) : undefined;
      if (service) events.event(service, "Warning", "ForeignHolder", message);
    }
  };

  return async (plan: VipPlan, claims: readonly AddressClaim[]): Promise<void> => {
    const held = daemon.holds();
    const mine = new Map(plan.instances.flatMap((one) => one.addresses.map((address) => [address, one] as const)));
    for (const claim of claims) {
      const instance = mine.get(claim.spec.address);
      const isHeld = instance !== undefined && held.has(instance.name);
      const wasHeld = claim.status?.holder === nodeName;
      let changed = claim;
      if (isHeld !== wasHeld)
        changed = isHeld ? taken(claim, nodeName, clock) : left(claim, instance?.barred ?? daemon.failure(), clock);
      changed = conflictOf(changed, instance, isHeld);
      if (changed === claim) continue;
      try {
        await client.updateStatus(addressClaims, changed);
        if (isHeld !== wasHeld) {
          const message = `node ${nodeName} ${isHeld ? "holds" : "no longer holds"} ${claim.spec.address}`;
          events.event(changed, "Normal", isHeld ? "AddressHeld" : "AddressReleased", message);
        }
        const [old, now] = [claim, changed].map(({ status }) => findCondition(status?.conditions, conflictCondition));
        if (now?.status === "True" && old?.message !== now.message) {
          const message = `${claim.spec.address}: ${now.message ?? ""}`;
          events.event(changed, "Warning", "ForeignHolder", message);
          tellOwners(changed, message);
        }
      } catch (error) {
        if (!isStatus(error, "Conflict", "NotFound")) throw error;
        log.debug({ address: claim.spec.address }, "the claim has changed meanwhile");
      }
    }
  };
}

function taken(claim: AddressClaim, node: string, clock: Clock): AddressClaim {
  const now = formatTime(clock.now());
  const condition = { type: announcedCondition, status: "True", reason: "Held", message: `node ${node} holds it` };
  const conditions = setCondition<Condition>(claim.status?.conditions, condition, now);
  const transitions = (claim.status?.transitions ?? 0) + 1;
  return { ...claim, status: { ...claim.status, holder: node, holderSince: now, transitions, conditions } };
}

/** With what is known of other machines that answer; the same object when it says so already. */
function withConflict(claim: AddressClaim, claimant: string | undefined, clock: Clock): AddressClaim {
  const before = findCondition(claim.status?.conditions, conflictCondition);
  if (claimant === undefined && before?.status !== "True") return claim;
  const condition =
    claimant === undefined
      ? { type: conflictCondition, status: "False", reason: "NobodyElse", message: "no other machine answers for it" }
      : { type: conflictCondition, status: "True", reason: "ForeignHolder", message: `${claimant} answers for it` };
  if (before?.status === condition.status && before.message === condition.message) return claim;
  const conditions = setCondition<Condition>(claim.status?.conditions, condition, formatTime(clock.now()));
  return { ...claim, status: { ...claim.status, conditions } };
}

function left(claim: AddressClaim, why: string | undefined, clock: Clock): AddressClaim {
  const { holder: _holder, holderSince: _since, ...rest } = claim.status ?? {};
  const message = why ?? "no node has said that it holds it";
  const condition = { type: announcedCondition, status: "False", reason: "NotHeld", message };
  // Of an address that is nobody's any more, nobody asks who else has it.
  const others = (claim.status?.conditions ?? []).filter(
    ({ type }) => type !== conflictCondition || claim.spec.owners?.length,
  );
  const conditions = setCondition<Condition>(others, condition, formatTime(clock.now()));
  return { ...claim, status: { ...rest, conditions } };
}
