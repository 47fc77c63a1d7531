import type { Program } from "../../tables/index.ts";
import type { Nft } from "./nft.ts";
import { table } from "./ruleset.ts";
import { drawsOf, scriptOf } from "./script.ts";

/** The nftables program as a sink for rows. */
export function createNftablesProgram(nft: Nft): Program {
  let chains = new Set<string>();
  return {
    async apply(transaction) {
      const known = transaction.reset ? new Set<string>() : chains;
      const missing = [...drawsOf(transaction.add)].filter(([name]) => !known.has(name));
      const { script, refused } = scriptOf(
        transaction,
        missing.map(([, draw]) => draw),
      );
      await nft.run(script);
      chains = new Set([...known, ...missing.map(([name]) => name)]);
      return refused;
    },
  };
}

/** Whether the program is in the kernel. Someone may have flushed all rules of the machine. */
export async function isNftablesProgramThere(nft: Nft): Promise<boolean> {
  return nft.run(`list set ${table} cidrs\n`).then(
    () => true,
    () => false,
  );
}

/** Removes the program and its rows, and with them the connections that it leads. Does nothing when there is none. */
export async function removeNftablesProgram(nft: Nft): Promise<void> {
  await nft.run(`add table ${table}\ndelete table ${table}\n`);
}
