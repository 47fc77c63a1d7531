import type { Program, Transaction } from "./program.ts";
import { rowId, type Row } from "./row.ts";

/** Objects whose rows are left out of one transaction at most; more is not their fault. */
const mostAtFault = 16;

/**
 * The same program, in which rows that the whole is refused for keep no other object's rows out: what is at fault is searched with
 * dry runs, object by object in halves, and handed back as refused. When nothing is found to be at fault the error is thrown on.
 */
export function isolating(program: Program): Program {
  const { check } = program;
  if (!check) return program;
  /** What the engine above counts as there, and is not. */
  const leftOut = new Set<string>();
  return {
    ...program,
    async apply(transaction) {
      if (transaction.reset) leftOut.clear();
      const remove = transaction.remove.filter((row) => !leftOut.delete(rowId(row)));
      const wanted: Transaction = { ...transaction, remove };
      try {
        return await program.apply(wanted);
      } catch (error) {
        const groups = byObject(wanted.add);
        const passes = (add: readonly Row[]) => check({ ...wanted, add });
        // With nothing added it is the state of the program that is at fault.
        if (groups.length === 0 || !(await passes([]))) throw error;
        const bad = await atFault([], groups, passes);
        if (bad.length === 0 || bad.length > mostAtFault) throw error;
        const out = new Set(bad.flat());
        const refused = await program.apply({ ...wanted, add: wanted.add.filter((row) => !out.has(row)) });
        for (const row of out) leftOut.add(rowId(row));
        return [...refused, ...out];
      }
    },
  };
}

type Group = readonly Row[];

function byObject(rows: readonly Row[]): Group[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = groups.get(row.owner.object);
    if (group) group.push(row);
    else groups.set(row.owner.object, [row]);
  }
  return [...groups.values()];
}

/** The groups that cannot be added to `base`, which passes; two that exclude each other: the later one. */
async function atFault(
  base: readonly Row[],
  groups: readonly Group[],
  passes: (add: readonly Row[]) => Promise<boolean>,
): Promise<Group[]> {
  if (await passes([...base, ...groups.flat()])) return [];
  if (groups.length === 1) return [...groups];
  const middle = groups.length >> 1;
  const left = await atFault(base, groups.slice(0, middle), passes);
  if (left.length > mostAtFault) return left;
  const sound = groups.slice(0, middle).filter((group) => !left.includes(group));
  const right = await atFault([...base, ...sound.flat()], groups.slice(middle), passes);
  return [...left, ...right];
}
