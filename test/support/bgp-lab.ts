import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { bgpPeers, bgpSessions, type AnnounceSpec } from "../../src/loadbalancer/index.ts";
import { runOrThrow, systemCommands } from "../../src/system/index.ts";
import { repository } from "./lab.ts";
import { nodeAddress, noVipLab, openVipLab, sleep, type VipLab } from "./vip-lab.ts";

/** Why nothing of this can run here; undefined when it can. */
export const noBgpLab: string | undefined =
  noVipLab ?? (spawnSync("bird", ["--version"]).error ? "needs BIRD" : undefined);

/** What a probe of many flows saw. Times in milliseconds. */
export interface FlowRecording {
  readonly flows: number;
  /** Flows that lost more than one datagram on end. */
  readonly hit: number;
  readonly gap: number;
  readonly lost: number;
  readonly stall: number;
  /** Flows by who answered last. */
  readonly answers: Readonly<Record<string, number>>;
}

export interface FlowProbe {
  start(): Promise<void>;
  stop(): Promise<FlowRecording>;
}

/** A lab whose nodes speak BGP with a router, behind which is a client. */
export interface BgpLab extends VipLab {
  /** Asks the router's BIRD. */
  router(command: string): Promise<string>;
  /** Next hops of an address, by the router's kernel, in order. */
  nextHops(address: string): Promise<string[]>;
  /** Next hops of a prefix that the router knows, the best first, in BIRD's words. */
  routes(prefix: string): Promise<string>;
  /** Lets every node answer for an address, and its flows from the client. */
  flows(address: string, count: number): Promise<FlowProbe>;
}

export const routerAddress = "10.9.0.254";
const outside = { router: "10.8.0.1", client: "10.8.0.2" };
export const asn = { nodes: 64_512, router: 64_513 };
const port = 7007;

export interface BgpLabOptions {
  readonly nodes: number;
  readonly addresses: readonly string[];
  readonly announce?: AnnounceSpec;
  /** Lines for each session of the router, in BIRD's words. */
  readonly session?: string;
  /** Beside the address: fields of the BGPPeer. */
  readonly peer?: object;
}

export async function openBgpLab(options: BgpLabOptions): Promise<BgpLab> {
  const { nodes, addresses } = options;
  const lab = await openVipLab({ nodes, addresses, announce: { protocol: "BGP", ...options.announce }, agent: "bgp" });
  try {
    return await addRouter(lab, options);
  } catch (error) {
    await lab.close();
    throw error;
  }
}

async function addRouter(lab: VipLab, options: BgpLabOptions): Promise<BgpLab> {
  await lab.join("router", [routerAddress]);
  await lab.join("outside", []);
  const ip = (name: string, ...args: string[]) =>
    runOrThrow(systemCommands, "ip", ["-n", lab.namespace(name), ...args]);
  const link = ["link", "add", "out", "type", "veth", "peer", "name", "in", "netns", lab.namespace("outside")];
  await ip("router", ...link);
  await ip("router", "address", "add", `${outside.router}/24`, "dev", "out");
  await ip("router", "link", "set", "out", "up");
  await ip("outside", "address", "add", `${outside.client}/24`, "dev", "in");
  await ip("outside", "link", "set", "in", "up");
  await ip("outside", "route", "add", "default", "via", outside.router);
  for (const setting of ["net.ipv4.ip_forward=1", "net.ipv4.fib_multipath_hash_policy=1"])
    await lab.on("router", "sysctl", "-qw", setting);
  for (const node of lab.nodes) await ip(node, "route", "add", "10.8.0.0/24", "via", routerAddress);
  const control = join(lab.dir, "router.ctl");
  const config = join(lab.dir, "router.conf");
  const session = (node: string) => `protocol bgp ${node.replace("-", "_")} {
    local ${routerAddress} as ${asn.router};
    neighbor ${nodeAddress(node)} as ${asn.nodes};
    ${options.session ?? ""}
    error wait time 1, 2;
    connect retry time 1;
    connect delay time 1;
    ipv4 { import all; export none; };
  }\n`;
  await writeFile(
    config,
    `log stderr all;
router id ${routerAddress};
protocol device { }
protocol direct { ipv4; interface "eth0", "out"; }
protocol kernel { merge paths on; scan time 60; ipv4 { import none; export where source = RTS_BGP; }; }
protocol bfd { interface "eth0" { min rx interval 100 ms; min tx interval 100 ms; idle tx interval 100 ms; multiplier 3; }; }
${lab.nodes.map(session).join("")}`,
  );
  lab.startOn("router", "bird", "-f", "-c", config, "-s", control, "-P", join(lab.dir, "router.pid"));
  await lab.client.create(bgpPeers, {
    metadata: { name: "tor" },
    spec: {
      peerAddress: routerAddress,
      peerASN: asn.router,
      localASN: asn.nodes,
      connectRetrySeconds: 1,
      ...options.peer,
    },
  });
  const router = (command: string) => runOrThrow(systemCommands, "birdc", ["-r", "-s", control, ...command.split(" ")]);
  return {
    ...lab,
    router,
    routes: (prefix) => router(`show route for ${prefix} all`).catch(() => ""),
    async nextHops(address) {
      const text = await lab.on("router", "ip", "route", "show", "root", `${address}/32`);
      return [...text.matchAll(/via (\S+)/g)].map(([, hop = ""]) => hop).sort();
    },
    async flows(address, count) {
      for (const node of lab.nodes) {
        await lab.on(node, "ip", "address", "add", `${address}/32`, "dev", "lo").catch(() => "");
        const script = join(repository, "test/support/vip-echo.mjs");
        const echo = lab.startOn(node, process.execPath, script, node, String(port), address);
        await once(echo.stdout ?? echo, "data");
      }
      const script = join(repository, "test/support/bgp-probe.mjs");
      const child = lab.startOn("outside", process.execPath, script, address, String(port), "5", String(count));
      if (!child.stdout) throw new Error("no output");
      const lines = createInterface({ input: child.stdout });
      await once(lines, "line");
      const say = async (word: string) => {
        const answer = once(lines, "line");
        child.stdin?.write(`${word}\n`);
        return String((await answer)[0]);
      };
      return {
        start: async () => void (await say("start")),
        stop: async () => JSON.parse(await say("stop")) as FlowRecording,
      };
    },
  };
}

/** Waits until something is so; throws with what is told when it does not become so. */
export async function until(
  lab: BgpLab,
  what: string,
  isSo: () => Promise<boolean>,
  tell: () => Promise<unknown> = async () => "",
): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (await isSo()) return;
    await sleep(100);
  }
  const [logs, sessions] = await Promise.all([
    Promise.all(lab.nodes.map((node) => lab.log(node))),
    lab.client.list(bgpSessions).catch(() => ({ items: [] })),
  ]);
  const told = JSON.stringify([await tell(), sessions.items.map(({ spec, status }) => ({ ...spec, ...status }))]);
  throw new Error(`it has not come to be that ${what}: ${told}\n${logs.join("\n").slice(-3000)}`);
}
