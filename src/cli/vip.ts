import type { Command } from "commander";
import { startVipAgent } from "../loadbalancer/index.ts";
import { nodeAgentCommand, runNodeAgent, type NodeAgentOptions } from "./node-agent.ts";

export function vipCommand(): Command {
  return nodeAgentCommand("vip", { dir: "/var/lib/fairlead-vip", program: "keepalived" })
    .description(
      "Hold addresses of Services on this node by VRRP, on any cluster. Run it on every node that may hold them, as root.",
    )
    .option("--no-release-vips", "leave keepalived and its addresses as they are when this ends")
    .addHelpText(
      "after",
      `
Addresses are those of AddressPools with spec.announce.protocol VRRP; \`fairlead loadbalancer\` gives them to Services. keepalived is needed.

Examples:
  fairlead vip --kubeconfig /etc/fairlead/kubeconfig --node node-1
  fairlead vip --health-url http://127.0.0.1:10256/healthz`,
    )
    .action((options: NodeAgentOptions & { readonly releaseVips: boolean }) =>
      runNodeAgent(options, "keepalived", (given) => startVipAgent({ ...given, release: options.releaseVips })),
    );
}
