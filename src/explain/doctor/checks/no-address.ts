import { needsClusterIp } from "../../../kube/index.ts";
import type { Check } from "../check.ts";

/** Nothing has given the Service an address. */
export const noAddress: Check = {
  code: "no-cluster-ip",
  about: "a Service that no address has been allocated for",
  reads: "Services",
  *run({ services }) {
    for (const { service, object } of services) {
      if (!needsClusterIp(service.spec) || service.spec.clusterIP) continue;
      yield {
        severity: "error",
        object,
        field: "spec.clusterIP",
        problem: "it has no cluster IP",
        evidence: ["spec.clusterIP is empty"],
        remedy: "look at the API server's allocator: is a ServiceCIDR exhausted?",
      };
    }
  },
};
