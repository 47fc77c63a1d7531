import type { Check } from "../check.ts";

/** Rules of other programs on the same hooks: what they drop, the proxy cannot lead. */
export const foreignRules: Check = {
  code: "foreign-rules-drop",
  about: "rules of other programs that drop packets of pods and Services",
  reads: "the node's nftables (also what iptables-nft wrote)",
  *run({ nodes }) {
    for (const { node, foreign = [] } of nodes) {
      for (const { table, chain, hook, policy, dropping } of foreign) {
        if (policy === "accept" && dropping === 0) continue;
        const drops = policy === "drop";
        yield {
          severity: drops && (hook === "forward" || hook === "input") ? "error" : "warning",
          object: `Node ${node}`,
          field: "",
          problem: drops
            ? `table ${table}, chain ${chain} drops all that it does not accept on hook ${hook}: ${hook === "input" ? "NodePorts and health checks" : "packets to pods"} may be dropped`
            : `table ${table}, chain ${chain} has ${dropping} ${dropping === 1 ? "rule that drops" : "rules that drop"} or reject on hook ${hook}`,
          evidence: [`nft list chain ${table} ${chain}`],
          remedy: drops
            ? "accept what comes from and goes to pods and Services there, or make its policy accept"
            : "fairlead trace packet --live shows whether one of them meets a connection",
        };
      }
    }
  },
};
