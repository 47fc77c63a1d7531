import type { Program } from "../../tables/index.ts";
import type { Nft } from "./nft.ts";
import type { Family } from "../../services/index.ts";
import { attribute, familyNumber, kinds, nameIn, type Message, type Netlink } from "../netlink.ts";
import { createTamperWatch } from "../tamper-watch.ts";
import { intactChains, readTables, stampScript, tablesOf, type KernelState } from "./read-back.ts";
import { tableOf } from "./ruleset.ts";
import { addedChains, scriptOf } from "./script.ts";

/** A program that can tell what others have done to it. */
export interface NftablesProgram extends Program {
  /**
   * What others have changed since the last look: nothing, tables of rows that are to be read back, or so much that all has to be built anew.
   */
  damage(): Promise<undefined | readonly string[] | "all">;
}

/**
 * The nftables program as a sink for rows: a table for each family, both changed in one transaction.
 * @param netlink how the kernel is looked at; without it rows are only written, and of damage it is only seen that a table is gone
 * @param found what an earlier process left and this one takes over
 */
export function createNftablesProgram(
  nft: Nft,
  families: readonly Family[],
  netlink?: Netlink,
  found?: KernelState,
): NftablesProgram {
  let chains = new Set<string>(found?.chains);
  const watch = netlink && createTamperWatch(netlink, touchedBy);

  async function run(script: string, fresh: boolean): Promise<void> {
    if (!watch) return nft.run(script);
    await watch.ownChange(() => nft.run(script).then(() => 1), fresh);
  }

  /** Marks the tables as this program's, so that the next process can take them over. */
  async function stamp(): Promise<void> {
    if (!netlink) return;
    // Without it the next process builds everything anew, and nothing else is lost.
    const script = await stampScript(netlink, families).catch(() => "");
    if (script !== "") await run(script, false).catch(() => {});
  }

  const read = (tables: readonly string[]) =>
    netlink ? readTables(netlink, tables).catch(() => undefined) : Promise.resolve(undefined);
  return {
    check(transaction) {
      const missing = [...addedChains(transaction.add)].filter(([name]) => transaction.reset || !chains.has(name));
      const { script } = scriptOf(
        transaction,
        missing.map(([, chain]) => chain),
        families,
      );
      return nft.check(script);
    },
    async apply(transaction) {
      const { reset } = transaction;
      const known = reset ? new Set<string>() : chains;
      const missing = [...addedChains(transaction.add)].filter(([name]) => !known.has(name));
      const { script, refused } = scriptOf(
        transaction,
        missing.map(([, chain]) => chain),
        families,
      );
      await run(script, reset);
      chains = new Set([...known, ...missing.map(([name]) => name)]);
      if (reset) await stamp();
      return refused;
    },
    ...(netlink ? { read } : {}),
    async damage() {
      if (!netlink || !watch) return (await isNftablesProgramThere(nft, families)) ? undefined : "all";
      const touched = watch.touched();
      if (touched !== "lost" && touched.size === 0) return undefined;
      const needsRules = touched === "lost" || touched.has(itself);
      if (needsRules && !(await intactChains(netlink, families).catch(() => undefined))) return "all";
      const ours = tablesOf(families);
      return touched === "lost" ? ours : ours.filter((table) => touched.has(table));
    },
  };
}

/** Tables that packets write to. */
const dynamic = new Set(["affinity", "marks"]);
/** Chains, rules, sets and the tables that hold them. */
const itself = "program";

/** The table of rows that a change touches, or the program itself; undefined when it is not in a table of ours. */
function touchedBy({ kind, family, attributes }: Message): string | undefined {
  if (family !== familyNumber.ip && family !== familyNumber.ip6) return undefined;
  // The table is the first attribute of all kinds of message.
  if (nameIn(attribute(attributes, 1)) !== "fairlead") return undefined;
  if (kind !== kinds.newElement && kind !== kinds.delElement) return itself;
  const name = nameIn(attribute(attributes, 2));
  if (dynamic.has(name)) return undefined;
  return family === familyNumber.ip6 ? `${name}6` : name;
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
