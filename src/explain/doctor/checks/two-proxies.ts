import type { Check } from "../check.ts";

/** Two programs that both serve Services: who comes first decides, and the other's changes seem to have no effect. */
export const twoProxies: Check = {
  code: "two-proxies",
  about: "two Service proxies on one node",
  reads: "the node's nftables and iptables",
  *run({ nodes }) {
    for (const { node, proxies = [] } of nodes) {
      if (proxies.length < 2) continue;
      yield {
        severity: "error",
        object: `Node ${node}`,
        field: "",
        problem: `${proxies.length} Service proxies have their rules in the kernel: ${proxies.join(" and ")}`,
        evidence: proxies.map((proxy) => `found: ${proxy}`),
        remedy: "stop one of them and take its rules out (kube-proxy --cleanup)",
      };
    }
  },
};
