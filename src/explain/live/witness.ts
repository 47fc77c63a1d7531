import { CommandError, type CommandRunner } from "../../system/index.ts";
import type { PacketTrace } from "../packet/packet-trace.ts";
import { compareWithKernel, type Comparison, type Observation } from "./compare.ts";
import { readFlow } from "./flow.ts";
import { type KernelPath, readTrace, removeScript, traceScript } from "./nft-trace.ts";
import { findPlaces, type Place, placeOfClient, run } from "./places.ts";

export interface WitnessOptions {
  readonly commands: CommandRunner;
  /** The addresses of the node whose rules are looked at. */
  readonly nodeAddresses: readonly string[];
  /** Names of network namespaces of this machine. Default: those that `ip netns` knows. */
  readonly namespaces?: () => Promise<readonly string[]>;
}

/**
 * Makes the connection that a trace is about, follows its first packet through the kernel's rules, and compares. The connection is
 * closed at once; over UDP an empty datagram is sent. Only where both ends are namespaces of this machine; else `unseen` says why.
 */
export async function compareLive(trace: PacketTrace, options: WitnessOptions): Promise<Comparison> {
  const { commands } = options;
  const nothing = (why: string): Comparison => ({ kernel: "nothing was sent", findings: [], unseen: [why] });
  const { from, to } = trace;
  if (trace.verdict === "alias" || to.address === "")
    return nothing("a name has no packets: trace an address it stands for");
  if (to.protocol === "SCTP") return nothing("SCTP connections cannot be made from here");
  const places = await findPlaces(commands, options.namespaces);
  const nodes = options.nodeAddresses.map((address) => places.holdersOf(address)).find((each) => each.length > 0);
  if (!nodes) return nothing(`${trace.node} is not on this machine: run this on the node itself, as root`);
  if (nodes.length > 1 && nodes[0] !== undefined)
    return nothing(
      `${nodes.length} network namespaces of this machine have the address of ${trace.node}: run this in one of them`,
    );
  const [node] = nodes;
  const client = await placeOfClient(commands, places, from.address, node);
  if (client === undefined)
    return nothing(
      `no network namespace of this machine has ${from.address}: the connection cannot be made from there`,
    );
  if (typeof client === "string") return nothing(client);
  const packet = { source: from.address, destination: to.address, protocol: to.protocol, port: to.port } as const;
  return compareWithKernel(trace, await observe(commands, node, client.place, packet));
}

/** Milliseconds for which the trace is listened to; longer the second time, since nft reads all rules before it listens. */
const listening = [1_500, 10_000] as const;

async function observe(
  commands: CommandRunner,
  node: Place,
  client: Place,
  packet: Parameters<typeof traceScript>[0],
): Promise<Observation> {
  const unseen: string[] = [];
  const script = (input: string) => run(commands, node, "nft", ["-f", "-"], input);
  const cannot = await script(traceScript(packet)).then(
    ({ code, stderr }) => (code === 0 ? undefined : (stderr.trim().split("\n")[0] ?? "nft failed")),
    (error: unknown) => (error instanceof CommandError ? error.message : String(error)),
  );
  if (cannot !== undefined) {
    unseen.push(`the rules cannot be followed: ${cannot}`);
    const said = await connect(commands, client, packet);
    return { ...(await flowOf(commands, node, packet, said, unseen)), unseen };
  }
  try {
    let seen: Pick<Observation, "outcome" | "flow"> = { outcome: "silent" };
    for (const patience of listening) {
      const monitor = run(commands, node, "nft", ["monitor", "trace"], "", patience);
      // It has to listen before there is something to be heard.
      await Promise.race([monitor, pause(patience * 0.4)]);
      const said = await connect(commands, client, packet);
      seen = await flowOf(commands, node, packet, said, unseen);
      const { stdout } = await monitor;
      const path: KernelPath | undefined = readTrace(stdout, packet.protocol, said.port);
      if (path) return { ...seen, path, unseen };
    }
    unseen.push("the packet did not come by the rules of this node: it took another way, or iptables-legacy has them");
    return { ...seen, unseen };
  } finally {
    await script(removeScript).catch(() => {});
  }
}

const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

interface Said {
  readonly outcome: Observation["outcome"];
  readonly port: number;
}

/** Makes one connection, in a process of its own that is in the client's namespace. */
async function connect(
  commands: CommandRunner,
  place: Place,
  packet: Parameters<typeof traceScript>[0],
): Promise<Said> {
  const words = JSON.stringify(packet);
  const { code, stdout, stderr } = await run(commands, place, process.execPath, ["-e", probe, words]);
  if (code !== 0) throw new Error(`the connection could not be tried: ${stderr.trim().split("\n").at(-1) ?? ""}`);
  return JSON.parse(stdout) as Said;
}

/** The program that connects. Its only argument is the packet as JSON; it prints what became of it. */
const probe = `
const { source, destination, protocol, port } = JSON.parse(process.argv[1]);
const names = { ECONNREFUSED: "refused", ECONNRESET: "refused", EHOSTUNREACH: "unreachable", ENETUNREACH: "unreachable" };
let local = 0;
const done = (outcome) => { process.stdout.write(JSON.stringify({ outcome, port: local })); process.exit(0); };
const failed = (error) => done(names[error.code] ?? "unreachable");
setTimeout(() => done("silent"), 1000);
if (protocol === "TCP") {
  const net = require("node:net");
  // The port is chosen before, so that it is known also where nothing answers.
  const server = net.createServer().listen(0, source, () => {
    local = server.address().port;
    server.close(() => {
      const socket = net.connect({ host: destination, port, localAddress: source, localPort: local });
      socket.on("error", failed);
      socket.on("connect", () => { socket.end(); setTimeout(() => done("connected"), 50); });
    });
  });
  server.on("error", failed);
} else {
  const socket = require("node:dgram").createSocket(source.includes(":") ? "udp6" : "udp4");
  socket.on("error", failed);
  socket.on("message", () => done("answered"));
  socket.bind(0, source, () => {
    local = socket.address().port;
    socket.connect(port, destination, () => {
      socket.send("");
      // A refusal comes with the next thing that is done.
      setTimeout(() => socket.send("", (error) => error && failed(error)), 200);
    });
  });
}
`;

async function flowOf(
  commands: CommandRunner,
  node: Place,
  { source, destination, protocol, port }: Parameters<typeof traceScript>[0],
  { outcome, port: local }: Said,
  unseen: string[],
): Promise<Pick<Observation, "outcome" | "flow">> {
  const words = ["-L", "-p", protocol.toLowerCase(), "--orig-src", source, "--orig-dst", destination];
  const ports = ["--orig-port-src", String(local), "--orig-port-dst", String(port)];
  const family = source.includes(":") ? ["-f", "ipv6"] : [];
  try {
    const { stdout } = await run(commands, node, "conntrack", [...words, ...ports, ...family]);
    const flow = readFlow(stdout);
    return { outcome, ...(flow ? { flow } : {}) };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    if (!unseen.some((line) => line.includes("conntrack")))
      unseen.push(`translations cannot be seen: ${error.message}`);
    return { outcome };
  }
}
