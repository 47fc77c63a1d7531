import type { Row, Transaction } from "../../tables/index.ts";
import type { Family } from "../../services/index.ts";
import { chainOf, drawChains, programOf, tableOf, type Draw } from "./ruleset.ts";
import { element, elementKey, placeOf, verdictOf } from "./serialise.ts";

/** Elements in one command: long commands are slow to parse, many short ones as well. */
const batch = 2_000;

/** A way to draw, in one family. */
export interface FamilyDraw extends Draw {
  readonly family: Family;
}

/** The chains that the rows lead to and that are not in the program from the start, by family and name. */
export function drawsOf(rows: readonly Row[]): Map<string, FamilyDraw> {
  const draws = new Map<string, FamilyDraw>();
  for (const row of rows) {
    const { name, family } = placeOf(row.table);
    const verdict = name === "pools" ? verdictOf(row.value) : undefined;
    if (typeof verdict === "object" && verdict.way !== "pick")
      draws.set(`${family} ${chainOf(verdict)}`, { ...verdict, family });
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
  missing: readonly FamilyDraw[],
  families: readonly Family[],
): { script: string; refused: readonly Row[] } {
  const head = families
    .map((family) => {
      const table = tableOf(family);
      const chains = missing
        .filter((draw) => draw.family === family)
        .map((draw) => drawChains(draw, family))
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
