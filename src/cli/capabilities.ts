import { readFile } from "node:fs/promises";
import { CommandError, type CommandRunner } from "../system/index.ts";
import { CliError } from "./errors.ts";
import type { ProxyMode, Settings } from "./settings.ts";

/** What this machine and this user allow. */
export interface Facts {
  /** May make network namespaces, links and routes (CAP_NET_ADMIN and CAP_SYS_ADMIN). */
  readonly admin: boolean;
  /** Why a program cannot be used; absent when it can. */
  readonly missing: Readonly<Partial<Record<"ip" | "nft" | "conntrack", string>>>;
}

/** How the cluster will run, and in one line each what is off and why. */
export interface Capabilities {
  /** `namespaces`: each pod has its own network. `loopback`: everything is on 127/8 and works for any user. */
  readonly network: "namespaces" | "loopback";
  readonly proxyMode: ProxyMode;
  readonly off: readonly string[];
}

/** Decides from facts and settings. Throws CliError NOT_PERMITTED when a mode was asked for that cannot be had. */
export function decideCapabilities(facts: Facts, settings: Pick<Settings, "rootless" | "proxyMode">): Capabilities {
  const off: string[] = [];
  const noNetwork = settings.rootless
    ? "--rootless"
    : facts.admin
      ? facts.missing.ip
      : "not root (needs CAP_NET_ADMIN and CAP_SYS_ADMIN)";
  if (noNetwork) off.push(`pod networks: off, ${noNetwork}: pods and Services are on loopback addresses (127/8)`);
  const noKernel = noNetwork ?? facts.missing.nft;
  if (settings.proxyMode === "nftables" && noKernel) {
    throw new CliError("NOT_PERMITTED", `--proxy-mode nftables cannot be had: ${noKernel}`, "use --proxy-mode auto");
  }
  const proxyMode = settings.proxyMode === "userspace" || noKernel ? "userspace" : "nftables";
  if (proxyMode === "userspace" && settings.proxyMode !== "userspace") {
    off.push(`kernel data plane (nftables): off, ${noKernel}: Services go through the userspace proxy`);
  }
  if (proxyMode === "nftables" && facts.missing.conntrack) {
    off.push(`conntrack: off, ${facts.missing.conntrack}: UDP flows to a removed endpoint end only by their time-out`);
  }
  return { network: noNetwork ? "loopback" : "namespaces", proxyMode, off };
}

/** Bits of the effective capability set (capability.h). */
const netAdmin = 12n;
const sysAdmin = 21n;

/** Finds out what can be used here. */
export async function gatherFacts(commands: CommandRunner): Promise<Facts> {
  const status = await readFile("/proc/self/status", "utf8").catch(() => "");
  const mask = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
  const has = (bit: bigint) => ((mask >> bit) & 1n) === 1n;
  const admin = has(netAdmin) && has(sysAdmin);
  if (!admin) return { admin, missing: {} };
  const missing: Partial<Record<"ip" | "nft" | "conntrack", string>> = {};
  const probe = async (name: "ip" | "nft" | "conntrack", args: readonly string[]) => {
    try {
      const result = await commands.run(name, args, { timeout: 5_000 });
      if (result.code !== 0) missing[name] = `${name} fails: ${result.stderr.trim().split("\n")[0] ?? ""}`;
    } catch (error) {
      missing[name] = error instanceof CommandError ? error.message : String(error);
    }
  };
  await Promise.all([
    probe("ip", ["netns", "list"]),
    probe("nft", ["list", "tables"]),
    probe("conntrack", ["--version"]),
  ]);
  return { admin, missing };
}
