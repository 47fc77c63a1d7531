import { closeSync, fstatSync, openSync, readSync, statSync, truncateSync } from "node:fs";
import { StoreError } from "../store.ts";
import { checkPages } from "./pages.ts";

/** Where LMDB's two meta pages keep, from their start: magic number, page size, roots of free pages and of all tables, last page, transaction. */
const meta = { magic: 24, pageSize: 48, free: 88, main: 136, lastPage: 144, transaction: 152 };
const magicNumber = 0xbeefc0de;

/**
 * LMDB maps the file and trusts it: touching what is missing at its end, or following a damaged page, would kill the process. Throws
 * StoreError CORRUPT for a file that is shorter than its newest meta page says, has pages that are not its tables' own, or is no database.
 */
export function checkFile(file: string): void {
  const descriptor = openSync(file, "r");
  try {
    const page = Buffer.alloc(160);
    const bad = (what: string) => new StoreError("CORRUPT", `${file} ${what}`);
    const readMeta = (start: number) => {
      const read = readSync(descriptor, page, 0, page.byteLength, start);
      // LMDB looks at both, and a wrong one may end the process. It never writes more than one at a time.
      if (read < page.byteLength || page.readUInt32LE(meta.magic) !== magicNumber)
        throw bad("is not a database, or its beginning is damaged");
      return {
        pageSize: page.readUInt32LE(meta.pageSize),
        lastPage: Number(page.readBigUInt64LE(meta.lastPage)),
        roots: [page.readBigUInt64LE(meta.free), page.readBigUInt64LE(meta.main)],
        transaction: page.readBigUInt64LE(meta.transaction),
      };
    };
    const first = readMeta(0);
    const { pageSize } = first;
    if (pageSize < 512 || pageSize > 65_536) throw bad("has a damaged first page");
    const second = readMeta(pageSize);
    if (second.pageSize !== pageSize) throw bad("has a damaged second page");
    const { lastPage, roots } = first.transaction > second.transaction ? first : second;
    const expected = (lastPage + 1) * pageSize;
    const { size } = fstatSync(descriptor);
    if (size < expected) {
      throw bad(`has ${size} bytes of ${expected}: its end is missing`);
    }
    checkPages({ descriptor, file, pageSize, lastPage }, roots);
  } finally {
    closeSync(descriptor);
  }
}

/** More than a transaction takes beside its values. */
const margin = 16 << 20;

/**
 * Keeps the file longer than the next transaction needs, without taking room on disk for it. LMDB does not write pages at the end
 * that a transaction took and gave back, so without this a sound file could look as if its end were missing.
 */
export function createReserve(file: string, usedBytes: () => number): (bytes: number) => void {
  let size = statSync(file).size;
  return (bytes) => {
    const needed = usedBytes() + 2 * bytes + margin;
    if (size >= needed) return;
    size = needed + margin;
    truncateSync(file, size);
  };
}
