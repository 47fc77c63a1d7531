import { Command, CommanderError } from "commander";
import { errorLine, exitCodeOf, exitCodes } from "./errors.ts";

interface Entry {
  readonly summary: string;
  /** Loads the subcommand's module: only the one that is asked for, so that the others cost nothing. */
  readonly load: () => Promise<Command>;
  readonly hidden?: boolean;
}

const commands: Readonly<Record<string, Entry>> = {
  up: { summary: "Bring a cluster up on this machine", load: async () => (await import("./up.ts")).upCommand() },
  apiserver: {
    summary: "Run a further API server on the etcd of a cluster",
    load: async () => (await import("./apiserver.ts")).apiserverCommand(),
  },
  down: { summary: "Stop a cluster and its pods", load: async () => (await import("./down.ts")).downCommand() },
  status: {
    summary: "Show what is exposed, where it answers, and why something does not",
    load: async () => (await import("./status.ts")).statusCommand(),
  },
  trace: {
    summary: "Follow a packet or a request, and say at each step what decided",
    load: async () => (await import("./trace.ts")).traceCommand(),
  },
  diff: {
    summary: "Say what would change for clients if manifests were applied",
    load: async () => (await import("./diff.ts")).diffCommand(),
  },
  explain: {
    summary: "Tell the whole way of a Service, an Ingress or a pod, and why it is not reachable",
    load: async () => (await import("./explain.ts")).explainCommand(),
  },
  doctor: {
    summary: "Look for what keeps traffic from where it should go, and what puts it right",
    load: async () => (await import("./doctor.ts")).doctorCommand(),
  },
  migrate: {
    summary: "Say what a move from ingress-nginx changes, replay its access log, write Gateway API objects",
    load: async () => (await import("./migrate.ts")).migrateCommand(),
  },
  demo: {
    summary: "Bring up an example and send requests through every way",
    load: async () => (await import("./demo.ts")).demoCommand(),
  },
  proxy: {
    summary: "Serve the Services of any cluster, or of files, on this node",
    load: async () => (await import("./proxy.ts")).proxyCommand(),
  },
  ingress: {
    summary: "Lead HTTP to the Services of any cluster: Ingress and Gateway API",
    load: async () => (await import("./ingress.ts")).ingressCommand(),
  },
  loadbalancer: {
    summary: "Give Services addresses that never change, on any cluster",
    load: async () => (await import("./loadbalancer.ts")).loadbalancerCommand(),
  },
  vip: {
    summary: "Hold addresses of Services on this node by VRRP",
    load: async () => (await import("./vip.ts")).vipCommand(),
  },
  bgp: {
    summary: "Announce addresses of Services to routers by BGP",
    load: async () => (await import("./bgp.ts")).bgpCommand(),
  },
  "keepalived-vip": {
    summary: "Hold the addresses of a keepalived-vip ConfigMap",
    load: async () => (await import("./keepalived-vip.ts")).keepalivedVipCommand(),
  },
  "hp-loadbalancer": {
    summary: "Follow the ConfigMaps of HP's service-loadbalancer",
    load: async () => (await import("./hp-loadbalancer.ts")).hpLoadbalancerCommand(),
  },
  "service-loadbalancer": {
    summary: "Serve all Services by path, host or port, as service-loadbalancer did",
    load: async () => (await import("./service-loadbalancer.ts")).serviceLoadbalancerCommand(),
  },
  "lb-controller": {
    summary: "Serve Ingresses as Rancher's lb-controller did",
    load: async () => (await import("./lb-controller.ts")).lbControllerCommand(),
  },
  provider: {
    summary: "Hold a load balancer provider against the contract",
    load: async () => (await import("./provider.ts")).providerCommand(),
  },
  "test-cluster": {
    summary: "Run a Kubernetes API for the tests of a controller",
    load: async () => (await import("./test-cluster.ts")).testClusterCommand(),
  },
  store: { summary: "Look after the store", load: async () => (await import("./store.ts")).storeCommand() },
  secrets: {
    summary: "Look after how Secrets are kept",
    load: async () => (await import("./secrets.ts")).secretsCommand(),
  },
  version: { summary: "Print the version", load: async () => (await import("./version.ts")).versionCommand() },
  agent: {
    summary: "Run the parts of one further node",
    load: async () => (await import("./agent.ts")).agentCommand(),
    hidden: true,
  },
};

/** Runs one `fairlead` command line (without program and script). Returns its exit code; prints what is to be printed. */
export async function main(argv: readonly string[]): Promise<number> {
  const program = new Command("fairlead")
    .description(
      "Leads traffic to your pods, and says why it went there.\nA whole Kubernetes-compatible cluster in one program: `fairlead up`, then use kubectl.",
    )
    .helpCommand(false)
    .showHelpAfterError("(fairlead --help shows the commands)")
    .addHelpText(
      "after",
      "\nBegin with:\n  fairlead up --detach          a cluster in the background\n  fairlead status               what is exposed, and where\n  fairlead COMMAND --help       all about one command",
    );
  const named = argv.find((arg) => !arg.startsWith("-")) ?? "";
  for (const [name, entry] of Object.entries(commands)) {
    const command = name === named ? await entry.load() : new Command(name).description(entry.summary);
    program.addCommand(command, { hidden: entry.hidden ?? false });
  }
  settle(program);
  outliveReaders();
  try {
    if (argv.length === 0) {
      program.outputHelp();
      return 0;
    }
    await program.parseAsync(argv, { from: "user" });
    // A command that has done its work may say by its code what it found, as `diff` does.
    return typeof process.exitCode === "number" ? process.exitCode : 0;
  } catch (error) {
    // Commander has printed its own message; code 0 is --help.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.USAGE;
    console.error(errorLine(error));
    return exitCodeOf(error);
  }
}

/** Who reads what is printed may go (`fairlead status | head`): that is no fault, and a cluster in the foreground goes on. */
function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
    });
}

/** What holds for a command and all beneath it. */
function settle(command: Command): void {
  command.exitOverride();
  // One beneath it may have options of the same name.
  command.enablePositionalOptions();
  for (const child of command.commands) settle(child);
}
