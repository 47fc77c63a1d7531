import type { Program } from "../../tables/index.ts";
import type { Nft } from "./nft.ts";
import type { Family } from "../../services/index.ts";
import { tableOf } from "./ruleset.ts";
import { drawsOf, scriptOf } from "./script.ts";

/** The nftables program as a sink for rows: a table for each family, both changed in one transaction. */
export function createNftablesProgram(nft: Nft, families: readonly Family[]): Program {
  let chains = new Set<string>();
  return {
    check(transaction) {
      const missing = [...drawsOf(transaction.add)].filter(([name]) => transaction.reset || !chains.has(name));
      const { script } = scriptOf(
        transaction,
        missing.map(([, draw]) => draw),
        families,
      );
      return nft.check(script);
    },
    async apply(transaction) {
      const known = transaction.reset ? new Set<string>() : chains;
      const missing = [...drawsOf(transaction.add)].filter(([name]) => !known.has(name));
      const { script, refused } = scriptOf(
        transaction,
        missing.map(([, draw]) => draw),
        families,
      );
      await nft.run(script);
      chains = new Set([...known, ...missing.map(([name]) => name)]);
      return refused;
    },
  };
}

/** Whether the program is in the kernel. Someone may have flushed all rules of the machine. */
export async function isNftablesProgramThere(nft: Nft, families: readonly Family[]): Promise<boolean> {
  // Asked one by one: of two lists in one script nft 1.0.6 finds only the last.
  for (const family of families) {
    const isThere = await nft.run(`list set ${tableOf(family)} cidrs\n`).then(
      () => true,
      () => false,
    );
    if (!isThere) return false;
  }
  return true;
}

/** Removes the program and its rows, and with them the connections that it leads. Does nothing when there is none. */
export async function removeNftablesProgram(nft: Nft): Promise<void> {
  for (const family of ["IPv4", "IPv6"] as const) {
    const table = tableOf(family);
    const gone = nft.run(`add table ${table}\ndelete table ${table}\n`);
    // A kernel without IPv6 has no table of it.
    await (family === "IPv4" ? gone : gone.catch(() => {}));
  }
}
