import { crc32 } from "node:zlib";
import { StoreError } from "../store.ts";

/**
 * The four tables and how their records look. Numbers are big endian, so keys sort by number.
 *
 *   current   key                      -> position of its value (8), creation revision (6)
 *   values    position                 -> checksum (4), value
 *   log       revision (6)             -> checksum (4), entries
 *   meta      "format" | "compacted"   -> number (6)
 *             "moved"                  -> number (6): which use of the write-ahead log the tables hold, and all before (wal-format.ts)
 *
 * A value is written once, at the position of the write that made it, and stays while it is the newest or the log needs it.
 */

/** Where a value is: the revision that made it and the operation's place in that write. */
export interface Position {
  readonly revision: number;
  readonly ordinal: number;
}

/** Newest state of a key. */
export interface Current extends Position {
  readonly createRevision: number;
}

/** What one operation of a revision did. */
export interface LogEntry {
  readonly type: "put" | "delete";
  readonly key: string;
  /** Creation revision of the key: of the new value, or for a delete of the old one. */
  readonly createRevision: number;
  readonly previous?: Position;
}

export function encodeNumber(number: number): Buffer {
  const bytes = Buffer.allocUnsafe(6);
  bytes.writeUIntBE(number, 0, 6);
  return bytes;
}

export function decodeNumber(bytes: Buffer): number {
  if (bytes.byteLength < 6) throw cutOff("a number");
  return bytes.readUIntBE(0, 6);
}

export function encodePosition({ revision, ordinal }: Position): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeUIntBE(revision, 0, 6);
  bytes.writeUInt16BE(ordinal, 6);
  return bytes;
}

export function decodePosition(bytes: Buffer, offset = 0): Position {
  if (bytes.byteLength < offset + 8) throw cutOff("a position");
  return { revision: bytes.readUIntBE(offset, 6), ordinal: bytes.readUInt16BE(offset + 6) };
}

export function encodeCurrent(current: Current): Buffer {
  return Buffer.concat([encodePosition(current), encodeNumber(current.createRevision)]);
}

export function decodeCurrent(bytes: Buffer): Current {
  if (bytes.byteLength < 14) throw cutOff("the newest state of a key");
  return { ...decodePosition(bytes), createRevision: bytes.readUIntBE(8, 6) };
}

/** Puts the checksum before the bytes. */
export function seal(bytes: Uint8Array): Buffer {
  const sealed = Buffer.allocUnsafe(bytes.byteLength + 4);
  sealed.writeUInt32BE(crc32(bytes));
  sealed.set(bytes, 4);
  return sealed;
}

/** The bytes behind the checksum. Throws StoreError CORRUPT when they do not fit; `what` names the record. */
export function unseal(sealed: Buffer | undefined, what: string): Buffer {
  if (!sealed) throw new StoreError("CORRUPT", `the store is damaged: ${what} is missing`);
  const bytes = sealed.subarray(4);
  if (sealed.byteLength < 4 || sealed.readUInt32BE() !== crc32(bytes)) {
    throw new StoreError("CORRUPT", `the store is damaged: ${what} has a wrong checksum`);
  }
  return bytes;
}

/** Per entry: type (1), creation revision (6), previous position or zeros (8), length of the key (2), key. */
const entryHead = 17;

export function encodeLog(entries: readonly LogEntry[]): Buffer {
  const parts = entries.map((entry) => {
    const head = Buffer.alloc(entryHead);
    head.writeUInt8(entry.type === "put" ? 1 : 2);
    head.writeUIntBE(entry.createRevision, 1, 6);
    if (entry.previous) encodePosition(entry.previous).copy(head, 7);
    const key = Buffer.from(entry.key);
    head.writeUInt16BE(key.byteLength, 15);
    return Buffer.concat([head, key]);
  });
  return seal(Buffer.concat(parts));
}

export function decodeLog(sealed: Buffer | undefined, revision: number): LogEntry[] {
  const bytes = unseal(sealed, `revision ${revision} of the log`);
  const entries: LogEntry[] = [];
  for (let at = 0; at < bytes.byteLength;) {
    if (at + entryHead > bytes.byteLength) throw cutOff(`revision ${revision} of the log`);
    const previous = decodePosition(bytes, at + 7);
    const end = at + entryHead + bytes.readUInt16BE(at + 15);
    if (end > bytes.byteLength) throw cutOff(`revision ${revision} of the log`);
    entries.push({
      type: bytes.readUInt8(at) === 1 ? "put" : "delete",
      createRevision: bytes.readUIntBE(at + 1, 6),
      key: bytes.toString("utf8", at + entryHead, end),
      ...(previous.revision > 0 ? { previous } : {}),
    });
    at = end;
  }
  return entries;
}

function cutOff(what: string): StoreError {
  return new StoreError("CORRUPT", `the store is damaged: ${what} is cut off`);
}
