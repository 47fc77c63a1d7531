import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { createHttpClient, loadKubeconfig, type Client } from "../../src/client/index.ts";
import { resources } from "../../src/kube/index.ts";
import {
  addressClaims,
  addressPools,
  claimName,
  ensureDefinitions,
  type AnnounceSpec,
} from "../../src/loadbalancer/index.ts";
import { runOrThrow, systemClock, systemCommands } from "../../src/system/index.ts";
import { noKernel, repository } from "./lab.ts";

/** Why nothing of this can run here; undefined when it can. */
export const noVipLab: string | undefined =
  noKernel ?? (spawnSync("keepalived", ["--version"]).error ? "needs keepalived" : undefined);

/** What the probe saw between start and stop. Times in milliseconds. */
export interface Recording {
  readonly sent: number;
  readonly lost: number;
  /** Longest time from the first probe that was lost to the first that was answered again. */
  readonly gap: number;
  /** Samples that two nodes answered. */
  readonly dual: number;
  /** Longest pause of the probe itself. */
  readonly stall: number;
  /** Who answered, in order. */
  readonly answers: readonly string[];
}

export interface Probe {
  start(): Promise<void>;
  stop(): Promise<Recording>;
}

/** A network of nodes, each a namespace, a client and an API server, joined by one switch. */
export interface VipLab {
  readonly dir: string;
  readonly client: Client;
  readonly nodes: readonly string[];
  /** Runs a program in a node's network. */
  on(node: string, file: string, ...args: string[]): Promise<string>;
  /** A long-lived program in a node's network. */
  startOn(node: string, file: string, ...args: string[]): ChildProcess;
  /** Starts `fairlead vip`, or what the lab is for, on a node. */
  startAgent(node: string, ...flags: string[]): Promise<void>;
  stopAgent(node: string, how: NodeJS.Signals): Promise<void>;
  /** Kills keepalived of a node, parent and child. */
  killDaemon(node: string, which: "parent" | "child"): Promise<void>;
  /** Cuts a node off the network, or joins it again. */
  isolate(node: string): Promise<void>;
  rejoin(node: string): Promise<void>;
  stopApi(): Promise<void>;
  startApi(): Promise<void>;
  /** Which nodes have an address, by the kernel. */
  holders(address: string): Promise<string[]>;
  probe(address: string): Promise<Probe>;
  /** Makes a Service and waits for its address. */
  expose(name: string, spec?: object, annotations?: Readonly<Record<string, string>>): Promise<string>;
  addNode(node: string): Promise<void>;
  /** One more machine on the switch. */
  join(name: string, addresses: readonly string[]): Promise<void>;
  /** Its network namespace. */
  namespace(name: string): string;
  log(node: string): Promise<string>;
  close(): Promise<void>;
}

export const nodeAddress = (node: string): string => `10.9.0.${node.replace("node-", "")}`;
/** IPv6, where the lab has it. */
export const nodeAddress6 = (node: string): string => `fd00:9::${node.replace("node-", "")}`;
const clientAddress6 = "fd00:9::200";
const directAddress = (node: string) => `10.9.0.${200 + Number(node.replace("node-", ""))}`;
const directAddress6 = (node: string) => `fd00:9::${200 + Number(node.replace("node-", ""))}`;
const apiAddress = "10.9.0.250";
const apiAddress6 = "fd00:9::250";
const clientAddress = "10.9.0.200";
const port = 7007;
const ip = (...args: string[]) => runOrThrow(systemCommands, "ip", args);

export interface VipLabOptions {
  readonly nodes: number;
  readonly addresses: readonly string[];
  readonly announce?: AnnounceSpec;
  /** The subcommand that nodes run. Default vip. */
  readonly agent?: "vip" | "bgp" | "keepalived-vip";
  /** Nodes, client and Services have IPv6 addresses too. Default false. */
  readonly six?: boolean;
  /** The network is asked for an address before it is given. Default false. */
  readonly probe?: boolean;
}

/** Files with the numbers of processes that outlive agents. */
const leftBehind = ["keepalived.pid", "bird.pid", "bgpd.pid", "bfdd.pid", "zebra.pid"];

let labs = 0;

export async function openVipLab(options: VipLabOptions): Promise<VipLab> {
  const built = spawnSync(process.execPath, [join(repository, "fairlead"), "version"], { encoding: "utf8" });
  if (built.status !== 0) throw new Error(`the build failed: ${built.stderr}`);
  const dir = await mkdtemp(join(tmpdir(), "fairlead-vip-"));
  const prefix = `flv${process.pid}-${++labs}-`;
  const netns = (name: string) => `${prefix}${name}`;
  const namespaces: string[] = [];
  const children = new Set<ChildProcess>();
  const agents = new Map<string, ChildProcess>();
  const ports = new Map<string, string>();
  const nodes: string[] = [];

  const start = (namespace: string, file: string, args: readonly string[], log?: string): ChildProcess => {
    const child = spawn("nsenter", [`--net=/run/netns/${netns(namespace)}`, "--", file, ...args], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, HOME: dir },
    });
    children.add(child);
    child.on("exit", () => children.delete(child));
    child.on("error", () => {});
    if (log !== undefined) {
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (chunk: Buffer) => void appendLog(join(dir, log), chunk));
      }
    } else child.stderr.resume();
    return child;
  };

  const join_ = async (namespace: string, addresses: readonly string[]) => {
    await ip("netns", "add", netns(namespace));
    namespaces.push(namespace);
    const outer = `p${ports.size}`;
    ports.set(namespace, outer);
    await ip("-n", netns(namespace), "link", "set", "lo", "up");
    await ip(
      "-n",
      netns("switch"),
      "link",
      "add",
      outer,
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "netns",
      netns(namespace),
    );
    await ip("-n", netns(namespace), "link", "set", "eth0", "up");
    for (const address of addresses) await addAddress(namespace, address);
    await ip("-n", netns("switch"), "link", "set", outer, "master", "br0", "up");
  };

  /** One that can be used at once: nobody is asked whether it is another's. */
  const addAddress = (namespace: string, address: string) =>
    address.includes(":")
      ? ip("-n", netns(namespace), "address", "add", `${address}/64`, "dev", "eth0", "nodad")
      : ip("-n", netns(namespace), "address", "add", `${address}/24`, "dev", "eth0");

  await ip("netns", "add", netns("switch"));
  namespaces.push("switch");
  await ip("-n", netns("switch"), "link", "add", "br0", "type", "bridge");
  await ip("-n", netns("switch"), "link", "set", "br0", "up");
  const nft = (text: string) =>
    runOrThrow(systemCommands, "nsenter", [`--net=/run/netns/${netns("switch")}`, "nft", "-f", "-"], { input: text });
  await nft(`table bridge cut {
    set off { type ifname; }
    chain forward { type filter hook forward priority 0; iifname @off drop; oifname @off drop; }
  }`);

  const startApi = async (): Promise<ChildProcess> => {
    const config = JSON.stringify({ host: apiAddress, port: 6443, dir, six: options.six ?? false });
    const script = join(repository, "test/support/vip-api.mjs");
    const child = start("api", process.execPath, [script, join(repository, "dist"), config]);
    await Promise.race([
      once(child.stdout ?? child, "data"),
      once(child, "exit").then(() => {
        throw new Error("the API server ended");
      }),
    ]);
    return child;
  };

  await join_("api", options.six ? [apiAddress, apiAddress6] : [apiAddress]);
  await join_("client", options.six ? [clientAddress, clientAddress6] : [clientAddress]);
  let api = await startApi();
  const kubeconfig = join(dir, "kubeconfig");
  // The API server is in another network: a local port leads to it.
  const forward = await startForward(
    start("api", process.execPath, [forwardScript(), join(dir, "api.sock"), apiAddress]),
  );
  const bridge = await openBridge(join(dir, "api.sock"));
  const config = await loadKubeconfig({ path: kubeconfig });
  const client = createHttpClient({
    ...config,
    server: `https://127.0.0.1:${bridge.port}`,
    serverName: "kube-apiserver",
  });
  const stopped = new AbortController();
  await ensureDefinitions(client, { clock: systemClock, signal: stopped.signal });
  await client.create(addressPools, {
    metadata: { name: "lab" },
    spec: { addresses: options.addresses, announce: { protocol: "VRRP", ...options.announce } },
  });
  const balancer = ["loadbalancer", "--kubeconfig", kubeconfig, "--status-address", "127.0.0.1:10258"];
  start(
    "api",
    process.execPath,
    [join(repository, "fairlead"), ...balancer, ...(options.probe ? [] : ["--no-probe"])],
    "loadbalancer.log",
  );

  const lab: VipLab = {
    dir,
    client,
    nodes,
    on: (node, file, ...args) =>
      runOrThrow(systemCommands, "nsenter", [`--net=/run/netns/${netns(node)}`, "--", file, ...args]),
    startOn: (node, file, ...args) => start(node, file, args),
    async addNode(node) {
      const addresses = options.six ? [nodeAddress(node), nodeAddress6(node)] : [nodeAddress(node)];
      await join_(node, addresses);
      await lab.on(node, "sysctl", "-qw", "net.ipv4.ip_nonlocal_bind=1");
      if (options.six) await lab.on(node, "sysctl", "-qw", "net.ipv6.ip_nonlocal_bind=1");
      nodes.push(node);
      // The client reaches each node by itself, whoever has the address: by a source of its own.
      const number = node.replace("node-", "");
      const inClient = (...args: string[]) => ip("-n", netns("client"), ...args);
      await addAddress("client", directAddress(node));
      await inClient("rule", "add", "from", directAddress(node), "lookup", number);
      await inClient("route", "add", "10.9.0.0/24", "via", nodeAddress(node), "dev", "eth0", "table", number);
      if (options.six) {
        await addAddress("client", directAddress6(node));
        await inClient("-6", "rule", "add", "from", directAddress6(node), "lookup", number);
        await inClient("-6", "route", "add", "fd00:9::/64", "via", nodeAddress6(node), "dev", "eth0", "table", number);
      }
      await client.create(resources.Node, { metadata: { name: node }, spec: {} });
      await client.patch(
        resources.Node,
        { name: node },
        {
          type: "merge",
          body: {
            status: {
              addresses: addresses.map((address) => ({ type: "InternalIP", address })),
              conditions: [{ type: "Ready", status: "True", reason: "Lab", message: "" }],
            },
          },
        },
        { subresource: "status" },
      );
    },
    join: join_,
    namespace: netns,
    async startAgent(node, ...flags) {
      const args = [
        options.agent ?? "vip",
        ...flags,
        "--kubeconfig",
        kubeconfig,
        "--node",
        node,
        "--dir",
        join(dir, node),
      ];
      agents.set(node, start(node, process.execPath, [join(repository, "fairlead"), ...args], `${node}.log`));
    },
    async stopAgent(node, how) {
      const child = agents.get(node);
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      child.kill(how);
      await ended;
    },
    async killDaemon(node, which) {
      const file = which === "parent" ? "keepalived.pid" : "vrrp.pid";
      process.kill(Number(await readFile(join(dir, node, file), "utf8")), "SIGKILL");
    },
    isolate: async (node) => void (await nft(`add element bridge cut off { ${ports.get(node)} }`)),
    rejoin: async (node) => void (await nft(`delete element bridge cut off { ${ports.get(node)} }`)),
    async stopApi() {
      const ended = once(api, "exit");
      api.kill("SIGKILL");
      await ended;
    },
    async startApi() {
      api = await startApi();
    },
    async holders(address) {
      const found: string[] = [];
      for (const node of nodes) {
        const text = await lab.on(node, "ip", "-o", "address", "show", "to", address);
        if (text.trim()) found.push(node);
      }
      return found;
    },
    async probe(address) {
      for (const node of nodes) {
        const echo = start(node, process.execPath, [
          join(repository, "test/support/vip-echo.mjs"),
          node,
          String(port),
          address,
        ]);
        await once(echo.stdout ?? echo, "data");
      }
      const isSix = address.includes(":");
      const direct = nodes.map(isSix ? directAddress6 : directAddress);
      const script = join(repository, "test/support/vip-probe.mjs");
      const args = [script, address, String(port), "5", isSix ? clientAddress6 : clientAddress, ...direct];
      const child = start("client", process.execPath, args);
      if (!child.stdout) throw new Error("no output");
      const lines = createInterface({ input: child.stdout });
      await nextLine(lines);
      const say = async (word: string) => {
        const answer = nextLine(lines);
        child.stdin?.write(`${word}\n`);
        return answer;
      };
      return {
        start: async () => void (await say("start")),
        stop: async () => JSON.parse(await say("stop")) as Recording,
      };
    },
    async expose(name, spec = {}, annotations = {}) {
      const metadata = { name, namespace: "default" };
      await client.create(resources.Service, {
        metadata: { ...metadata, annotations },
        spec: { type: "LoadBalancer", allocateLoadBalancerNodePorts: false, ports: [{ port: 80 }], ...spec },
      });
      for (let tries = 0; tries < 300; tries++) {
        const { status } = await client.get(resources.Service, metadata);
        const found = status?.loadBalancer?.ingress?.[0]?.ip;
        if (found) return found;
        await sleep(100);
      }
      throw new Error(`Service ${name} has no address`);
    },
    log: (node) => readFile(join(dir, `${node}.log`), "utf8").catch(() => ""),
    async close() {
      stopped.abort();
      bridge.close();
      for (const [, child] of agents) child.kill("SIGTERM");
      const running = [...agents.values()].filter((child) => (child.exitCode ?? child.signalCode) === null);
      await Promise.all(running.map((child) => once(child, "exit")));
      for (const file of nodes.flatMap((node) => leftBehind.map((one) => join(dir, node, one)))) {
        const text = await readFile(file, "utf8").catch(() => "");
        const command = await readFile(`/proc/${text.trim()}/cmdline`, "utf8").catch(() => "");
        if (command.includes(dir)) process.kill(Number(text), "SIGKILL");
      }
      const left = [...children].map((child) => once(child, "exit"));
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(left);
      forward.kill("SIGKILL");
      for (const name of namespaces) await ip("netns", "delete", netns(name)).catch(() => "");
      await rm(dir, { recursive: true, force: true, maxRetries: 3 });
    },
  };
  for (let i = 1; i <= options.nodes; i++) await lab.addNode(`node-${i}`);
  return lab;
}

/** Which addresses of 10.9.1.0/24 each node has, by the kernel. */
export async function heldByNode(lab: VipLab): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const node of lab.nodes) {
    const text = await lab.on(node, "ip", "-o", "address", "show", "to", "10.9.1.0/24");
    found.set(
      node,
      [...text.matchAll(/inet (\S+)\/32/g)].map(([, address]) => address ?? ""),
    );
  }
  return found;
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Settles when exactly one node has the address and has said so, with its name. */
export async function holderOf(
  lab: VipLab,
  address: string,
  isIt: (node: string) => boolean = () => true,
): Promise<string> {
  let last: unknown;
  for (let tries = 0; tries < 400; tries++) {
    const holders = await lab.holders(address);
    const [holder = ""] = holders;
    last = holders;
    if (holders.length === 1 && isIt(holder)) {
      const claim = await lab.client.get(addressClaims, { name: claimName(address) }).catch(() => undefined);
      if (claim?.status?.holder === holder) return holder;
      last = claim?.status;
    }
    await sleep(100);
  }
  const logs = await Promise.all(lab.nodes.map((node) => lab.log(node)));
  throw new Error(`${address} has not come to rest: ${JSON.stringify(last)}\n${logs.join("\n").slice(-4000)}`);
}

function nextLine(lines: Interface): Promise<string> {
  return once(lines, "line").then(([line]) => String(line));
}

async function appendLog(path: string, chunk: Buffer): Promise<void> {
  const { appendFile } = await import("node:fs/promises");
  await appendFile(path, chunk).catch(() => {});
}

/** A program that leads a socket file to the API server's address. */
function forwardScript(): string {
  return join(repository, "test/support/vip-forward.mjs");
}

async function startForward(child: ChildProcess): Promise<ChildProcess> {
  await once(child.stdout ?? child, "data");
  return child;
}

/** A port of this machine's loopback that leads to a socket file. */
async function openBridge(path: string): Promise<{ port: number; close(): void }> {
  const { createServer, connect } = await import("node:net");
  const sockets = new Set<{ destroy(): void }>();
  const server = createServer((socket) => {
    const other = connect(path);
    sockets.add(socket);
    for (const [from, to] of [
      [socket, other],
      [other, socket],
    ] as const) {
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
      from.pipe(to);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : 0,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
