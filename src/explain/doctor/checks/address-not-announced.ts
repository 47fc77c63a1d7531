import type { Announcement } from "../../../loadbalancer/index.ts";
import type { Service } from "../../../kube/index.ts";
import type { Check, Facts } from "../check.ts";

/** An address that a Service has, and that the network does not lead here as it should. */
export const addressNotAnnounced: Check = {
  code: "address-not-announced",
  about: "addresses of Services that no node holds, or no router is told",
  reads: "Services, AddressPools, AddressClaims, BGPPeers, BGPSessions, Leases, Nodes",
  *run(facts) {
    for (const { service, object } of facts.services) {
      for (const { fault } of announcementsOf(facts, service)) {
        if (!fault) continue;
        const { isFatal, field, problem, evidence, remedy } = fault;
        const where = fault.object === object ? [] : [`it is about ${fault.object}`];
        yield {
          severity: isFatal ? "error" : "warning",
          object,
          field: fault.object === object ? field : "status.loadBalancer",
          problem,
          evidence: [...where, ...evidence],
          remedy: fault.object === object ? remedy : `${remedy} (${fault.object}: ${field})`,
        };
      }
    }
  },
};

/** How each address of a Service is announced; those that are not to be are left out. */
export function announcementsOf({ announcement }: Facts, { status }: Service): Announcement[] {
  return (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip === undefined ? [] : (announcement(ip) ?? [])));
}
