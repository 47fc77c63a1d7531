import type { Row, Transaction } from "../../tables/index.ts";
import { chainOf, drawChains, program, table, type Draw } from "./ruleset.ts";
import { element, verdictOf } from "./serialise.ts";

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
 * The transaction in the language of nft: one script, which the kernel takes as a whole or not at all.
 * @param missing draw chains that do not exist yet
 */
export function scriptOf(transaction: Transaction, missing: Iterable<Draw>): string {
  const chains = [...missing].map(drawChains).join("");
  const head = transaction.reset
    ? `add table ${table}\ndelete table ${table}\ntable ${table} {\n${program}\n${chains}}\n`
    : chains && `table ${table} {\n${chains}}\n`;
  return head + commands("delete", transaction.remove) + commands("add", transaction.add);
}

function commands(verb: "add" | "delete", rows: readonly Row[]): string {
  const byTable = new Map<string, string[]>();
  for (const row of rows) {
    const text = element(row);
    if (text === undefined) throw new Error(`row of table ${row.table} does not fit: ${JSON.stringify(row.key)}`);
    const list = byTable.get(row.table);
    // A deletion names the key only; with its value nft 1.0.6 would look for another element.
    const entry = verb === "delete" ? (text.split(" : ")[0] ?? text) : text;
    if (list) list.push(entry);
    else byTable.set(row.table, [entry]);
  }
  let script = "";
  for (const [name, entries] of byTable) {
    for (let i = 0; i < entries.length; i += batch)
      script += `${verb} element ${table} ${name} { ${entries.slice(i, i + batch).join(", ")} }\n`;
  }
  return script;
}
