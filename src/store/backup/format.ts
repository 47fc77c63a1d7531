import { createHash } from "node:crypto";
import { StoreError } from "../store.ts";

/**
 * A backup is one state of a store as a stream of bytes: a magic number, a header, the items in order of their keys, and an end with
 * their number and a SHA-256 of all that came before it. Lengths are 32-bit, big-endian:
 *
 *     "FLBACKUP" 0x01 · length header(JSON) · { length key · length value · key · value }* · 0xffffffff · count(6 bytes) · digest(32)
 */
const magic = Buffer.from("FLBACKUP\u0001");
const endMark = 0xffffffff;
/** Bytes of a header, key and value at most: more than any store takes, so that damage is not taken for a length. */
const limits = { header: 64 << 10, key: 64 << 10, value: 16 << 20 };

export interface BackupHeader {
  /** The store's revision whose state this is. */
  readonly revision: number;
  /** When it was taken, RFC 3339. */
  readonly taken: string;
}

export interface BackupItem {
  readonly key: string;
  readonly value: Uint8Array;
}

/** Turns a state into the bytes of a backup. */
export async function* encodeBackup(
  header: BackupHeader,
  items: AsyncIterable<BackupItem> | Iterable<BackupItem>,
): AsyncGenerator<Buffer> {
  const hash = createHash("sha256");
  const text = Buffer.from(JSON.stringify(header));
  const first = Buffer.concat([magic, lengths(text.length), text]);
  hash.update(first);
  yield first;
  let count = 0;
  for await (const { key, value } of items) {
    const name = Buffer.from(key);
    const record = Buffer.concat([lengths(name.length, value.length), name, value]);
    hash.update(record);
    count++;
    yield record;
  }
  const end = Buffer.alloc(10);
  end.writeUInt32BE(endMark);
  end.writeUIntBE(count, 4, 6);
  hash.update(end);
  yield Buffer.concat([end, hash.digest()]);
}

export interface Backup {
  readonly header: BackupHeader;
  /** To be read once. Throws StoreError CORRUPT: what came before it must not be used then. */
  readonly items: AsyncIterable<BackupItem>;
}

/** Reads the bytes of a backup. Throws StoreError CORRUPT for anything else. */
export async function decodeBackup(chunks: AsyncIterable<Uint8Array>): Promise<Backup> {
  const reader = createReader(chunks);
  const start = await reader.take(magic.length, "the file's head");
  if (!start.equals(magic)) throw corrupt("it does not begin as one");
  const text = await reader.take(await reader.length(limits.header, "the header"), "the header");
  return { header: headerOf(text), items: items() };

  async function* items(): AsyncGenerator<BackupItem> {
    let count = 0;
    let last: Buffer | undefined;
    for (;;) {
      const keyLength = (await reader.take(4, "a record")).readUInt32BE();
      if (keyLength === endMark) break;
      checkLength(keyLength, limits.key, "a key");
      const valueLength = await reader.length(limits.value, "a value");
      const key = Buffer.from(await reader.take(keyLength, "a key"));
      const value = Buffer.from(await reader.take(valueLength, "a value"));
      if (keyLength === 0 || key.includes(0)) throw corrupt("a key is none");
      if (last && Buffer.compare(last, key) >= 0) throw corrupt("its keys are not in order");
      last = key;
      count++;
      yield { key: key.toString(), value };
    }
    const said = (await reader.take(6, "the end")).readUIntBE(0, 6);
    const digest = reader.digest();
    const written = await reader.take(32, "the checksum");
    if (said !== count) throw corrupt(`it holds ${count} keys, but ${said} were written`);
    if (!written.equals(digest)) throw corrupt("the checksum does not fit: the file was changed");
    if (!(await reader.atEnd())) throw corrupt("something follows its end");
  }
}

function headerOf(text: Buffer): BackupHeader {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text.toString());
  } catch {
    throw corrupt("its header is not readable");
  }
  const { revision, taken } = (parsed ?? {}) as Partial<Record<keyof BackupHeader, unknown>>;
  if (!Number.isSafeInteger(revision) || Number(revision) < 1 || typeof taken !== "string")
    throw corrupt("its header says no revision");
  return { revision: Number(revision), taken };
}

function lengths(...numbers: number[]): Buffer {
  const bytes = Buffer.alloc(4 * numbers.length);
  for (const [i, number] of numbers.entries()) bytes.writeUInt32BE(number, 4 * i);
  return bytes;
}

function corrupt(why: string): StoreError {
  return new StoreError("CORRUPT", `this is no sound backup: ${why}`);
}

function checkLength(length: number, limit: number, what: string): void {
  if (length > limit) throw corrupt(`${what} has ${length} bytes`);
}

/** Takes so many bytes from chunks of any size, and sums up what was taken. */
function createReader(chunks: AsyncIterable<Uint8Array>) {
  const source = chunks[Symbol.asyncIterator]();
  const hash = createHash("sha256");
  let rest: Buffer = Buffer.alloc(0);
  let summing = true;
  const more = async (): Promise<boolean> => {
    const { done, value } = await source.next();
    if (done) return false;
    rest = rest.length === 0 ? Buffer.from(value) : Buffer.concat([rest, value]);
    return true;
  };
  return {
    async take(length: number, what: string): Promise<Buffer> {
      if (rest.length < length) {
        const parts = [rest];
        let have = rest.length;
        while (have < length) {
          const { done, value } = await source.next();
          if (done) throw corrupt(`it ends within ${what}`);
          parts.push(Buffer.from(value));
          have += value.length;
        }
        rest = Buffer.concat(parts);
      }
      const taken = rest.subarray(0, length);
      rest = rest.subarray(length);
      if (summing) hash.update(taken);
      return taken;
    },
    async length(limit: number, what: string): Promise<number> {
      const length = (await this.take(4, what)).readUInt32BE();
      checkLength(length, limit, what);
      return length;
    },
    /** Of all that was taken; nothing is summed up after it. */
    digest(): Buffer {
      summing = false;
      return hash.digest();
    },
    async atEnd(): Promise<boolean> {
      while (rest.length === 0) if (!(await more())) return true;
      return false;
    },
  };
}
