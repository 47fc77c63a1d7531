import type { Row, Transaction } from "../../tables/index.ts";
import { chainOf, drawChains, program, table, type Draw } from "./ruleset.ts";
import { element, elementKey, verdictOf } from "./serialise.ts";

/** Elements in one command: long commands are slow to parse, many short ones as well. */
const batch = 2_000;

/** The chains that the rows lead to and that are not in the program from the start, by name. */
export function drawsOf(rows: readonly Row[]): Map<string, Draw> {
  const draws = new Map<string, Draw>();
  for (const row of rows) {
    const verdict = row.table === "pools" ? verdictOf(row.value) : undefined;
    if (typeof verdict === "object" && verdict.way !== "pick") draws.set(chainOf(verdict), verdict);
  }
  return draws;
}

/**
 * The transaction in the language of nft: one script, which the kernel takes as a whole or not at all, and the rows that are
 * left out of it because they do not fit.
 * @param missing draw chains that do not exist yet
 */
export function scriptOf(
  transaction: Transaction,
  missing: Iterable<Draw>,
): { script: string; refused: readonly Row[] } {
  const chains = [...missing].map(drawChains).join("");
  const head = transaction.reset
    ? `add table ${table}\ndelete table ${table}\ntable ${table} {\n${program}\n${chains}}\n`
    : chains && `table ${table} {\n${chains}}\n`;
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
  for (const [name, entries] of byTable) {
    for (let i = 0; i < entries.length; i += batch)
      script += `${verb} element ${table} ${name} { ${entries.slice(i, i + batch).join(", ")} }\n`;
  }
  return script;
}
