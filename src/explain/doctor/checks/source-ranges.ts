import { parseCidr } from "../../../services/index.ts";
import type { Check } from "../check.ts";

/** Source ranges that are not what they seem: unreadable ones, and those of Services they do not count for. */
export const sourceRanges: Check = {
  code: "source-ranges",
  about: "loadBalancerSourceRanges that cannot be read or do not count",
  reads: "Services",
  *run({ services }) {
    for (const { service, object } of services) {
      const { type, loadBalancerSourceRanges: ranges = [] } = service.spec;
      if (ranges.length === 0) continue;
      const bad = ranges.filter((range) => !parseCidr(range));
      if (bad.length > 0)
        yield {
          severity: "error",
          object,
          field: "spec.loadBalancerSourceRanges",
          problem: `${bad.map((range) => JSON.stringify(range)).join(", ")} is no range of addresses`,
          evidence: [`ranges: ${ranges.join(", ")}`],
          remedy: "write it as ADDRESS/PREFIX, for example 192.0.2.0/24",
        };
      if (type === "LoadBalancer") continue;
      yield {
        severity: "warning",
        object,
        field: "spec.loadBalancerSourceRanges",
        problem: `source ranges count only for type LoadBalancer, and it is ${type ?? "ClusterIP"}: everybody may connect`,
        evidence: [`spec.type is ${type ?? "ClusterIP"}`],
        remedy: "guard it by a NetworkPolicy or a firewall, or make it a LoadBalancer",
      };
    }
  },
};
