import { Option, type Command } from "commander";
import { speakerNames, startBgpAgent, type SpeakerName } from "../loadbalancer/index.ts";
import { nodeAgentCommand, runNodeAgent, type NodeAgentOptions, type NodeProgram } from "./node-agent.ts";

const programs: Readonly<Record<SpeakerName, NodeProgram>> = { bird: "bird", frr: "/usr/lib/frr/bgpd" };

export function bgpCommand(): Command {
  return nodeAgentCommand("bgp", { dir: "/var/lib/fairlead-bgp", program: "the speaker" })
    .description(
      "Announce addresses of Services to routers by BGP, on any cluster. Run it on every node that is to announce them, as root.",
    )
    .addOption(new Option("--speaker <name>", "the program that speaks BGP").choices(speakerNames).default("bird"))
    .option("--no-withdraw", "leave the speaker and its sessions as they are when this ends")
    .addHelpText(
      "after",
      `
Addresses are those of AddressPools with spec.announce.protocol BGP, routers are BGPPeers (fairlead.dev/v1alpha1); what each session is at the moment
is in \`kubectl get bgpsessions\`. BIRD 2 is needed, or FRR 8 with --speaker frr.

Examples:
  fairlead bgp --kubeconfig /etc/fairlead/kubeconfig --node node-1
  fairlead bgp --speaker frr --node node-1
  fairlead bgp --health-url http://127.0.0.1:10256/healthz --metrics-bind-address 127.0.0.1:10259`,
    )
    .action((options: NodeAgentOptions & { readonly speaker: SpeakerName; readonly withdraw: boolean }) =>
      runNodeAgent(options, programs[options.speaker], (given) =>
        startBgpAgent({ ...given, speaker: options.speaker, release: options.withdraw }),
      ),
    );
}
