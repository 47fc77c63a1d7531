import type { Row } from "../../tables/index.ts";
import { isPlain } from "./elements.ts";
import { placeOf } from "./serialise.ts";

/** Rows in the order in which they come into force where there is nothing yet. */
export interface Steps {
  /** With the program itself: who clients are. Alone they lead nobody anywhere. */
  readonly first: readonly Row[];
  /** Service by Service: each has all its rows in one of these. */
  readonly batches: readonly (readonly Row[])[];
  /** What refuses all that no Service has: not before they all have what is theirs, or another mode that serves still would be cut off. */
  readonly last: readonly Row[];
}

/** Rows in one batch: the kernel's hash tables grow between two, and in one large batch they are slow before they do. */
const batchRows = 20_000;
const refusing = new Set(["vips", "cidrs"]);

export function steps(rows: readonly Row[], most = batchRows): Steps {
  const first: Row[] = [];
  const last: Row[] = [];
  const batches: Row[][] = [];
  let batch: Row[] = [];
  let object: string | undefined;
  for (const row of rows) {
    if (refusing.has(placeOf(row.table).name)) last.push(row);
    else if (!isPlain(row.table)) first.push(row);
    else {
      if (batch.length >= most && row.owner.object !== object) {
        batches.push(batch);
        batch = [];
      }
      batch.push(row);
      object = row.owner.object;
    }
  }
  if (batch.length > 0) batches.push(batch);
  return { first, batches, last };
}
