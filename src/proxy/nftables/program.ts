import type { Program, Row, Transaction } from "../../tables/index.ts";
import { batchOf, isPlain } from "./elements.ts";
import { steps } from "./fresh-build.ts";
import type { Nft } from "./nft.ts";
import type { Family } from "../../services/index.ts";
import { attribute, familyNumber, kinds, nameIn, NetlinkError, type Message, type Netlink } from "../netlink.ts";
import { createTamperWatch } from "../tamper-watch.ts";
import { intactChains, isEmpty, readTables, stampScript, tablesOf, type KernelState } from "./read-back.ts";
import { tableOf } from "./ruleset.ts";
import { addedChains, scriptOf, type AddedChain } from "./script.ts";

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

  /**
   * Hands rows to the kernel itself. Undefined when that is not possible or the kernel refuses: nothing has changed then, and nft, which takes all
   * kinds of rows, either does it or says in words why not.
   */
  async function commit({ remove, add }: Transaction): Promise<readonly Row[] | undefined> {
    const arePlain = [remove, add].every((rows) => rows.every(({ table }) => isPlain(table)));
    if (!netlink || !watch || !arePlain) return undefined;
    const { batch, refused } = batchOf(remove, add);
    if (!batch) return refused;
    let isDone = false;
    await watch.ownChange(() => {
      isDone = accepts(netlink, batch);
      return Promise.resolve(isDone ? 1 : 0);
    }, false);
    return isDone ? refused : undefined;
  }

  /**
   * Builds many rows where there is nothing of ours yet, in steps that each leave the machine in order. Undefined when that cannot be done:
   * then all is built in one transaction, whatever is there.
   */
  async function buildFresh(rows: readonly Row[], added: readonly AddedChain[]): Promise<readonly Row[] | undefined> {
    // Up to that size nft reads a script in a moment, and one transaction is as quick.
    if (!netlink || !watch || rows.length <= smallBuild || !(await isEmpty(netlink, families).catch(() => false)))
      return undefined;
    const { first, batches, last } = steps(rows);
    const begin = scriptOf({ reset: true, remove: [], add: first }, added, families);
    const end = scriptOf({ reset: false, remove: [], add: last }, [], families);
    const refused = [...begin.refused, ...end.refused];
    let isDone = false;
    await watch.ownChange(async () => {
      await nft.run(begin.script);
      let made = 1;
      for (const add of batches) {
        const part = batchOf([], add);
        refused.push(...part.refused);
        if (!part.batch) continue;
        if (!accepts(netlink, part.batch)) return made;
        made++;
        // Others in this process get their turns.
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (end.script !== "") {
        await nft.run(end.script);
        made++;
      }
      isDone = true;
      return made;
    }, true);
    return isDone ? refused : undefined;
  }

  /** In the language of nft: whatever the rows are, in one transaction. */
  async function inWords(transaction: Transaction, added: readonly AddedChain[]): Promise<readonly Row[]> {
    const { script, refused } = scriptOf(transaction, added, families);
    if (script !== "") await run(script, transaction.reset);
    return refused;
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
      const added = missing.map(([, chain]) => chain);
      const built = reset
        ? await buildFresh(transaction.add, added)
        : added.length === 0
          ? await commit(transaction)
          : undefined;
      const refused = built ?? (await inWords(transaction, added));
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

/** Rows that are always built in one transaction. */
const smallBuild = 10_000;

/** False when the kernel refuses; nothing has changed then. */
function accepts(netlink: Netlink, batch: Buffer): boolean {
  try {
    netlink.commit(batch);
    return true;
  } catch (error) {
    if (error instanceof NetlinkError) return false;
    throw error;
  }
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

/** Where packets enter the program. */
const entries = ["nat-prerouting", "nat-output"] as const;

/**
 * Removes the program and its rows, and with them the connections that it leads. Does nothing when there is none.
 *
 * Another mode may serve: nobody shall notice. A packet that is in the program while it is deleted goes on through its rules, but no longer
 * finds rows of maps, while sets still have theirs: it would pass for one to an address that no Service has, and be refused. So no packet is
 * led in any more, and then, in a transaction of its own, the rest goes.
 */
export async function removeNftablesProgram(nft: Nft): Promise<void> {
  for (const family of ["IPv4", "IPv6"] as const) {
    const table = tableOf(family);
    // Where there is no such table, or one of another version, there is nothing to flush.
    await nft.run(entries.map((chain) => `flush chain ${table} ${chain}\n`).join("")).catch(() => {});
    const gone = nft.run(`add table ${table}\ndelete table ${table}\n`);
    // A kernel without IPv6 has no table of it.
    await (family === "IPv4" ? gone : gone.catch(() => {}));
  }
}
