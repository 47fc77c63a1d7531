import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fstatSync,
  fsyncSync,
  ftruncate,
  openSync,
  readFileSync,
  write,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { StoreError } from "../store.ts";
import {
  blockSize,
  decodeWal,
  encodeGroup,
  encodeHeader,
  groupSize,
  roundUp,
  type Change,
  type WalContent,
} from "./wal-format.ts";

/**
 * The write-ahead log: what is acknowledged but not yet in the tables. Two files take turns: one is written while what the other has goes to the
 * tables. A group is written and synced by one system call (O_DSYNC), over room that the file mostly has already: then no metadata goes with it.
 */
export interface Wal {
  /** Bytes of the present file that are used. */
  readonly used: number;
  /** Number of the present use of a file; each `rotate` raises it. */
  readonly generation: number;
  /**
   * Settles when the changes are on disk. One at a time. Rejects with the system's error when they are not and never will be, with StoreError
   * OUTCOME_UNKNOWN when that cannot be said.
   */
  append(changes: readonly Change[]): Promise<void>;
  /** Goes on in the other file, whose content is needed no more. */
  rotate(): void;
  close(): void;
}

/** What a file has, and which of the two it is. */
export type WalFound = WalContent & { readonly index: number };

const fileNames = ["wal-0", "wal-1"] as const;
/** A file grows by so many bytes at once, so that few writes have to make room. */
const piece = 256 << 10;

/** What is in the files of a directory, the older use first. Throws StoreError CORRUPT as `decodeWal`. */
export function readWal(directory: string): WalFound[] {
  const found: WalFound[] = [];
  for (const [index, name] of fileNames.entries()) {
    const file = join(directory, name);
    const content = existsSync(file) ? decodeWal(readFileSync(file), file) : undefined;
    if (content) found.push({ ...content, index });
  }
  return found.sort((a, b) => a.generation - b.generation);
}

export interface WalOptions {
  /** Writes are not synced: for tests only. */
  readonly noFsync: boolean;
  /** The use to go on with; absent: one begins that comes after `generation`. */
  readonly last: WalFound | undefined;
  readonly generation: number;
}

export function openWal(directory: string, { noFsync, last, generation }: WalOptions): Wal {
  const paths = fileNames.map((name) => join(directory, name));
  const isNew = !paths.every((path) => existsSync(path));
  const files = paths.map((path) => openWalFile(path, noFsync));
  if (isNew && !noFsync) syncDirectory(directory);
  let index = last?.index ?? 0;
  let use = last ?? beginUse(generation + 1);
  let number = last?.groups.length ?? 0;
  /** 0: the header of this use is not written yet. */
  let end = last?.end ?? 0;
  /** Used for one group after the other. */
  let spare = Buffer.allocUnsafeSlow(16 * blockSize);

  const bufferOf = (bytes: number): Buffer => {
    if (bytes > piece) return Buffer.allocUnsafeSlow(bytes);
    if (bytes > spare.length) spare = Buffer.allocUnsafeSlow(piece);
    return spare.subarray(0, bytes);
  };

  return {
    get used() {
      return end;
    },
    get generation() {
      return use.generation;
    },
    async append(changes) {
      const start = end === 0 ? blockSize : 0;
      const size = start + groupSize(changes);
      const bytes = bufferOf(roundUp(size));
      if (start > 0) bytes.set(encodeHeader(use));
      encodeGroup(bytes.subarray(start), number, use.salt, changes);
      bytes.fill(0, size);
      await files[index]?.write(bytes, end);
      end += bytes.length;
      number += 1;
    },
    rotate() {
      index = 1 - index;
      use = beginUse(use.generation + 1);
      number = 0;
      end = 0;
    },
    close() {
      for (const file of files) file.close();
    },
  };
}

const beginUse = (generation: number): { generation: number; salt: Buffer } => ({ generation, salt: randomBytes(8) });

interface WalFile {
  /** Settles when the bytes are on disk. Rejects as `Wal.append`. */
  write(bytes: Buffer, at: number): Promise<void>;
  close(): void;
}

const truncateFile = promisify(ftruncate);
const syncFile = promisify(fdatasync);

function openWalFile(path: string, noFsync: boolean): WalFile {
  const flags = constants.O_RDWR | constants.O_CREAT | (noFsync ? 0 : constants.O_DSYNC);
  const descriptor = openSync(path, flags, 0o600);
  let { size } = fstatSync(descriptor);
  /** Where a write failed: what there is of it goes before anything else is written. */
  let failedAt: number | undefined;

  const cut = async (at: number): Promise<void> => {
    await truncateFile(descriptor, Math.min(at, size));
    size = Math.min(at, size);
    await syncFile(descriptor);
    failedAt = undefined;
  };

  return {
    async write(bytes, at) {
      if (failedAt !== undefined) await cut(failedAt);
      const grown = Math.ceil((at + bytes.length) / piece) * piece;
      const room = at + bytes.length > size ? Buffer.alloc(grown - at - bytes.length) : undefined;
      try {
        await writeAll(descriptor, room ? Buffer.concat([bytes, room]) : bytes, at);
        if (room) size = grown;
      } catch (error) {
        failedAt = at;
        size = Math.max(size, fstatSync(descriptor).size);
        await cut(at).catch((cause: unknown) => {
          const why = `${(error as Error).message}; ${(cause as Error).message}`;
          throw new StoreError("OUTCOME_UNKNOWN", `${path} could neither be written nor cut: ${why}`, { cause: error });
        });
        throw error;
      }
    },
    close: () => closeSync(descriptor),
  };
}

/** The system may take less than it is given. */
function writeAll(descriptor: number, bytes: Buffer, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const go = (done: number): void =>
      write(descriptor, bytes, done, bytes.length - done, position + done, (error, written) => {
        if (error) reject(error);
        else if (done + written < bytes.length) go(done + written);
        else resolve();
      });
    go(0);
  });
}

/** So that files that were made are there after a crash. */
function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
