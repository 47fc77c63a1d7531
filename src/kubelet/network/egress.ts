import { type CommandRunner, runOrThrow } from "../../system/index.ts";
import { bridgeName } from "./names.ts";

const table = "fairlead_pods";

/** Both are made; IPv6 has rules only where pods have such addresses. */
const families = ["ip", "ip6"] as const;

/**
 * What pods send to where nobody knows their addresses leaves with the node's own. `podRanges` are the ranges of all
 * nodes, `own` those of this node: between them addresses stay as they are. Replaces the tables as a whole, in one
 * transaction. Throws `CommandError`.
 */
export async function masqueradeEgress(
  commands: CommandRunner,
  own: readonly string[],
  podRanges: readonly string[],
): Promise<void> {
  const rules = families.flatMap((family) => {
    const isOf = (range: string): boolean => range.includes(":") === (family === "ip6");
    const range = own.find(isOf);
    return range === undefined ? [] : [tableOf(family, range, [...new Set([range, ...podRanges.filter(isOf)])])];
  });
  await runOrThrow(commands, "nft", ["-f", "-"], { input: rules.join("") });
}

/** Declared first, so that the flush finds it also when it is new. */
function tableOf(family: (typeof families)[number], own: string, podRanges: readonly string[]): string {
  return `table ${family} ${table} {}
flush table ${family} ${table}
table ${family} ${table} {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname != "${bridgeName}" ${family} saddr ${own} ${family} daddr != { ${podRanges.join(", ")} } masquerade
  }
${family === "ip6" ? noRedirects : ""}}
`;
}

/** Pods are neighbours on the wire, but must not be told to talk past the node; IPv6 has no setting for that. */
const noRedirects = `  chain output {
    type filter hook output priority filter; policy accept;
    oifname "${bridgeName}" icmpv6 type nd-redirect drop
  }
`;

/** Whether the table is in the kernel for each of these ranges. */
export async function hasEgressTable(commands: CommandRunner, own: readonly string[]): Promise<boolean> {
  const isThere = async (range: string): Promise<boolean> => {
    const family = range.includes(":") ? "ip6" : "ip";
    return (await commands.run("nft", ["list", "chain", family, table, "postrouting"])).code === 0;
  };
  return (await Promise.all(own.map(isThere))).every(Boolean);
}

/** Takes the tables away; nothing happens where there is none. */
export async function removeEgress(commands: CommandRunner): Promise<void> {
  for (const family of families) await commands.run("nft", ["delete", "table", family, table]).catch(() => {});
}
