import type { Row, Transaction } from "../../tables/index.ts";
import type { Family } from "../../services/index.ts";
import { chainOf, drawChains, logChain, logChainOf, programOf, tableOf } from "./ruleset.ts";
import { element, elementKey, isLogged, placeOf, verdictOf } from "./serialise.ts";

/** Elements in one command: long commands are slow to parse, many short ones as well. */
const batch = 2_000;

/** A chain that rows lead to and that is not in the program from the start. */
export interface AddedChain {
  readonly family: Family;
  /** As nft reads it, in its table. */
  readonly text: string;
}

/** The chains that the rows lead to and that are not in the program from the start, by family and name, in the order in which they are made. */
export function addedChains(rows: readonly Row[]): Map<string, AddedChain> {
  const chains = new Map<string, AddedChain>();
  for (const row of rows) {
    const { name, family } = placeOf(row.table);
    const verdict = name === "pools" ? verdictOf(row.value) : undefined;
    if (verdict === undefined) continue;
    if (typeof verdict === "object" && verdict.way !== "pick") {
      const id = `${family} ${chainOf(verdict)}`;
      if (!chains.has(id)) chains.set(id, { family, text: drawChains(verdict, family) });
    }
    if (isLogged(row.value)) chains.set(`${family} ${logChainOf(verdict)}`, { family, text: logChain(verdict) });
  }
  return chains;
}

/**
 * The transaction in the language of nft: one script, which the kernel takes as a whole or not at all, and the rows that are
 * left out of it because they do not fit.
 * @param missing chains that do not exist yet
 */
export function scriptOf(
  transaction: Transaction,
  missing: readonly AddedChain[],
  families: readonly Family[],
): { script: string; refused: readonly Row[] } {
  const head = families
    .map((family) => {
      const table = tableOf(family);
      const chains = missing
        .filter((chain) => chain.family === family)
        .map(({ text }) => text)
        .join("");
      return transaction.reset
        ? `add table ${table}\ndelete table ${table}\ntable ${table} {\n${programOf(family)}\n${chains}}\n`
        : chains && `table ${table} {\n${chains}}\n`;
    })
    .join("");
  const refused: Row[] = [];
  // A deletion names the key only: with its value nft 1.0.6 would look for another element.
  const remove = commands("delete", transaction.remove, (row) => elementKey(row));
  const add = commands("add", transaction.add, (row) => {
    const text = element(row);
    if (text === undefined) refused.push(row);
    return text;
  });
  return { script: head + remove + add, refused };
}

function commands(verb: "add" | "delete", rows: readonly Row[], write: (row: Row) => string | undefined): string {
  const byTable = new Map<string, string[]>();
  for (const row of rows) {
    const text = write(row);
    if (text === undefined) continue;
    const list = byTable.get(row.table);
    if (list) list.push(text);
    else byTable.set(row.table, [text]);
  }
  let script = "";
  for (const [place, entries] of byTable) {
    const { name, family } = placeOf(place);
    for (let i = 0; i < entries.length; i += batch)
      script += `${verb} element ${tableOf(family)} ${name} { ${entries.slice(i, i + batch).join(", ")} }\n`;
  }
  return script;
}
