import { type CommandRunner, runOrThrow } from "../system/index.ts";
import { lanBridge } from "./lan.ts";

const table = "fairlead_vips";

/**
 * Lets packets for addresses that nodes hold by VRRP pass through the bridge that joins the nodes. Where the kernel shows bridged packets to
 * the host's own rules (br_netfilter), node 1 would answer for what other nodes hold. Throws `CommandError`.
 */
export async function passVips(commands: CommandRunner, cidrs: readonly string[]): Promise<void> {
  const [bridge] = JSON.parse(await runOrThrow(commands, "ip", ["-j", "link", "show", "dev", lanBridge])) as {
    readonly address?: string;
  }[];
  const mac = bridge?.address ?? "";
  // Said once more, it stays, whatever joins the bridge.
  await runOrThrow(commands, "ip", ["link", "set", "dev", lanBridge, "address", mac]);
  const passing = `    iifname "${lanBridge}*" ether daddr != ${mac}`;
  const rulesOf = (family: "ip" | "ip6"): string[] => {
    const ranges = cidrs.filter((cidr) => cidr.includes(":") === (family === "ip6")).join(", ");
    if (ranges === "") return [];
    return ["daddr", "saddr"].map((end) => `${passing} ${family} ${end} { ${ranges} } notrack`);
  };
  const input = [
    `add table bridge ${table}`,
    `delete table bridge ${table}`,
    `table bridge ${table} {`,
    "  chain prerouting {",
    "    type filter hook prerouting priority dstnat - 10",
    ...rulesOf("ip"),
    ...rulesOf("ip6"),
    "  }",
    "}\n",
  ].join("\n");
  await runOrThrow(commands, "nft", ["-f", "-"], { input });
}

/** Takes that back. Nothing happens where there is nothing. */
export async function stopPassingVips(commands: CommandRunner): Promise<void> {
  await commands.run("nft", ["delete", "table", "bridge", table]).catch(() => {});
}
