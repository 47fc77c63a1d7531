import type { Command } from "commander";
import { startBgpAgent } from "../loadbalancer/index.ts";
import { nodeAgentCommand, runNodeAgent, type NodeAgentOptions } from "./node-agent.ts";

export function bgpCommand(): Command {
  return nodeAgentCommand("bgp", { dir: "/var/lib/fairlead-bgp", program: "BIRD" })
    .description(
      "Announce addresses of Services to routers by BGP, on any cluster. Run it on every node that is to announce them, as root.",
    )
    .option("--no-withdraw", "leave BIRD and its sessions as they are when this ends")
    .addHelpText(
      "after",
      `
Addresses are those of AddressPools with spec.announce.protocol BGP, routers are BGPPeers (fairlead.dev/v1alpha1); what each session is at the moment
is in \`kubectl get bgpsessions\`. BIRD 2 is needed.

Examples:
  fairlead bgp --kubeconfig /etc/fairlead/kubeconfig --node node-1
  fairlead bgp --health-url http://127.0.0.1:10256/healthz --metrics-bind-address 127.0.0.1:10259`,
    )
    .action((options: NodeAgentOptions & { readonly withdraw: boolean }) =>
      runNodeAgent(options, "bird", (given) => startBgpAgent({ ...given, release: options.withdraw })),
    );
}
