import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Client } from "../../client/index.ts";
import { resources } from "../../kube/index.ts";
import { addressClaims } from "../../loadbalancer/index.ts";
import { type Clock, type CommandRunner, runOrThrow } from "../../system/index.ts";
import type { ClusterDirectory } from "../directory.ts";
import { CliError } from "../errors.ts";
import { lanAddress, lanBridge, lanLink, lanName, lanNamespace } from "../lan.ts";

/** What came of one event. Times in milliseconds. */
export interface Failover {
  readonly event: string;
  readonly from: string;
  readonly to: string;
  /** Longest time without an answer. */
  readonly gap: number;
  readonly requests: number;
  readonly lost: number;
}

export interface VipStageOptions {
  readonly client: Client;
  readonly directory: ClusterDirectory;
  readonly commands: CommandRunner;
  readonly clock: Clock;
  readonly tell: (line: string) => void;
}

/** Three nodes that each serve Ingresses, one address before them, and a client on a network of its own. */
export interface VipStage {
  readonly address: string;
  readonly events: readonly { readonly name: string; readonly run: () => Promise<Failover> }[];
  /** Ends and removes all of it but the cluster. */
  close(): Promise<void>;
}

const namespace = "demo";
const host = "hello.example.test";
/** Node 1 runs the API and the application; the others hold the address, so that each may die. */
const holders = [2, 3, 4];
export const vipNodes = holders.length + 1;
const clientNumber = 250;
const clientLink = `${lanBridge}c`;
const patience = 60_000;

/** A client's namespace; what a demo that was killed has left is removed first. Also what `close` needs when nothing else was made. */
export const clientNamespace = (directory: ClusterDirectory): string => `fairlead-client-${lanName(directory.root)}`;

export async function setVipStage(options: VipStageOptions): Promise<VipStage> {
  const { client, directory, commands, clock, tell } = options;
  const children: ChildProcess[] = [];
  const lan = lanName(directory.root);
  const ip = (...args: string[]) => runOrThrow(commands, "ip", args);

  const close = async () => {
    const running = children.filter(({ exitCode, signalCode }) => (exitCode ?? signalCode) === null);
    await Promise.all(
      running.map(async (child) => {
        const ended = once(child, "exit");
        child.kill("SIGTERM");
        await ended;
      }),
    );
    await removeClient(directory, commands);
  };

  /** A program in a network namespace. */
  const startIn = (name: string, ...args: string[]): ChildProcess => {
    const words = [`--net=/run/netns/${name}`, "--", process.execPath, ...args];
    const child = spawn("nsenter", words, { stdio: ["pipe", "pipe", "ignore"] });
    child.on("error", () => {});
    children.push(child);
    return child;
  };

  try {
    await removeClient(directory, commands);
    await exclude(client);
    await deploy(client);
    const kubeconfig = join(directory.root, "kubeconfig.lan");
    const own = await readFile(directory.kubeconfig, "utf8");
    await writeFile(kubeconfig, own.replaceAll("https://127.0.0.1:", `https://${lanAddress(1)}:`), { mode: 0o600 });
    for (const number of holders) {
      const ingress = [
        "ingress",
        "--kubeconfig",
        kubeconfig,
        "--no-gateway-api",
        "--publish-service",
        `${namespace}/web`,
      ];
      const child = startIn(lanNamespace(lan, number), process.argv[1] ?? "", ...ingress);
      child.stdout?.resume();
    }
    tell(`an Ingress data plane runs on ${holders.map((number) => `node-${number}`).join(", ")}`);
    const address = await until(clock, "the Service has an address", async () => {
      const { status } = await client.get(resources.Service, { namespace, name: "web" });
      return status?.loadBalancer?.ingress?.[0]?.ip;
    });

    const name = clientNamespace(directory);
    await ip("netns", "add", name);
    await ip("link", "add", clientLink, "type", "veth", "peer", "name", "eth0", "netns", name);
    await ip("link", "set", clientLink, "master", lanBridge, "up");
    await ip("-n", name, "address", "add", `${lanAddress(clientNumber)}/24`, "dev", "eth0");
    await ip("-n", name, "link", "set", "eth0", "up");
    await ip("-n", name, "route", "add", `${address}/32`, "dev", "eth0");

    const probe = await startProbe(
      startIn(name, fileURLToPath(new URL("./gap-probe.js", import.meta.url)), `http://${address}/`, host),
    );
    /** The only node that has the address, once it has said so. */
    const holder = (isIt: (node: string) => boolean = () => true) =>
      until(clock, "one node holds the address", async () => {
        const { status } = await client.get(addressClaims, { name: address });
        const found = status?.holder;
        return found !== undefined && isIt(found) ? found : undefined;
      });
    const numberOf = (node: string) => Number(node.replace("node-", ""));

    const event = (what: string, act: (node: string) => Promise<() => Promise<unknown>>) => ({
      name: what,
      async run(): Promise<Failover> {
        const from = await holder();
        await answering(probe, clock);
        await probe.start();
        await clock.sleep(300);
        const undo = await act(from);
        const to = await holder((node) => node !== from);
        await clock.sleep(700);
        const { sent, lost, gap } = await probe.stop();
        await undo();
        return { event: what, from, to, gap: Math.round(gap), requests: sent, lost };
      },
    });
    await holder((node) => holders.includes(numberOf(node)));
    await answering(probe, clock);
    const cordon = (node: string, unschedulable: boolean | null) =>
      client.patch(resources.Node, { name: node }, { type: "merge", body: { spec: { unschedulable } } });
    return {
      address,
      close,
      events: [
        event("the holder is cut off the network", async (node) => {
          await ip("link", "set", lanLink(numberOf(node)), "down");
          return () => ip("link", "set", lanLink(numberOf(node)), "up");
        }),
        event("the holder is drained", async (node) => {
          await cordon(node, true);
          return () => cordon(node, null);
        }),
        event("the holder's keepalived is killed", async (node) => {
          process.kill(Number(await readFile(join(directory.vips, node, "vrrp.pid"), "utf8")), "SIGKILL");
          return async () => {};
        }),
      ],
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Removes the client's network, where there is one. */
export async function removeClient(directory: ClusterDirectory, commands: CommandRunner): Promise<void> {
  // The link first: the namespace takes it along only some time later.
  await commands.run("ip", ["-n", clientNamespace(directory), "link", "delete", "eth0"]);
  await commands.run("ip", ["netns", "delete", clientNamespace(directory)]);
}

async function exclude(client: Client): Promise<void> {
  const labels = { "node.kubernetes.io/exclude-from-external-load-balancers": "" };
  await client.patch(resources.Node, { name: "node-1" }, { type: "merge", body: { metadata: { labels } } });
}

/** An application on node 1, an Ingress for it, and a Service whose endpoints are the Ingress data planes of the other nodes. */
async function deploy(client: Client): Promise<void> {
  const labels = { app: "hello" };
  await client.apply(resources.Namespace, { metadata: { name: namespace }, spec: {} });
  await client.apply(resources.Deployment, {
    metadata: { namespace, name: "hello" },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          nodeSelector: { "kubernetes.io/hostname": "node-1" },
          containers: [{ name: "echo", image: "fairlead.dev/echo", ports: [{ containerPort: 8080 }] }],
        },
      },
    },
  });
  await client.apply(resources.Service, {
    metadata: { namespace, name: "hello" },
    spec: { selector: labels, ports: [{ port: 80, targetPort: 8080 }] },
  });
  const backend = { service: { name: "hello", port: { number: 80 } } };
  await client.apply(resources.Ingress, {
    metadata: { namespace, name: "hello" },
    spec: { rules: [{ host, http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }] },
  });
  await client.apply(resources.Service, {
    metadata: { namespace, name: "web" },
    spec: {
      type: "LoadBalancer",
      // The node that holds the address serves it itself.
      externalTrafficPolicy: "Local",
      allocateLoadBalancerNodePorts: false,
      ports: [{ name: "http", port: 80 }],
    },
  });
  await client.apply(resources.EndpointSlice, {
    metadata: { namespace, name: "web-nodes", labels: { "kubernetes.io/service-name": "web" } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 80, protocol: "TCP" }],
    endpoints: holders.map((number) => ({
      addresses: [lanAddress(number)],
      nodeName: `node-${number}`,
      conditions: { ready: true },
    })),
  });
}

interface Recording {
  readonly sent: number;
  readonly lost: number;
  readonly gap: number;
}
interface Probe {
  start(): Promise<void>;
  stop(): Promise<Recording>;
}

async function startProbe(child: ChildProcess): Promise<Probe> {
  if (!child.stdout) throw new CliError("FAILED", "the client does not start");
  const lines = createInterface({ input: child.stdout });
  const ended = once(child, "exit").then((): [string] => {
    throw new CliError("FAILED", "the client has ended");
  });
  ended.catch(() => {});
  const next = async () => String((await Promise.race([once(lines, "line"), ended]))[0]);
  await next();
  const say = (word: string) => {
    const answer = next();
    child.stdin?.write(`${word}\n`);
    return answer;
  };
  return {
    start: async () => void (await say("start")),
    stop: async () => JSON.parse(await say("stop")) as Recording,
  };
}

/** Settles when every request is answered for a while. */
async function answering(probe: Probe, clock: Clock): Promise<void> {
  await until(clock, "the client is answered", async () => {
    await probe.start();
    await clock.sleep(300);
    const { lost, sent } = await probe.stop();
    return lost === 0 && sent > 0 ? true : undefined;
  });
}

async function until<T>(clock: Clock, what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (const end = clock.now() + patience; ;) {
    const found = await look();
    if (found !== undefined) return found;
    if (clock.now() > end) throw new CliError("FAILED", `not within ${patience / 1000} s: ${what}`);
    await clock.sleep(20);
  }
}
