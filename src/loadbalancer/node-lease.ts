import { formatMicroTime, isStatus, resources, type Lease } from "../kube/index.ts";
import type { Client } from "../client/index.ts";
import type { Clock } from "../system/index.ts";

/** Where agents renew their Leases; each is named after its node. */
export const leaseNamespace = "kube-system";
export const leasePrefixes = { vip: "fairlead-vip-", bgp: "fairlead-bgp-" } as const;
/** An agent that has not renewed its Lease for so long is not there. */
export const leaseSeconds = 40;

/** Whether an agent of a node has been heard of. `now`: milliseconds since the epoch. */
export function isHeard(
  leases: readonly Lease[],
  agent: keyof typeof leasePrefixes,
  node: string,
  now: number,
): boolean {
  const lease = leases.find(({ metadata }) => metadata.name === `${leasePrefixes[agent]}${node}`);
  return lease !== undefined && now - Date.parse(lease.spec.renewTime ?? "") < leaseSeconds * 1000;
}

export interface NodeLeaseOptions {
  readonly name: string;
  readonly holder: string;
  /** What is told beside it goes into this annotation. */
  readonly annotation: string;
  readonly clock: Clock;
}

/** An agent's sign of life. */
export function createNodeLease(client: Client, { name, holder, annotation, clock }: NodeLeaseOptions) {
  let told: string | undefined;
  return {
    /** What was told last; undefined: nothing yet. */
    told: () => told,
    async renew(text: string): Promise<void> {
      const key = { namespace: leaseNamespace, name };
      const spec = {
        holderIdentity: holder,
        leaseDurationSeconds: leaseSeconds,
        renewTime: formatMicroTime(clock.now()),
      };
      const annotations = { [annotation]: text };
      try {
        await client.patch(resources.Lease, key, { type: "merge", body: { metadata: { annotations }, spec } });
      } catch (error) {
        if (!isStatus(error, "NotFound")) throw error;
        await client.create(resources.Lease, { metadata: { ...key, annotations }, spec });
      }
      told = text;
    },
  };
}
