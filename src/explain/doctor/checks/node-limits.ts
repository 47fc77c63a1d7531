import type { Check } from "../check.ts";

/** Share of a limit from which on it is told of. */
const nearly = 0.8;

/** Limits of the kernel and of the process that new connections fail at. */
export const nodeLimits: Check = {
  code: "node-limits",
  about: "a conntrack table or a limit of open files that is nearly reached; forwarding that is off",
  reads: "/proc of the node",
  *run({ nodes }) {
    for (const { node, conntrack, files, notForwarding = [] } of nodes) {
      const base = { object: `Node ${node}`, field: "" };
      for (const setting of notForwarding)
        yield {
          ...base,
          severity: "error",
          problem: `it does not forward packets of ${setting.includes("ipv6") ? "IPv6" : "IPv4"}: connections to pods end here`,
          evidence: [`${setting} is 0`],
          remedy: `sysctl -w ${setting}=1`,
        };
      if (conntrack && conntrack.count >= conntrack.most * nearly)
        yield {
          ...base,
          severity: conntrack.count >= conntrack.most * 0.98 ? "error" : "warning",
          problem: "its table of connections is nearly full: new connections are dropped when it is",
          evidence: [`nf_conntrack_count ${conntrack.count} of nf_conntrack_max ${conntrack.most}`],
          remedy: `sysctl -w net.netfilter.nf_conntrack_max=${conntrack.most * 2}`,
        };
      if (files && files.open >= files.most * nearly)
        yield {
          ...base,
          severity: "warning",
          problem: "the proxy's process has nearly all the files open that it may: it takes no connections when it has",
          evidence: [`${files.open} of ${files.most} open`],
          remedy: "raise its limit of open files (LimitNOFILE, ulimit -n)",
        };
    }
  },
};
