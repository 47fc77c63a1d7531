import type { Program } from "../../tables/index.ts";
import type { Nft } from "./nft.ts";
import { table } from "./ruleset.ts";
import { drawsOf, scriptOf } from "./script.ts";
import { element } from "./serialise.ts";

/** The nftables program as a sink for rows. */
export function createNftablesProgram(nft: Nft): Program {
  let chains = new Set<string>();
  return {
    check: (row) =>
      element(row) === undefined
        ? `not a row of table ${row.table}: ${JSON.stringify([row.key, row.value])}`
        : undefined,
    async apply(transaction) {
      const known = transaction.reset ? new Set<string>() : chains;
      const missing = [...drawsOf(transaction.add)].filter(([name]) => !known.has(name));
      await nft.run(
        scriptOf(
          transaction,
          missing.map(([, draw]) => draw),
        ),
      );
      chains = new Set([...known, ...missing.map(([name]) => name)]);
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

/** Removes the program and its rows; established connections live on. Does nothing when there is none. */
export async function removeNftablesProgram(nft: Nft): Promise<void> {
  await nft.run(`add table ${table}\ndelete table ${table}\n`);
}
