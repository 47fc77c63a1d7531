import { rowsOfMode, type ProxyMode } from "../../proxy/index.ts";
import { type Row, rowId, sameValue } from "../../tables/index.ts";
import type { Cluster } from "../cluster.ts";

/** What would go into and out of one node's program. */
export interface RowChanges {
  readonly mode: ProxyMode;
  readonly node: string;
  readonly removed: readonly Row[];
  readonly added: readonly Row[];
  /** Rows with the same key and another value; also in `removed` and `added`. */
  readonly replaced: number;
}

/** The rows that would change for these Services on one node. Pure; costs what these Services are. */
export function rowChanges(
  before: Cluster,
  after: Cluster,
  { mode, node, keys }: { mode: ProxyMode; node: string; keys: Iterable<string> },
): RowChanges {
  const rowsOf = rowsOfMode(mode);
  const removed: Row[] = [];
  const added: Row[] = [];
  let replaced = 0;
  for (const key of keys) {
    const [was, is] = [before, after].map((cluster) => {
      const model = cluster.modelOf(node);
      return { plan: model.plan(key), context: model.context };
    });
    const old = was?.plan ? rowsOf(was.plan, [], was.context) : [];
    const next = is?.plan ? rowsOf(is.plan, old, is.context) : [];
    const had = new Map(old.map((row) => [rowId(row), row]));
    const has = new Map(next.map((row) => [rowId(row), row]));
    for (const [id, row] of had) {
      const now = has.get(id);
      if (now && sameValue(row, now)) continue;
      removed.push(row);
      if (now) replaced += 1;
    }
    for (const [id, row] of has) {
      const then = had.get(id);
      if (!then || !sameValue(then, row)) added.push(row);
    }
  }
  return { mode, node, removed, added, replaced };
}
