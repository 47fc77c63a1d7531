import { crc32 } from "node:zlib";
import { StoreError } from "../store.ts";

/**
 * How a file of the write-ahead log looks. It has a header and then groups, each from the beginning of a block on, so that to write one touches
 * nothing that was acknowledged. Numbers are big endian.
 *
 *   header   magic (4), version (2), generation (6), salt (8), checksum (4)
 *   group    magic (4), number in the file (4), bytes of its changes (4), checksum over salt, number, bytes and changes (4), changes
 *   change   table (1), length of the key (2), length of the value + 1 or 0 for a removal (4), key, value
 *
 * A file is used again and again: its header and the salt of each use tell what is new in it from what an earlier use left behind.
 */

/** What a header and each group begin at a multiple of. */
export const blockSize = 4096;
export const tableNames = ["current", "values", "log", "meta"] as const;
export type TableName = (typeof tableNames)[number];

/** A record of a table that is put, or removed when `value` is absent. */
export interface Change {
  readonly table: TableName;
  readonly key: Buffer;
  readonly value: Buffer | undefined;
}

export interface WalHeader {
  /** Raised with each use of a file: the order of the files. */
  readonly generation: number;
  readonly salt: Buffer;
}

/** A file as it was found. */
export interface WalContent extends WalHeader {
  readonly groups: readonly (readonly Change[])[];
  /** Where the next group goes: a multiple of `blockSize`. */
  readonly end: number;
  /** What is wrong with it, beyond a last group that was not written to its end. */
  readonly damage?: string;
}

const headerMagic = 0x464c5748;
const groupMagic = 0x464c5747;
const version = 1;
const groupHead = 16;
const changeHead = 7;
const headerSize = 24;

export const roundUp = (bytes: number): number => Math.ceil(bytes / blockSize) * blockSize;

/** The first block of a file. */
export function encodeHeader({ generation, salt }: WalHeader): Buffer {
  const block = Buffer.alloc(blockSize);
  block.writeUInt32BE(headerMagic, 0);
  block.writeUInt16BE(version, 4);
  block.writeUIntBE(generation, 6, 6);
  salt.copy(block, 12, 0, 8);
  block.writeUInt32BE(crc32(block.subarray(0, 20)), 20);
  return block;
}

/** Bytes that `encodeGroup` writes. */
export function groupSize(changes: readonly Change[]): number {
  let bytes = groupHead;
  for (const { key, value } of changes) bytes += changeHead + key.length + (value?.length ?? 0);
  return bytes;
}

/** Writes a group to `target`, which has room for `groupSize` bytes. */
export function encodeGroup(target: Buffer, number: number, salt: Buffer, changes: readonly Change[]): void {
  let at = groupHead;
  for (const { table, key, value } of changes) {
    target[at] = tableNames.indexOf(table);
    target.writeUInt16BE(key.length, at + 1);
    target.writeUInt32BE(value ? value.length + 1 : 0, at + 3);
    at += changeHead;
    target.set(key, at);
    at += key.length;
    if (!value) continue;
    target.set(value, at);
    at += value.length;
  }
  target.writeUInt32BE(groupMagic, 0);
  target.writeUInt32BE(number, 4);
  target.writeUInt32BE(at - groupHead, 8);
  target.writeUInt32BE(groupChecksum(target, salt, at), 12);
}

function groupChecksum(group: Buffer, salt: Buffer, end: number): number {
  return crc32(group.subarray(groupHead, end), crc32(group.subarray(4, 12), crc32(salt)));
}

/**
 * What is in a file; undefined: nothing yet. A last group that was not written to its end is left out: nobody was told that it is stored. Where
 * groups follow one that is damaged, `damage` says so: they do not count when the tables hold this use already. Throws StoreError CORRUPT
 * for a file that is no log; `file` is its name in messages.
 */
export function decodeWal(bytes: Buffer, file: string): WalContent | undefined {
  if (bytes.every((byte) => byte === 0)) return undefined;
  const header = decodeHeader(bytes, file);
  const groups: Change[][] = [];
  let end = blockSize;
  for (let found; (found = groupAt(bytes, end, header.salt, groups.length)); end += roundUp(found.size))
    groups.push(decodeChanges(found.changes, file));
  for (let at = end + blockSize; at < bytes.length; at += blockSize) {
    if (!groupAt(bytes, at, header.salt)) continue;
    const damage = `${file} is damaged: at byte ${end} there is no sound group, but one follows at ${at}`;
    return { ...header, groups, end, damage };
  }
  return { ...header, groups, end };
}

function decodeHeader(bytes: Buffer, file: string): WalHeader {
  const isHeader = bytes.length >= blockSize && bytes.readUInt32BE(0) === headerMagic;
  if (!isHeader || bytes.readUInt32BE(20) !== crc32(bytes.subarray(0, 20)))
    throw new StoreError("CORRUPT", `${file} is damaged: its header is no header of a write-ahead log`);
  const found = bytes.readUInt16BE(4);
  if (found !== version)
    throw new StoreError("CORRUPT", `${file} has format ${found}; this version of Fairlead reads format ${version}`);
  return { generation: bytes.readUIntBE(6, 6), salt: Buffer.from(bytes.subarray(12, headerSize - 4)) };
}

/** The group that begins there, if its checksum is right and it is the one with this number, or any. */
function groupAt(
  bytes: Buffer,
  at: number,
  salt: Buffer,
  number?: number,
): { size: number; changes: Buffer } | undefined {
  if (at + groupHead > bytes.length || bytes.readUInt32BE(at) !== groupMagic) return undefined;
  if (number !== undefined && bytes.readUInt32BE(at + 4) !== number) return undefined;
  const size = groupHead + bytes.readUInt32BE(at + 8);
  if (at + size > bytes.length) return undefined;
  const group = bytes.subarray(at, at + size);
  if (bytes.readUInt32BE(at + 12) !== groupChecksum(group, salt, size)) return undefined;
  return { size, changes: group.subarray(groupHead) };
}

function decodeChanges(bytes: Buffer, file: string): Change[] {
  const changes: Change[] = [];
  for (let at = 0; at < bytes.length;) {
    const table = tableNames[bytes[at] ?? 255];
    const start = at + changeHead;
    const keyEnd = start <= bytes.length ? start + bytes.readUInt16BE(at + 1) : Infinity;
    const length = start <= bytes.length ? bytes.readUInt32BE(at + 3) : 0;
    const end = keyEnd + Math.max(0, length - 1);
    if (!table || end > bytes.length) throw new StoreError("CORRUPT", `${file} is damaged: a change in it is cut off`);
    const value = length === 0 ? undefined : bytes.subarray(keyEnd, end);
    changes.push({ table, key: bytes.subarray(start, keyEnd), value });
    at = end;
  }
  return changes;
}
