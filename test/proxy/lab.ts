import { fork, type ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import type { Protocol } from "../../src/services/index.ts";
import koffi from "koffi";
import type { ProxyOptions } from "../../src/proxy/index.ts";
import { runOrThrow, silentLogger, systemClock, systemCommands } from "../../src/system/index.ts";

/** How often each answer came: "endpoint address, client address as the endpoint saw it", "refused", "silent". */
export type Answers = Record<string, number>;

export interface Ask {
  readonly address: string;
  readonly port: number;
  readonly protocol?: Protocol;
  /** Source address. */
  readonly source?: string;
  /** Source port, UDP only. */
  readonly localPort?: number;
  readonly count?: number;
  readonly atOnce?: number;
  readonly timeout?: number;
  /** Keep the connection open for `echo`. */
  readonly hold?: boolean;
}

export interface Agent {
  serve(where: { address: string; port: number; protocol?: "TCP" | "UDP" }): Promise<void>;
  ask(what: Ask): Promise<Answers>;
  echo(): Promise<boolean[]>;
}

export interface Lab {
  /** A machine with a pod address (10.42.1.2) and one outside the cluster (192.168.77.2). */
  readonly client: Agent;
  /** The node itself. The test's own process is in its namespace as well. */
  readonly node: Agent;
  /** Holds the addresses 10.42.2.2 to 10.42.2.21, which are pods'. */
  readonly pods: Agent;
  close(): Promise<void>;
}

export const podAddress = (i: number): string => `10.42.2.${i + 2}`;
export const nodeAddress = "192.168.77.1";

/** What a proxy on the lab's node is started with, whatever its mode. */
export const labNode = {
  nodeName: "node1",
  nodeAddresses: [nodeAddress, "10.42.2.1"],
  podCidrs: ["10.42.0.0/16"],
  serviceCidrs: ["10.96.0.0/16"],
  clock: systemClock,
  log: silentLogger,
  commands: systemCommands,
} satisfies Partial<ProxyOptions>;
export const outside = "192.168.77.2";
export const clientPod = "10.42.1.2";
const podCount = 20;

/** Why the lab cannot be built here; undefined when it can. */
export const whyNoLab = process.getuid?.() === 0 ? await missingTool() : "needs root for network namespaces";

async function missingTool(): Promise<string | undefined> {
  for (const [file, argument] of [
    ["ip", "-V"],
    ["nft", "-v"],
    ["conntrack", "-V"],
  ] as const) {
    const found = await systemCommands.run(file, [argument]).catch(() => undefined);
    if (!found) return `needs ${file}`;
  }
  return undefined;
}

const ip = (...args: string[]) => runOrThrow(systemCommands, "ip", args);

/** Builds client, node and pods as three network namespaces and moves this process into the node's. */
export async function createLab(): Promise<Lab> {
  const names = { client: `fl-client-${process.pid}`, node: `fl-node-${process.pid}`, pods: `fl-pods-${process.pid}` };
  for (const name of Object.values(names)) {
    await ip("netns", "add", name);
    await ip("-n", name, "link", "set", "lo", "up");
  }
  const { client, node, pods } = names;
  await ip("-n", node, "link", "add", "c0", "type", "veth", "peer", "name", "eth0", "netns", client);
  await ip("-n", node, "link", "add", "p0", "type", "veth", "peer", "name", "eth0", "netns", pods);
  const addresses: [string, string, string[]][] = [
    [client, "eth0", [`${outside}/24`, `${clientPod}/24`]],
    [node, "c0", [`${nodeAddress}/24`, "10.42.1.1/24"]],
    [node, "p0", ["10.42.2.1/24"]],
    [pods, "eth0", Array.from({ length: podCount }, (_, i) => `${podAddress(i)}/24`)],
  ];
  for (const [name, device, list] of addresses) {
    for (const address of list) await ip("-n", name, "address", "add", address, "dev", device);
    await ip("-n", name, "link", "set", device, "up");
  }
  await ip("-n", client, "route", "add", "default", "via", nodeAddress);
  await ip("-n", pods, "route", "add", "default", "via", "10.42.2.1");
  // A node has a default route, else its own packets to a Service would not get as far as the proxy.
  await ip("-n", node, "route", "add", "default", "via", outside);
  await ip("netns", "exec", node, "sysctl", "-qw", "net.ipv4.ip_forward=1");
  // As on the kubelet's bridge: where a packet would go out as it came in, a redirect takes the place of a refusal's ICMP message.
  for (const device of ["all", "c0"])
    await ip("netns", "exec", node, "sysctl", "-qw", `net.ipv4.conf.${device}.send_redirects=0`);

  const home = enter(`/run/netns/${node}`);
  const agents = Object.values(names).map((name) => startAgent(name));
  const [clientAgent, nodeAgent, podsAgent] = agents.map(({ agent }) => agent);
  if (!clientAgent || !nodeAgent || !podsAgent) throw new Error("no agents");
  return {
    client: clientAgent,
    node: nodeAgent,
    pods: podsAgent,
    async close() {
      for (const { child } of agents) child.disconnect();
      home();
      for (const name of Object.values(names)) await ip("netns", "delete", name);
    },
  };
}

/** Moves this thread, and with it every socket and child it makes, into a network namespace; returns the way back. */
export function enter(path: string): () => void {
  const setns = koffi.load("libc.so.6").func("int setns(int fd, int type)");
  const newNetwork = 0x4000_0000;
  const go = (fd: number) => {
    if (setns(fd, newNetwork) !== 0) throw new Error(`setns ${path} failed`);
    closeSync(fd);
  };
  const own = openSync("/proc/thread-self/ns/net", "r");
  go(openSync(path, "r"));
  return () => go(own);
}

/** What answers the calls of a module that runs in a namespace. */
export type Call = <T>(action: string, options?: object) => Promise<T>;

/** Runs a module of this folder in a network namespace; each call is one message to it and one back. */
export function startModule(namespace: string, module: string): { call: Call; child: ChildProcess } {
  const child = fork(join(import.meta.dirname, module), {
    execPath: "ip",
    execArgv: ["netns", "exec", namespace, process.execPath],
  });
  let last = 0;
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (reason: Error) => void }>();
  child.on("message", ({ id, result, error }: { id: number; result: never; error?: string }) => {
    const waiter = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) waiter?.resolve(result);
    else waiter?.reject(new Error(error));
  });
  child.on("exit", () => {
    for (const waiter of waiting.values()) waiter.reject(new Error(`${module} in ${namespace} has ended`));
  });
  const call: Call = <T>(action: string, options: object = {}) =>
    new Promise<T>((resolve, reject) => {
      last += 1;
      waiting.set(last, { resolve, reject });
      child.send({ id: last, action, options });
    });
  return { call, child };
}

export function startAgent(namespace: string): { agent: Agent; child: ChildProcess } {
  const { call, child } = startModule(namespace, "agent.mjs");
  return {
    child,
    agent: {
      serve: (where) => call("serve", where),
      ask: (what) => call("ask", what),
      echo: () => call("echo"),
    },
  };
}
