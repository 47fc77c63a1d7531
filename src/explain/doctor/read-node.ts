import { readdir, readFile } from "node:fs/promises";
import type { Node } from "../../kube/index.ts";
import { familiesIn } from "../../services/index.ts";
import type { CommandRunner } from "../../system/index.ts";
import { nodeAddresses } from "../cluster.ts";
import { findPlaces, type Place, run } from "../live/places.ts";
import type { ForeignChain, NodeFacts } from "./node-facts.ts";
import { foreignChains, tablesIn } from "./ruleset.ts";

export interface ReadNodeOptions {
  readonly commands: CommandRunner;
  readonly nodes: readonly Node[];
  /** Process of the proxy on the first node, when it is known. */
  readonly pid?: number;
  /** The proxy is Fairlead's and should answer at this port of each node. */
  readonly healthPort?: number;
  readonly namespaces?: () => Promise<readonly string[]>;
}

/** Milliseconds for which one program or the proxy's health is waited for. */
const patience = 5_000;

/** Looks at those nodes that are on this machine. What cannot be read is left out. */
export async function readNodes(options: ReadNodeOptions): Promise<NodeFacts[]> {
  const all = await findPlaces(options.commands, options.namespaces);
  const facts: NodeFacts[] = [];
  for (const node of options.nodes) {
    const places = nodeAddresses(node)
      .map((address) => all.holdersOf(address))
      .find((each) => each.length > 0);
    // Which of several is meant cannot be told, unless it is this process's own.
    if (places && (places.length === 1 || places[0] === undefined))
      facts.push(await readNode(node, places[0], options, facts.length === 0));
  }
  return facts;
}

const forwarding = { IPv4: "net.ipv4.ip_forward", IPv6: "net.ipv6.conf.all.forwarding" } as const;

async function readNode(node: Node, place: Place, options: ReadNodeOptions, isFirst: boolean): Promise<NodeFacts> {
  const { commands, pid, healthPort } = options;
  const addresses = nodeAddresses(node);
  const [address = ""] = addresses;
  const rules = await readRules(commands, place);
  const number = async (path: string) => {
    const { code, stdout } = await run(commands, place, "cat", [path], "", patience).catch(() => failed);
    return code === 0 ? Number(stdout) : undefined;
  };
  const count = await number("/proc/sys/net/netfilter/nf_conntrack_count");
  const most = await number("/proc/sys/net/netfilter/nf_conntrack_max");
  const notForwarding: string[] = [];
  for (const family of address.startsWith("127.") ? [] : familiesIn(addresses)) {
    const setting = forwarding[family];
    if ((await number(`/proc/sys/${setting.replaceAll(".", "/")}`)) === 0) notForwarding.push(setting);
  }
  const health = healthPort === undefined ? undefined : await askHealth(address, healthPort);
  const files = isFirst && pid !== undefined ? await readFiles(pid) : undefined;
  return {
    node: node.metadata.name,
    ...rules,
    ...(count !== undefined && most !== undefined && most > 0 ? { conntrack: { count, most } } : {}),
    ...(notForwarding.length > 0 ? { notForwarding } : {}),
    ...(health ? { health } : {}),
    ...(files ? { files } : {}),
  };
}

const failed = { code: 1, stdout: "" };

async function readRules(commands: CommandRunner, place: Place): Promise<Pick<NodeFacts, "foreign" | "proxies">> {
  const list = await run(commands, place, "nft", ["-j", "list", "tables"], "", patience).catch(() => failed);
  if (list.code !== 0) return {};
  const foreign: ForeignChain[] = [];
  const proxies = new Set<string>();
  for (const { family, name } of tablesIn(list.stdout)) {
    if (name.startsWith("fairlead")) {
      if (name === "fairlead") proxies.add("fairlead (nftables)");
      continue;
    }
    // Its rules can be many, and there is no need to read them.
    if (name === "kube-proxy") {
      proxies.add("kube-proxy (nftables)");
      continue;
    }
    const { code, stdout } = await run(
      commands,
      place,
      "nft",
      ["-j", "list", "table", family, name],
      "",
      patience,
    ).catch(() => failed);
    if (code !== 0) continue;
    if (stdout.includes('"KUBE-SERVICES"'))
      // A chain that only Fairlead's program has.
      proxies.add((await hasOwnChain(commands, place)) ? "fairlead (iptables)" : "kube-proxy (iptables)");
    foreign.push(...foreignChains(`${family} ${name}`, stdout));
  }
  const ipvs = await run(commands, place, "ip", ["link", "show", "dev", "kube-ipvs0"], "", patience).catch(
    () => failed,
  );
  if (ipvs.code === 0) proxies.add("kube-proxy (ipvs)");
  return { foreign, proxies: [...proxies] };
}

async function hasOwnChain(commands: CommandRunner, place: Place): Promise<boolean> {
  const { code } = await run(
    commands,
    place,
    "iptables",
    ["-w", "5", "-S", "KUBE-UNKNOWN-SERVICES"],
    "",
    patience,
  ).catch(() => failed);
  return code === 0;
}

async function askHealth(address: string, port: number): Promise<NonNullable<NodeFacts["health"]>> {
  const host = address.includes(":") ? `[${address}]` : address;
  try {
    const response = await fetch(`http://${host}:${port}/healthz`, { signal: AbortSignal.timeout(patience) });
    return { status: response.status, text: (await response.text()).trim().slice(0, 200) };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return { status: 0, text: cause instanceof Error ? cause.message : String(cause) };
  }
}

async function readFiles(pid: number): Promise<NodeFacts["files"]> {
  try {
    const open = (await readdir(`/proc/${pid}/fd`)).length;
    const most = /^Max open files\s+(\d+)/m.exec(await readFile(`/proc/${pid}/limits`, "utf8"))?.[1];
    return most === undefined ? undefined : { open, most: Number(most) };
  } catch {
    return undefined;
  }
}
