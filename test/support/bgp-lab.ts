import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { bgpPeers, bgpSessions, type AnnounceSpec, type SpeakerName } from "../../src/loadbalancer/index.ts";
import { runOrThrow, systemCommands } from "../../src/system/index.ts";
import { repository } from "./lab.ts";
import { nodeAddress, nodeAddress6, noVipLab, openVipLab, sleep, type VipLab } from "./vip-lab.ts";

/** Why nothing of this can run here; undefined when it can. */
export const noBgpLab: string | undefined =
  noVipLab ?? (spawnSync("bird", ["--version"]).error ? "needs BIRD" : undefined);

/** The same of nodes that speak by this program. */
export const noSpeaker = (speaker: SpeakerName): string | undefined =>
  noBgpLab ?? (speaker === "frr" && !existsSync("/usr/lib/frr/bgpd") ? "needs FRR" : undefined);

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
  /** Asks the router's BIRD; of its first side, or of another. Sessions are named after nodes, as `node_1`. */
  router(command: string, side?: string): Promise<string>;
  /** Kills the process of a node that has its sessions. */
  killSpeaker(node: string): Promise<void>;
  /** The number of that process; empty where there is none. */
  speakerPid(node: string): Promise<string>;
  /** Next hops of an address, by the router's kernel, in order. */
  nextHops(address: string): Promise<string[]>;
  /** Next hops of a prefix that the router knows, the best first, in BIRD's words. */
  routes(prefix: string): Promise<string>;
  /** Lets every node answer for an address, and its flows from the client. */
  flows(address: string, count: number): Promise<FlowProbe>;
}

export const routerAddress = "10.9.0.254";
export const routerAddress6 = "fd00:9::254";
const outside = { router: "10.8.0.1", client: "10.8.0.2" };
const outside6 = { router: "fd00:8::1", client: "fd00:8::2" };
export const asn = { nodes: 64_512, router: 64_513 };
const port = 7007;

/** An address at which the router speaks with all nodes, and the BGPPeer for it. */
export interface RouterSide {
  readonly name: string;
  readonly address: string;
  readonly as: number;
}

export interface BgpLabOptions {
  /** What nodes speak BGP with. Default bird. */
  readonly speaker?: SpeakerName;
  /** Default: one, `tor`, of another AS. */
  readonly sides?: readonly RouterSide[];
  /** All have IPv6 addresses too. Default false. */
  readonly six?: boolean;
  readonly nodes: number;
  readonly addresses: readonly string[];
  readonly announce?: AnnounceSpec;
  /** Lines for each session of the router, in BIRD's words. */
  readonly session?: string;
  /** Beside the address: fields of the BGPPeer. */
  readonly peer?: object;
}

export async function openBgpLab(options: BgpLabOptions): Promise<BgpLab> {
  const { nodes, addresses, six = false } = options;
  const announce: AnnounceSpec = { protocol: "BGP", ...options.announce };
  const lab = await openVipLab({ nodes, addresses, announce, agent: "bgp", six });
  try {
    return await addRouter(lab, options);
  } catch (error) {
    await lab.close();
    throw error;
  }
}

async function addRouter(lab: VipLab, options: BgpLabOptions): Promise<BgpLab> {
  const { speaker = "bird", sides = [{ name: "tor", address: routerAddress, as: asn.router }] } = options;
  await lab.join(
    "router",
    sides.map(({ address }) => address),
  );
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
  if (options.six) {
    await ip("router", "address", "add", `${outside6.router}/64`, "dev", "out", "nodad");
    await ip("outside", "address", "add", `${outside6.client}/64`, "dev", "in", "nodad");
    await ip("outside", "-6", "route", "add", "default", "via", outside6.router);
    await lab.on("router", "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1");
    for (const node of lab.nodes) await ip(node, "-6", "route", "add", "fd00:8::/64", "via", routerAddress6);
  }
  const control = (side: string) => join(lab.dir, `router-${side}.ctl`);
  const kernel = (family: string) =>
    `protocol kernel { merge paths on; scan time 60; ${family} { import none; export where source = RTS_BGP; }; }\n`;
  // Each side is a BIRD of its own: one of them has one session with an address. The first of a family tells the kernel.
  const families = new Set<string>();
  for (const { name, address, as } of sides) {
    const family = address.includes(":") ? "ipv6" : "ipv4";
    const addressOf = family === "ipv6" ? nodeAddress6 : nodeAddress;
    const session = (node: string) => `protocol bgp ${node.replace("-", "_")} {
    local ${address} as ${as};
    neighbor ${addressOf(node)} as ${asn.nodes};
    strict bind on;
    ${options.session ?? ""}
    error wait time 1, 2;
    connect retry time 1;
    connect delay time 1;
    ${family} { import all; export none; };
  }\n`;
    const config = join(lab.dir, `router-${name}.conf`);
    await writeFile(
      config,
      `log stderr all;
router id ${routerAddress};
protocol device { }
protocol direct { ipv4; ipv6; interface "eth0", "out"; }
${families.has(family) ? "" : kernel(family)}
${families.size > 0 ? "" : 'protocol bfd { interface "eth0" { min rx interval 50 ms; min tx interval 90 ms; idle tx interval 100 ms; multiplier 3; }; }'}
${lab.nodes.map(session).join("")}`,
    );
    families.add(family);
    lab.startOn("router", "bird", "-f", "-c", config, "-s", control(name), "-P", `${config}.pid`);
  }
  for (const { name, address, as } of sides)
    await lab.client.create(bgpPeers, {
      metadata: { name },
      spec: { peerAddress: address, peerASN: as, localASN: asn.nodes, connectRetrySeconds: 1, ...options.peer },
    });
  const router = (command: string, side = sides[0]?.name ?? "") =>
    runOrThrow(systemCommands, "birdc", ["-r", "-s", control(side), ...command.split(" ")]);
  const speakerPid = (node: string) =>
    readFile(join(lab.dir, node, speaker === "frr" ? "bgpd.pid" : "bird.pid"), "utf8").catch(() => "");
  return {
    ...lab,
    startAgent: (node, ...flags) => lab.startAgent(node, "--speaker", speaker, ...flags),
    speakerPid,
    killSpeaker: async (node) => void process.kill(Number(await speakerPid(node)), "SIGKILL"),
    router,
    routes: (prefix) => router(`show route for ${prefix} all`).catch(() => ""),
    async nextHops(address) {
      const [family, whole] = address.includes(":") ? ["-6", `${address}/128`] : ["-4", `${address}/32`];
      const text = await lab.on("router", "ip", family, "route", "show", "root", whole);
      return [...text.matchAll(/via (\S+)/g)].map(([, hop = ""]) => hop).sort();
    },
    async flows(address, count) {
      for (const node of lab.nodes) {
        await lab
          .on(node, "ip", "address", "add", `${address}/${address.includes(":") ? 128 : 32}`, "dev", "lo")
          .catch(() => "");
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
