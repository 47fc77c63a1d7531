import { readSync } from "node:fs";
import { StoreError } from "../store.ts";

/**
 * A page's header, in bytes, and where its fields are (LMDB as lmdb-js has it): its own number, flags, where its free room begins and ends. These
 * two, and where the nodes are, count from the end of the header.
 */
const header = { size: 24, number: 0, flags: 18, lower: 20, upper: 22 };
/** A node: two halves of a size or of a page's number, flags, length of its key, the key, its data. */
const node = { size: 8, low: 0, high: 2, flags: 4, key: 6 };
/** A table's record: where its root is. */
const table = { size: 48, root: 40 };
const kinds = { branch: 0x01, leaf: 0x02, overflow: 0x04 };
const nodeFlags = { overflow: 0x01, table: 0x02 };
const nowhere = 0xffff_ffff_ffff_ffffn;
/** Deeper trees than LMDB makes. */
const deepest = 32;

export interface PageRange {
  readonly descriptor: number;
  /** For messages. */
  readonly file: string;
  readonly pageSize: number;
  readonly lastPage: number;
}

/**
 * Follows every table from its root and looks at each page's header and nodes: a page that is none of the table's would end the process inside
 * LMDB. What is in the values is not looked at. Throws StoreError CORRUPT for the first page that is wrong.
 */
export function checkPages({ descriptor, file, pageSize, lastPage }: PageRange, roots: readonly bigint[]): void {
  const seen = new Set<number>();
  const wrong = (page: number | bigint, what: string): never => {
    throw new StoreError("CORRUPT", `${file} is damaged: page ${page} ${what}`);
  };

  const read = (number: number, bytes: number): Buffer => {
    const page = Buffer.allocUnsafe(bytes);
    if (readSync(descriptor, page, 0, bytes, number * pageSize) < bytes) wrong(number, "is missing");
    if (page.readBigUInt64LE(header.number) !== BigInt(number)) wrong(number, "is another page");
    return page;
  };

  const numberOf = (page: bigint, from: number): number => {
    if (page > BigInt(lastPage)) wrong(from, `names a page ${page} that there is not`);
    return Number(page);
  };

  const visit = (number: number, depth: number): void => {
    if (seen.has(number) || depth > deepest) wrong(number, "is in a table twice");
    seen.add(number);
    const page = read(number, pageSize);
    const kind = page.readUInt16LE(header.flags) & (kinds.branch | kinds.leaf | kinds.overflow);
    if (kind !== kinds.branch && kind !== kinds.leaf) wrong(number, "is no page of a table");
    const [lower, upper] = [page.readUInt16LE(header.lower), page.readUInt16LE(header.upper)];
    if (lower > upper || upper > pageSize - header.size) wrong(number, "has a damaged header");
    for (let at = header.size; at < header.size + lower; at += 2) {
      const start = header.size + page.readUInt16LE(at);
      if (start < header.size + upper || start + node.size > pageSize) wrong(number, "has a damaged entry");
      if (kind === kinds.branch) visit(numberOf(childOf(page, start), number), depth + 1);
      else visitEntry(page, start, number, depth);
    }
  };

  const visitEntry = (page: Buffer, start: number, number: number, depth: number): void => {
    const flags = page.readUInt16LE(start + node.flags);
    const data = start + node.size + page.readUInt16LE(start + node.key);
    const size = page.readUInt16LE(start + node.low) + page.readUInt16LE(start + node.high) * 0x1_0000;
    const inline = flags & nodeFlags.overflow ? 8 : size;
    if (data + inline > pageSize) wrong(number, "has an entry that is longer than the page");
    if (flags & nodeFlags.overflow) {
      const first = numberOf(page.readBigUInt64LE(data), number);
      const last = first + Math.ceil((header.size + size) / pageSize) - 1;
      if (last > lastPage) wrong(number, `names a page ${last} that there is not`);
      if (!(read(first, header.size).readUInt16LE(header.flags) & kinds.overflow))
        wrong(first, "is no page of a value");
    } else if (flags & nodeFlags.table) {
      if (size !== table.size) wrong(number, "has a damaged table");
      visitRoot(page.readBigUInt64LE(data + table.root), number, depth);
    }
  };

  const visitRoot = (root: bigint, from: number, depth: number): void => {
    if (root !== nowhere) visit(numberOf(root, from), depth + 1);
  };

  for (const root of roots) visitRoot(root, 0, 0);
}

/** The number of the page below a branch's node: 48 bits. */
const childOf = (page: Buffer, start: number): bigint =>
  BigInt(page.readUInt16LE(start + node.low)) |
  (BigInt(page.readUInt16LE(start + node.high)) << 16n) |
  (BigInt(page.readUInt16LE(start + node.flags)) << 32n);
