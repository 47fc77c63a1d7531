import { existsSync } from "node:fs";
import { join } from "node:path";
import { CommandError, type CommandRunner } from "../system/index.ts";
import { CliError } from "./errors.ts";
import type { ProxyMode, Settings } from "./settings.ts";

/** What this machine and this user allow: why something cannot be had, or undefined when it can. */
export interface Facts {
  /** A network namespace and mounts of its own for each pod. */
  readonly pods: string | undefined;
  readonly nft: string | undefined;
  readonly iptables: string | undefined;
  readonly conntrack: string | undefined;
  readonly keepalived: string | undefined;
}

/** How the cluster will run, and in one line each what is off and why. */
export interface Capabilities {
  /** `namespaces`: each pod has its own network. `loopback`: everything is on 127/8 and works for any user. */
  readonly network: "namespaces" | "loopback";
  readonly proxyMode: ProxyMode;
  readonly off: readonly string[];
}

/** Decides from facts and settings. Throws CliError NOT_PERMITTED when a mode was asked for that cannot be had. */
export function decideCapabilities(
  facts: Facts,
  settings: Pick<Settings, "rootless" | "proxyMode" | "vip">,
): Capabilities {
  const off: string[] = [];
  const noPods = settings.rootless ? "--rootless" : facts.pods;
  if (noPods) off.push(`pod networks: off, ${noPods}: pods and Services are on loopback addresses (127/8)`);
  const noKernel = noPods ?? facts.nft;
  const asked = settings.proxyMode;
  const whyNot = asked === "iptables" ? (noPods ?? facts.iptables) : noKernel;
  if ((asked === "nftables" || asked === "iptables") && whyNot) {
    throw new CliError("NOT_PERMITTED", `--proxy-mode ${asked} cannot be had: ${whyNot}`, "use --proxy-mode auto");
  }
  const noVip = noPods ?? facts.keepalived ?? facts.nft;
  if (settings.vip && noVip) {
    throw new CliError("NOT_PERMITTED", `--vip cannot be had: ${noVip}`, "leave --vip out");
  }
  const proxyMode = asked === "iptables" ? asked : asked === "userspace" || noKernel ? "userspace" : "nftables";
  if (proxyMode === "userspace" && asked !== "userspace") {
    off.push(`kernel data plane (nftables): off, ${noKernel}: Services go through the userspace proxy`);
  }
  if (proxyMode !== "userspace" && facts.conntrack) {
    off.push(`conntrack: off, ${facts.conntrack}: UDP flows to a removed endpoint end only by their time-out`);
  }
  return { network: noPods ? "loopback" : "namespaces", proxyMode, off };
}

/** Finds out what can be used here. */
export async function gatherFacts(commands: CommandRunner): Promise<Facts> {
  const { isolationProblem } = await import("../kubelet/index.ts");
  const [pods, nft] = await Promise.all([isolationProblem(commands), nftProblem(commands)]);
  const conntrack = isInstalled("conntrack") ? undefined : "conntrack is not installed";
  const iptables = isInstalled("iptables-restore") ? undefined : "iptables-restore is not installed";
  const keepalived = isInstalled("keepalived") ? undefined : "keepalived is not installed";
  return { pods, nft, iptables, conntrack, keepalived };
}

async function nftProblem(commands: CommandRunner): Promise<string | undefined> {
  try {
    const { code, stderr } = await commands.run("nft", ["list", "tables"], { timeout: 5_000 });
    return code === 0 ? undefined : `nft fails: ${stderr.trim().split("\n")[0]}`;
  } catch (error) {
    return error instanceof CommandError ? error.message : String(error);
  }
}

/** Whether a program is in one of the folders of PATH. */
function isInstalled(program: string): boolean {
  return (process.env["PATH"] ?? "").split(":").some((folder) => existsSync(join(folder, program)));
}
