import { type CommandRunner, runOrThrow } from "../../system/index.ts";
import { bridgeName } from "./names.ts";

const table = "fairlead_pods";

/**
 * What pods send to where nobody knows their addresses leaves with the node's own. `podRanges` are the ranges of all
 * nodes, the node's own first: between them addresses stay as they are. Replaces the table as a whole, in one
 * transaction. Throws `CommandError`.
 */
export async function masqueradeEgress(commands: CommandRunner, podRanges: readonly string[]): Promise<void> {
  const [own = ""] = podRanges;
  // Declared first, so that the flush finds it also when it is new.
  const rules = `table ip ${table} {}
flush table ip ${table}
table ip ${table} {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname != "${bridgeName}" ip saddr ${own} ip daddr != { ${podRanges.join(", ")} } masquerade
  }
}
`;
  await runOrThrow(commands, "nft", ["-f", "-"], { input: rules });
}

/** Whether the table is in the kernel. */
export async function hasEgressTable(commands: CommandRunner): Promise<boolean> {
  return (await commands.run("nft", ["list", "chain", "ip", table, "postrouting"])).code === 0;
}

/** Takes the table away; nothing happens where there is none. */
export async function removeEgress(commands: CommandRunner): Promise<void> {
  await commands.run("nft", ["delete", "table", "ip", table]).catch(() => {});
}
